"""What an entry would have changed: as if every past call were decided with it and without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from msgspec import structs

from gateway.attempts import query
from gateway.attempts.model import Attempt
from gateway.attempts.store import AttemptStore
from gateway.calls import Call, Direction
from gateway.policy.decide import decide
from gateway.policy.model import Action, Campaign, Entry, EntryKind, Match, Party, Policy
from gateway.review import impact as module
from gateway.review.impact import Impact, impact
from gateway.review.overlap import SHOWN, Overlap, overlap
from gateway.review.past import call_of, remote_of
from gateway.screener import attempt_of
from tests.support.attempts import make_attempt
from tests.support.examples import tries
from tests.support.policies import NOON, inbound, make_list, make_policy, number, outbound, prefix
from tests.unit.test_decide import CALLS, DIGITS, generated_policy

BLACKLIST = make_list("blacklist")
PARTNERS = make_list("partners", "allow", 1)
POLICY = make_policy([BLACKLIST, PARTNERS], [prefix("partners", "3316255")])
NEW = prefix("blacklist", "33162")
SPAN: Any = {"since": NOON - 60, "until": NOON + 60}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AttemptStore]:
    made = AttemptStore(tmp_path / "attempts.db")
    yield made
    made.close()


def recorded(policy: Policy, *calls: Call) -> list[Attempt]:
    """Attempts newest first; the n-th call has the id ``n``."""
    numbered = enumerate(calls)
    made = [attempt_of(f"{n:03}", call, decide(call, policy), "agi", 1.0) for n, call in numbered]
    return sorted(made, key=lambda attempt: (attempt.at, attempt.id), reverse=True)


def filled(store: AttemptStore, policy: Policy, *calls: Call) -> AttemptStore:
    store.add(reversed(recorded(policy, *calls)), [])
    return store


def test_it_tells_calls_numbers_campaigns_and_directions(store: AttemptStore) -> None:
    campaigns = {"spring": Campaign("spring")}
    policy = replace(POLICY, campaigns=campaigns)
    calls = [
        inbound("0162000001", campaign="spring"),
        inbound("+33162000001", at=NOON + 1),
        outbound("0162000002", at=NOON + 2, campaign="spring"),
        inbound("+33162550000"),
        inbound("+33140000001", callee="+33162000000"),
    ]
    found = impact(policy, NEW, filled(store, policy, *calls), **SPAN)
    assert (found.action, found.calls, found.numbers) == (Action.BLOCK, 3, 2)
    assert found.campaigns == (("spring", 2), ("", 1))
    assert found.directions == (("inbound", 2), ("outbound", 1))
    assert [example.attempt for example in found.examples] == ["002", "001"]
    assert found.examples[0].callee == "+33162000002"
    assert (found.examined, found.left_out, found.complete) == (4, 0, True)


def test_an_allowing_entry_tells_what_it_would_have_let_through(store: AttemptStore) -> None:
    policy = make_policy([BLACKLIST, PARTNERS], [NEW])
    calls = [inbound("+33162550001"), inbound("+33162000000"), inbound("+33162550002")]
    found = impact(policy, prefix("partners", "3316255"), filled(store, policy, *calls), **SPAN)
    assert (found.action, found.calls, found.numbers) == (Action.ALLOW, 2, 2)


def test_numbers_with_digits_to_spare_are_found_too(store: AttemptStore) -> None:
    calls = [outbound("01620000001"), outbound("000033162550001"), outbound("01400000001")]
    found = impact(POLICY, NEW, filled(store, POLICY, *calls), **SPAN)
    assert (found.calls, found.examined) == (2, 2)
    assert {example.callee for example in found.examples} == {"01620000001", "000033162550001"}


def test_short_entries_are_found_as_dialled(store: AttemptStore) -> None:
    calls = [outbound("3179"), outbound("31790"), outbound("+33140000000"), inbound("3179")]
    filled(store, POLICY, *calls)
    short = Entry("blacklist", EntryKind.SHORT, "3179")
    assert impact(POLICY, short, store, **SPAN).calls == 2
    longer = structs.replace(short, kind=EntryKind.SHORT_PREFIX)
    assert impact(POLICY, longer, store, **SPAN).calls == 3


def test_calls_out_of_the_span_are_not_looked_at(store: AttemptStore) -> None:
    calls = [inbound("+33162000001", at=NOON + at) for at in (-61, -60, 0, 59, 60)]
    assert impact(POLICY, NEW, filled(store, POLICY, *calls), **SPAN).examined == 3


def test_a_budget_looks_at_the_newest_and_says_that_there_are_more(store: AttemptStore) -> None:
    filled(store, POLICY, *[inbound("+33162000001", at=NOON + at) for at in range(10)])
    found = impact(POLICY, NEW, store, **SPAN, budget=4)
    assert (found.calls, found.complete) == (4, False)
    assert found.examples[0].attempt == "009"
    assert impact(POLICY, NEW, store, **SPAN, budget=10).complete


def test_too_many_texts_make_it_incomplete(
    store: AttemptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_TEXTS", 2)
    filled(store, POLICY, *[outbound(f"0162000000{n}0") for n in range(3)])
    found = impact(POLICY, NEW, store, **SPAN)
    assert (found.calls, found.complete) == (2, False)


def test_a_prefix_of_very_many_is_searched_by_time_with_the_same_result(
    store: AttemptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [inbound(f"016200000{n}", at=NOON + n) for n in range(10)]
    filled(store, POLICY, *calls, outbound("01620000001"), inbound("+33140000001"))
    by_number = impact(POLICY, NEW, store, **SPAN)
    monkeypatch.setattr(query, "BROAD", 3)
    assert impact(POLICY, NEW, store, **SPAN) == by_number
    assert by_number.calls == 2 + 9


def test_what_no_policy_decided_is_left_out() -> None:
    attempts = [make_attempt("a", reason="hostile"), make_attempt("b", reason="default")]
    found = impact(POLICY, NEW, attempts, **SPAN)
    assert (found.calls, found.examined, found.left_out) == (1, 1, 1)


def test_a_call_back_after_an_emergency_call_is_let_in_either_way() -> None:
    attempts = [make_attempt("a", reason="emergency_callback", verdict="allow")]
    assert impact(POLICY, NEW, attempts, **SPAN).calls == 0


def test_an_entry_that_is_there_already_changes_nothing_but_a_managed_one_is_taken_out() -> None:
    attempts = [make_attempt("a", reason="default", verdict="allow")]
    written = make_policy([BLACKLIST], [NEW])
    assert impact(written, NEW, attempts, **SPAN).calls == 0
    managed = structs.replace(NEW, managed=7)
    assert impact(make_policy([BLACKLIST], [managed]), managed, attempts, **SPAN).calls == 1
    overlaid = replace(POLICY, index=POLICY.index.with_managed([managed]))
    assert impact(overlaid, managed, attempts, **SPAN).calls == 1


@pytest.mark.parametrize("name", ["nowhere", "category"])
def test_an_entry_of_no_list_does_nothing(name: str, store: AttemptStore) -> None:
    policy = replace(
        POLICY, lists=(*POLICY.lists, make_list("category", order=2, match=Match(invalid=True)))
    )
    found = impact(
        policy,
        structs.replace(NEW, list=name),
        filled(store, POLICY, inbound("0162000000")),
        **SPAN,
    )
    assert (found.calls, found.examined, found.overlap) == (0, 0, Overlap())


def brute_force(policy: Policy, entry: Entry, attempts: list[Attempt]) -> tuple[int, int, set[str]]:
    """Calls that become blocked, those that become allowed, and the numbers of both."""
    blocked, allowed, numbers = 0, 0, set()
    added = structs.replace(entry, managed=99)
    more = replace(policy, index=policy.index.with_managed([added]))
    for attempt in attempts:
        call = call_of(attempt)
        assert call is not None
        if attempt.reason == "emergency_callback":
            call = structs.replace(call, emergency_at=call.at)
        before, after = decide(call, policy), decide(call, more)
        if before.blocked is not after.blocked:
            numbers.add(remote_of(attempt))
            blocked += after.blocked
            allowed += before.blocked
    return blocked, allowed, numbers


@st.composite
def new_entry(draw: st.DrawFn, policy: Policy) -> Entry:
    kind = draw(st.sampled_from(EntryKind))
    digits = draw(st.sampled_from(["112", "3179", "31", "1", "123"] if kind.short else DIGITS))
    name = draw(st.sampled_from([item.name for item in policy.lists]))
    expires = draw(st.sampled_from([0, int(NOON), int(NOON) + 1]))
    return Entry(name, kind, digits, expires=expires)


@tries(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), calls=st.lists(CALLS, min_size=1, max_size=30), broad=st.sampled_from([1, 99])
)
def test_the_impact_is_that_of_deciding_every_call_twice(
    store: AttemptStore,
    monkeypatch: pytest.MonkeyPatch,
    data: st.DataObject,
    calls: list[Call],
    broad: int,
) -> None:
    policy, _ = data.draw(generated_policy())
    entry = data.draw(new_entry(policy))
    item = next(item for item in policy.lists if item.name == entry.list)
    monkeypatch.setattr(query, "BROAD", broad)
    store.clear()
    attempts = recorded(policy, *calls)
    store.add(attempts, [])
    expected = (0, 0, set[str]()) if item.match else brute_force(policy, entry, attempts)
    for source in (store, attempts):
        found = impact(policy, entry, source, **SPAN)
        blocking = item.action is Action.BLOCK
        counts = (found.calls, 0) if blocking else (0, found.calls)
        assert (*counts, found.numbers) == (*expected[:2], len(expected[2]))
        assert found.complete
        assert sum(count for _, count in found.directions) == found.calls


def texts(found: tuple[Entry, ...]) -> set[str]:
    return {entry.text for entry in found}


def met(policy: Policy, entry: Entry) -> Overlap:
    found: Impact = impact(policy, entry, [], **SPAN)
    return found.overlap


def test_longer_entries_of_the_other_action_are_exceptions() -> None:
    entries = [
        prefix("partners", "3316255"),
        number("partners", "33162000001"),
        prefix("partners", "33"),
        prefix("partners", "33163"),
        prefix("partners", "331620", expires=int(NOON)),
    ]
    found = met(make_policy([BLACKLIST, PARTNERS], entries), NEW)
    assert texts(found.exceptions.entries) == {"+3316255", "+33162000001"}
    assert found.exceptions.total == 2
    assert found.redundant.total == 0


def test_an_entry_of_the_same_digits_that_wins_the_tie_is_an_exception() -> None:
    assert texts(
        met(
            make_policy([BLACKLIST, PARTNERS], [prefix("partners", "33162")]), NEW
        ).exceptions.entries
    ) == {"+33162"}
    policy = make_policy([BLACKLIST, PARTNERS], [NEW])
    assert met(policy, prefix("partners", "33162")).exceptions.total == 1  # the YAML's comes first
    managed = make_policy([BLACKLIST, PARTNERS], [structs.replace(NEW, managed=3)])
    assert met(managed, prefix("partners", "33162")).exceptions.total == 0
    exact = [number("partners", "33162000001")]
    found = met(make_policy([BLACKLIST, PARTNERS], exact), number("blacklist", "33162000001"))
    assert found.exceptions.total == 1


def test_nothing_is_an_exception_to_a_binding_entry() -> None:
    binding = replace(BLACKLIST, binding=True)
    assert met(make_policy([binding, PARTNERS], [prefix("partners", "3316255")]), NEW) == Overlap()


def test_entries_of_the_same_effect_below_are_redundant() -> None:
    lists = [BLACKLIST, PARTNERS, make_list("nuisance", order=2)]
    entries = [
        number("nuisance", "33162000001"),
        prefix("blacklist", "331620"),
        structs.replace(prefix("blacklist", "331621"), managed=5),
        prefix("partners", "3316255"),
        prefix("nuisance", "33162551"),
        prefix("nuisance", "33"),
    ]
    found = met(make_policy(lists, entries), NEW)
    assert texts(found.redundant.entries) == {"+33162000001", "+331620", "+331621"}
    assert texts(found.exceptions.entries) == {"+3316255"}


@pytest.mark.parametrize(
    ("rest", "redundant"),
    [
        ({}, 1),
        ({"campaigns": frozenset({"spring"})}, 1),
        ({"direction": Direction.INBOUND}, 1),
        ({"party": Party.ANY}, 0),
        ({"response": 486}, 0),
        ({"binding": True}, 0),
    ],
)
def test_only_what_does_no_more_is_redundant(rest: dict[str, Any], redundant: int) -> None:
    policy = make_policy(
        [BLACKLIST, make_list("other", order=1, **rest)],
        [prefix("other", "331620")],
        campaigns={"spring": Campaign("spring")},
    )
    assert met(policy, NEW).redundant.total == redundant


def test_an_entry_that_ends_makes_only_what_ends_before_it_redundant() -> None:
    entries = [
        prefix("blacklist", "331620", expires=int(NOON) + 100),
        prefix("blacklist", "331621", expires=int(NOON) + 300),
        prefix("blacklist", "331622"),
    ]
    ending = structs.replace(NEW, expires=int(NOON) + 200)
    assert texts(met(make_policy([BLACKLIST], entries), ending).redundant.entries) == {"+331620"}


def test_lists_that_share_no_call_do_not_meet() -> None:
    inward = replace(PARTNERS, direction=Direction.INBOUND)
    outward = replace(BLACKLIST, direction=Direction.OUTBOUND)
    assert met(make_policy([outward, inward], [prefix("partners", "3316255")]), NEW) == Overlap()
    one = replace(BLACKLIST, trunks=frozenset({"a"}))
    other = replace(PARTNERS, trunks=frozenset({"b"}))
    assert met(make_policy([one, other], [prefix("partners", "3316255")]), NEW) == Overlap()


def test_many_are_counted_and_some_are_given() -> None:
    entries = [number("blacklist", f"33162{n:06}") for n in range(SHOWN + 5)]
    found = met(make_policy([BLACKLIST], entries), NEW).redundant
    assert (found.total, len(found.entries)) == (SHOWN + 5, SHOWN)


@tries(150)
@given(data=st.data())
def test_without_what_is_redundant_every_call_gets_the_same_answer(data: st.DataObject) -> None:
    policy, _ = data.draw(generated_policy())
    entry = structs.replace(data.draw(new_entry(policy)), managed=99)
    call = data.draw(CALLS)
    index = policy.index.with_managed([entry])
    gone = overlap(entry, replace(policy, index=index), call.at).redundant.entries
    rest = [one for one in index.entries() if one not in gone]
    fewer = make_policy(policy.lists, rest).index
    with_all = decide(call, replace(policy, index=index))
    without = decide(call, replace(policy, index=fewer))
    assert (with_all.action, with_all.response) == (without.action, without.response)
