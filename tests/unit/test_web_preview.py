"""A preview of an entry: what it reads as, and that nobody else waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from gateway.entries import Asked
from gateway.policy.model import MANAGED_LIST, EntryKind, Policy
from gateway.web import preview as module
from gateway.web.context import Web
from gateway.web.preview import preview
from tests.support.policies import make_list, make_policy, number


class FakeWeb:
    """A policy, threads, and no past calls."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def policy(self) -> Policy:
        return self._policy

    async def run_long(self, work: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(work)

    async def read_long(self, ask: Callable[[Any], Any]) -> Any:
        return await asyncio.to_thread(lambda: ask([]))


@pytest.fixture
def web() -> Web:
    entries = [number("friends", "33123456789"), number("spam", "33123456780", expires=2**32 - 1)]
    lists = [make_list(MANAGED_LIST), make_list("friends", "allow", 1), make_list("spam", order=2)]
    return cast(Web, FakeWeb(make_policy(lists, entries)))


async def test_what_an_entry_covers_is_looked_up_beside_the_loop(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()

    def noted(work: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*args: Any, **rest: Any) -> Any:
            threads.add(threading.current_thread())
            return work(*args, **rest)

        return noting

    for name in ("understand", "covered", "impact"):
        monkeypatch.setattr(module, name, noted(getattr(module, name)))
    found = await preview(web, Asked(number="+331234*"))
    assert (found.kind, found.digits) == (EntryKind.PREFIX, "331234")
    assert [one.what for one in found.covers] == ["allow"]
    assert threads
    assert threading.main_thread() not in threads


async def test_an_entry_that_ends_before_another_does_not_make_it_superfluous(web: Web) -> None:
    for expires, total in (("", 1), ("2027-01-31", 0)):
        found = await preview(web, Asked(number="+331234*", expires=expires))
        assert found.impact is not None
        assert found.impact.redundant.total == total
