"""How what people ask for is read, where the entry is there already."""

from __future__ import annotations

import pytest

from gateway.entries import Asked, ManagedEntry, Op, understand
from gateway.errors import EntryError
from gateway.policy.model import MANAGED_LIST, EntryKind, Policy
from tests.support.policies import make_list, make_policy

TOO_LONG = "+331234567890"


@pytest.fixture
def policy() -> Policy:
    return make_policy([make_list(MANAGED_LIST)])


def entry_of(number: str, policy: Policy) -> ManagedEntry:
    """The entry that somebody adds by typing a number."""
    change = understand(Asked(number=number), Op.ADD, policy, who="a", source="cli").change
    return ManagedEntry(
        id=1, list=change.list, kind=change.kind, digits=change.digits, who="a", at=0.0
    )


@pytest.mark.parametrize("op", [Op.EDIT, Op.REMOVE])
@pytest.mark.parametrize("number", [TOO_LONG, "+999123456", "+33123456789", "+33162*"])
def test_whatever_could_be_added_can_be_changed_and_removed_by_what_it_is(
    number: str, op: Op, policy: Policy
) -> None:
    found = entry_of(number, policy)
    asked = Asked(number=found.entry.text, list=found.list, kind=found.kind, reason="why")
    change = understand(asked, op, policy, who="a", source="api").change
    assert (change.kind, change.digits) == (found.kind, found.digits)


def test_a_doubtful_number_is_not_added_where_its_kind_is_said(policy: Policy) -> None:
    asked = Asked(number=TOO_LONG, kind=EntryKind.NUMBER)
    with pytest.raises(EntryError, match="too long"):
        understand(asked, Op.ADD, policy, who="a", source="api")


def test_what_is_no_number_of_the_kind_that_is_said_is_refused_for_an_edit_too(
    policy: Policy,
) -> None:
    asked = Asked(number="+33162", kind=EntryKind.NUMBER)
    with pytest.raises(EntryError):
        understand(asked, Op.EDIT, policy, who="a", source="api")
