"""Star codes: they cannot be asked back, so they go on, but never for an emergency number."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from gateway.app.star import carry_out
from gateway.entries import Applied, EntryStore, NewChange
from gateway.pbx.asterisk import EntryRequest
from gateway.policy.model import Emergency, Policy
from gateway.reload import PolicyStore
from tests.support.policies import make_list, make_policy, prefix


class Policies:
    """The policy of a gateway, with changes that are written and not laid over it."""

    def __init__(self, current: Policy, entries: EntryStore) -> None:
        self.current = current
        self.entries = entries

    async def apply_changes(self, changes: Sequence[NewChange]) -> list[Applied]:
        return self.entries.apply_all(changes)


@pytest.fixture
def entries(tmp_path: Path) -> Iterator[EntryStore]:
    store = EntryStore(tmp_path / "entries.db")
    yield store
    store.close()


async def dialled(number: str, policy: Policy, entries: EntryStore) -> str:
    request = EntryRequest("block", number, "101", "k")
    return await carry_out(request, cast(PolicyStore, Policies(policy, entries)))


POLICY = make_policy(
    [make_list("blacklist"), make_list("vip", "allow", 1)],
    [prefix("vip", "33163")],
    dids={"33199000000": "sale"},
    emergency=Emergency(frozenset({"0800123456"})),
)


@pytest.mark.parametrize(
    ("number", "covered"),
    [
        ("0140000000", ""),
        ("0199000000", "it covers +33199000000, a number of the campaign 'sale'"),
        ("0163000000", "it beats the exception +33163 of 'vip' (policy.yaml:2)"),
    ],
)
async def test_a_star_code_goes_on_and_the_log_keeps_what_it_covers(
    entries: EntryStore, number: str, covered: str
) -> None:
    assert await dialled(number, POLICY, entries) == "added"
    [change] = entries.changes_since(0)
    assert (change.source, change.who, change.covered) == ("star", "extension 101", covered)


async def test_a_star_code_never_blocks_an_emergency_number(
    entries: EntryStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert await dialled("0800123456", POLICY, entries) == "refused"
    assert "it covers the emergency number 0800123456" in caplog.text
    assert entries.rev == 0


@pytest.mark.parametrize("number", ["+33", "0162*", "112"])
async def test_a_star_code_blocks_whole_numbers_only(entries: EntryStore, number: str) -> None:
    assert await dialled(number, POLICY, entries) == "refused"
    assert entries.rev == 0
