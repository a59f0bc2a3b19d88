"""Managed changes over a policy: in order, never half, and what was answered is in force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.entries import EntryStore, NewChange, Op, Status
from gateway.errors import EntryError, StoreError
from gateway.policy.model import Entry, EntryKind, Policy
from gateway.reload.overlay import Laid, lay, managed_seq
from tests.support.policies import make_list, make_policy

MOST = 3
LISTS = (make_list("blacklist"), make_list("friends", "allow", 1))
STEP = st.tuples(
    st.sampled_from(["add", "remove", "edit", "undo"]),
    st.integers(0, 4),
    st.booleans(),
    st.sampled_from(["wait", "lay", "partly"]),
)


def change(op: str, digit: int, store: EntryStore, **rest: int | str) -> NewChange:
    known = {"rev": max(1, store.rev - digit)} if op == "undo" else {"digits": f"3316200000{digit}"}
    return NewChange(op=Op(op), who="a", source="cli", **known, **rest)  # type: ignore[arg-type]


def managed(policy: Policy) -> dict[str, tuple[int, str]]:
    """Id and reason of the managed entries that a policy decides by."""
    found = [entry for entry in policy.index.entries() if entry.managed]
    assert len({entry.digits for entry in found}) == len(found), "an entry is there twice"
    return {entry.digits: (entry.managed, entry.reason) for entry in found}


def wanted(store: EntryStore) -> dict[str, tuple[int, str]]:
    return {item.digits: (item.id, item.reason) for item in store.managed()}


@given(st.lists(STEP, max_size=25))
def test_what_was_told_is_in_force_and_all_of_it_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool, str]]
) -> None:
    """Another writer's changes may wait; one's own may not, however many wait before them."""
    store = EntryStore(tmp_path_factory.mktemp("state") / "entries.db")
    laid = Laid.on(make_policy(LISTS))
    added(store, 2 * MOST)
    try:
        for number, (op, digit, ours, how) in enumerate(steps):
            asked = change(op, digit, store, reason=f"step {number}")
            try:
                answer = store.apply(asked)
            except EntryError:
                continue
            told = [(asked, answer)] if ours else []
            if ours or how != "wait":
                laid = lay(laid, store, told, most=MOST, partly=how == "partly")
                assert managed_seq(laid.policy) + laid.behind == store.rev
            if ours:
                digits = answer.entry.digits if answer.entry else asked.digits
                now = managed(laid.policy)
                if digits:
                    assert now.get(digits) == wanted(store).get(digits)
        laid = lay(laid, store)
        assert managed(laid.policy) == wanted(store)
        assert (laid.behind, laid.ahead) == (0, ())
        assert laid.policy is laid.ordered
        assert sum(laid.extra.values()) == len(wanted(store))
    finally:
        store.close()


def added(store: EntryStore, count: int, start: int = 0) -> None:
    store.apply_all(
        [
            NewChange(op=Op.ADD, who="a", source="cli", digits=str(33610000000 + number))
            for number in range(start, start + count)
        ]
    )


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> EntryStore:
    return EntryStore(tmp_path_factory.mktemp("state") / "entries.db")


def test_of_too_many_changes_none_is_laid_or_the_first_ones(store: EntryStore) -> None:
    base = Laid.on(make_policy(LISTS))
    added(store, 8)
    none = lay(base, store, most=MOST)
    assert (none.policy, none.behind, none.changes) == (base.policy, 8, 0)
    first = lay(base, store, most=MOST, partly=True)
    assert (managed_seq(first.policy), first.behind, first.changes) == (3, 5, 3)
    assert first.extra == {"blacklist": 3}
    assert first.added == {"blacklist"}
    least = lay(base, store, most=MOST, least=6)
    assert (managed_seq(least.policy), least.behind) == (6, 2)
    store.close()


def test_what_is_ahead_stays_when_another_policy_is_compiled(store: EntryStore) -> None:
    added(store, 8)
    asked = change("add", 1, store)
    laid = lay(Laid.on(make_policy(LISTS)), store, [(asked, store.apply(asked))], most=MOST)
    assert list(managed(laid.policy)) == ["33162000001"]
    assert laid.added == {"blacklist"}
    fresh = Laid.on(make_policy(LISTS), laid.ahead)
    assert list(managed(fresh.policy)) == ["33162000001"]
    entry = Entry("blacklist", EntryKind.NUMBER, "33162000001", managed=9)
    whole = make_policy(LISTS, [entry])
    object.__setattr__(whole, "revision", "0123456789ab+9")
    assert Laid.on(whole, laid.ahead).ahead == ()
    store.close()


def test_an_entry_that_another_added_is_in_force_once_its_adding_is_answered(
    store: EntryStore,
) -> None:
    added(store, 8)
    base = Laid.on(make_policy(LISTS))
    asked = NewChange(op=Op.ADD, who="a", source="cli", digits="33610000005")
    answer = store.apply(asked)
    assert answer.status is Status.EXISTS
    laid = lay(base, store, [(asked, answer)], most=MOST)
    assert list(managed(laid.policy)) == ["33610000005"]
    gone = NewChange(op=Op.REMOVE, who="a", source="cli", digits="33610000005")
    store.apply(gone)
    answer = store.apply(gone)
    assert answer.status is Status.ABSENT
    laid = lay(laid, store, [(gone, answer)], most=MOST)
    assert managed(laid.policy) == {}
    store.close()


def test_a_log_that_ends_before_the_policy_is_refused(store: EntryStore) -> None:
    policy = make_policy(LISTS)
    object.__setattr__(policy, "revision", "0123456789ab+9")
    with pytest.raises(StoreError, match="the log ends at change 0, the policy has 9"):
        lay(Laid.on(policy), store)
    store.close()
