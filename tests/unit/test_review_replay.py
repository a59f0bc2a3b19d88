"""Replay: past calls as they were, decided again at their time; what differs and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.attempts.journal import Journal
from gateway.attempts.model import Attempt
from gateway.attempts.store import AttemptStore
from gateway.calls import Call, Direction, Presentation
from gateway.metrics import Metrics
from gateway.numbers import NumberPlan
from gateway.policy.decide import decide
from gateway.policy.model import Campaign, Emergency, Entry, Policy, Reason, Verdict
from gateway.review.decider import Decider, Replayer
from gateway.review.past import call_of
from gateway.review.replay import STEP, Change, replay, walked
from gateway.screener import Screened, Screener, attempt_of
from tests.support.attempts import make_attempt
from tests.support.examples import tries
from tests.support.policies import (
    NOON,
    inbound,
    make_list,
    make_policy,
    number,
    outbound,
    prefix,
)
from tests.unit.test_decide import CALLS, generated_policy

NUISANCE = make_list("nuisance")
PARTNERS = make_list("partners", "allow", 1)
EMPTY = make_policy([])


class Recorder(Screener):
    """A screener that keeps what it would journal."""

    def __init__(self, policy: Policy, journal: Journal) -> None:
        self.current = policy
        self.kept: list[Attempt] = []
        super().__init__(self, journal, Metrics())

    def _record(self, call: Call, verdict: Verdict, frontend: str, started: float) -> Screened:
        with mock.patch.object(self._journal, "append", self.kept.append):
            return super()._record(call, verdict, frontend, started)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    return Journal(tmp_path_factory.mktemp("journal"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AttemptStore]:
    made = AttemptStore(tmp_path / "attempts.db")
    yield made
    made.close()


def recorded(policy: Policy, *calls: Call) -> list[Attempt]:
    """Attempts of calls, each on its own; the n-th has the id ``n``."""
    return [
        attempt_of(str(n), call, decide(call, policy), "agi", 1.0) for n, call in enumerate(calls)
    ]


def screened(policy: Policy, journal: Journal, calls: Sequence[Call]) -> list[Attempt]:
    """Attempts of calls one after the other, as the gateway records them."""
    recorder = Recorder(policy, journal)
    for call in calls:
        recorder.screen(call, "agi")
    return recorder.kept


def test_a_call_is_the_one_that_was_screened() -> None:
    call = inbound(
        "01 62 00 00 00",
        "0140000000",
        trunk="carrier",
        campaign="typo",
        extension="100",
        pbx="pbx-1",
        channel_id="1.2",
        linked_id="1.1",
        presentation=Presentation.RESTRICTED,
        caller_name="x",
        attestation="A",
    )
    [attempt] = recorded(EMPTY, call)
    assert call_of(attempt) == call


@pytest.mark.parametrize("reason", ["hostile", "unauthorised", "error", "of another version"])
def test_what_the_policy_did_not_decide_is_no_call(reason: str) -> None:
    attempt = make_attempt(reason=reason)
    assert call_of(attempt) is None
    found = replay([attempt], EMPTY, None)
    assert (found.replayed, found.left_out, found.groups) == (0, 1, [])


def test_every_other_reason_is_decided_again() -> None:
    outside = {Reason.HOSTILE, Reason.UNAUTHORISED, Reason.ERROR}
    for reason in set(Reason) - outside:
        assert call_of(make_attempt(reason=reason.value)), reason


def test_differences_are_grouped_by_what_decides_them() -> None:
    draft = make_policy(
        [NUISANCE], [prefix("nuisance", "33162"), number("nuisance", "33140000001")]
    )
    calls = [
        inbound("0162000001"),
        outbound("+33162000001"),
        inbound("+33162000002", at=NOON + 1),
        inbound("+33140000001"),
        inbound("+33140000002"),
    ]
    found = replay(recorded(EMPTY, *calls), draft, EMPTY)
    assert (found.replayed, found.blocked, found.allowed) == (5, 4, 0)
    wide, exact = found.groups
    assert (wide.change, wide.deciding.entry, wide.calls) == (Change.BLOCKED, "+33162", 3)
    assert wide.numbers == {"+33162000001", "+33162000002"}
    assert wide.directions == {"inbound": 2, "outbound": 1}
    assert wide.responses == {603: 2, 403: 1}
    assert wide.deciding.origin == "policy.yaml:2"
    assert [example.attempt for example in wide.examples] == ["0", "1", "2"]
    assert (exact.deciding.entry, exact.deciding.kind, exact.calls) == ("+33140000001", "number", 1)


def test_a_call_that_a_draft_lets_through_is_grouped_by_what_had_blocked_it() -> None:
    policy = make_policy([NUISANCE], [prefix("nuisance", "33162")])
    attempts = recorded(policy, inbound("+33162000001"))
    for against in (policy, None):
        [group] = replay(attempts, EMPTY, against).groups
        assert group.change is Change.ALLOWED
        assert group.deciding == (
            "block",
            "list",
            "nuisance",
            "+33162",
            "prefix",
            "policy.yaml:2",
        )


def test_recorded_verdicts_are_another_past_than_the_current_policy() -> None:
    policy = make_policy([NUISANCE], [prefix("nuisance", "33162")])
    attempts = recorded(EMPTY, inbound("+33162000001"))
    assert replay(attempts, policy, policy).differences == 0
    assert replay(attempts, policy, None).blocked == 1


def test_another_response_is_counted_by_itself_and_another_entry_is_no_difference() -> None:
    policy = make_policy([NUISANCE], [prefix("nuisance", "33162"), prefix("nuisance", "33163")])
    busy = replace(NUISANCE, response=486)
    draft = make_policy(
        [busy, make_list("other", order=1)],
        [prefix("nuisance", "33162"), number("other", "33163000000")],
    )
    calls = [inbound("+33162000000"), inbound("+33163000000")]
    for against in (policy, None):
        found = replay(recorded(policy, *calls), draft, against)
        assert (found.differences, found.responses) == (0, 1)
        assert [group.change for group in found.groups] == [Change.RESPONSE]


def test_an_entry_counts_at_the_time_of_the_call() -> None:
    draft = make_policy([NUISANCE], [prefix("nuisance", "33162", expires=int(NOON))])
    calls = [inbound("+33162000000", at=NOON + step) for step in (-2, -1, 0, 1)]
    found = replay(recorded(EMPTY, *calls), draft, EMPTY)
    assert [example.attempt for example in found.groups[0].examples] == ["0", "1"]


def test_a_call_back_after_an_emergency_call_is_let_in_by_its_trunk(journal: Journal) -> None:
    trunks = {"carrier": NumberPlan.build(region="FR", emergency_region="FR")}
    policy = make_policy([NUISANCE], [prefix("nuisance", "33162")], trunks=trunks)
    calls = [
        outbound("112", trunk="carrier"),
        inbound("+33162000000", trunk="carrier", at=NOON + 60),
        inbound("+33162000000", at=NOON + 60),
        inbound("+33162000000", trunk="carrier", at=NOON + 1801),
    ]
    attempts = screened(policy, journal, calls)
    assert [attempt.verdict for attempt in attempts] == ["allow", "allow", "block", "block"]
    assert replay(attempts, policy, None).groups == []
    longer = replace(policy, emergency=Emergency(callback_window=3600.0))
    [group] = replay(attempts, longer, policy).groups
    assert (group.change, group.calls) == (Change.ALLOWED, 1)


def test_an_emergency_call_before_the_span_or_of_another_campaign_still_lets_callers_in(
    journal: Journal, store: AttemptStore
) -> None:
    campaigns = {"spring": Campaign("spring")}
    policy = make_policy([NUISANCE], [prefix("nuisance", "33162")], campaigns=campaigns)
    calls = [outbound("112", at=NOON - 60), inbound("+33162000000", campaign="spring")]
    store.add(screened(policy, journal, calls), [])
    for campaign in ("", "spring"):
        found = walked(store, policy, None, since=NOON, until=NOON + 1, campaign=campaign)
        assert (found.replayed, found.groups) == (1, [])
    assert walked(store, policy, None, since=NOON, until=NOON, campaign="").replayed == 0
    assert walked(store, policy, None, since=NOON - 60, until=NOON + 1).replayed == 2


def test_only_calls_of_a_campaign_are_compared() -> None:
    draft = make_policy(
        [NUISANCE], [prefix("nuisance", "33162")], campaigns={"spring": Campaign("spring")}
    )
    calls = [inbound("+33162000000", campaign="spring"), inbound("+33162000000")]
    found = replay(recorded(draft, *calls), draft, EMPTY, campaign="spring")
    assert found.replayed == 1


MOVED = "33199000000"


def campaigned(dids: dict[str, str], *names: str) -> Policy:
    """Blocks +33162 in the campaign ``spring`` alone."""
    item = make_list("spring-only", campaigns=frozenset({"spring"}))
    campaigns = {name: Campaign(name) for name in names}
    return make_policy([item], [prefix("spring-only", "33162")], dids=dids, campaigns=campaigns)


def test_a_number_that_moves_to_another_campaign_takes_its_calls_along() -> None:
    policy = campaigned({MOVED: "spring"}, "spring", "autumn")
    draft = campaigned({MOVED: "autumn"}, "spring", "autumn")
    attempts = recorded(policy, inbound("+33162000000", f"+{MOVED}"))
    assert attempts[0].campaign == "spring"
    found = replay(attempts, draft, policy)
    assert (found.allowed, found.uncertain) == (1, 1)  # none, had the dialplan named the campaign


def test_a_campaign_that_the_draft_lacks_blocks_the_calls_that_name_it() -> None:
    policy = campaigned({MOVED: "spring"}, "spring")
    draft = campaigned({MOVED: "summer"}, "summer")
    attempts = recorded(policy, outbound("+33140000000", f"+{MOVED}", campaign="spring"))
    found = replay(attempts, draft, policy)
    assert (found.blocked, found.uncertain) == (1, 1)
    assert found.groups[0].deciding.reason == "config"


def test_a_campaign_is_certain_where_its_number_stays() -> None:
    policy = campaigned({MOVED: "spring"}, "spring")
    draft = campaigned({MOVED: "spring", "33199000001": "spring"}, "spring", "autumn")
    attempts = recorded(policy, inbound("+33162000000", f"+{MOVED}"))
    found = replay(attempts, draft, policy)
    assert (found.differences, found.uncertain) == (0, 0)


def test_progress_counts_every_attempt_and_ends_with_all() -> None:
    attempts = recorded(EMPTY, *[inbound("+33140000001")] * (STEP + 5))
    told: list[int] = []
    replay(attempts, EMPTY, None, told.append)
    assert told == [STEP, STEP + 5]


MANY_CALLS = st.lists(
    st.tuples(CALLS, st.sampled_from([0.0, 0.5, 1.0, 400.0, 1800.0])), min_size=1, max_size=12
)


def in_turn(steps: Sequence[tuple[Call, float]]) -> list[Call]:
    """The calls one after the other, around the time at which generated entries expire."""
    at, calls = NOON - 1, []
    for call, pause in steps:
        calls.append(structs.replace(call, at=at, emergency_at=0.0))
        at += pause
    return calls


@tries(150)
@given(made=generated_policy(), steps=MANY_CALLS, repeated=st.integers(1, 3))
def test_what_was_recorded_under_a_policy_does_not_differ_from_it(
    journal: Journal,
    made: tuple[Policy, list[Entry]],
    steps: list[tuple[Call, float]],
    repeated: int,
) -> None:
    policy, _ = made
    attempts = screened(policy, journal, in_turn(steps * repeated))
    for against in (policy, None):
        found = replay(attempts, policy, against)
        assert found.groups == []
        assert (found.replayed, found.left_out) == (len(attempts), 0)


@tries(150)
@given(made=generated_policy(), other=generated_policy(), steps=MANY_CALLS)
def test_a_replay_agrees_with_two_screeners(
    journal: Journal,
    made: tuple[Policy, list[Entry]],
    other: tuple[Policy, list[Entry]],
    steps: list[tuple[Call, float]],
) -> None:
    calls = in_turn(steps * 2)
    old, new = (screened(policy, journal, calls) for policy, _ in (made, other))
    found = replay(old, other[0], made[0])
    pairs = list(zip(old, new, strict=True))
    assert found.blocked == sum(a.verdict == "allow" and b.verdict == "block" for a, b in pairs)
    assert found.allowed == sum(a.verdict == "block" and b.verdict == "allow" for a, b in pairs)
    assert found.responses == sum(
        a.verdict == b.verdict == "block" and a.response != b.response for a, b in pairs
    )
    assert found.differences + found.responses == sum(group.calls for group in found.groups)


@tries(150)
@given(made=generated_policy(), call=CALLS, times=st.lists(st.floats(-2.5, 2.5), max_size=8))
def test_a_remembered_verdict_is_the_one_that_would_be_decided(
    made: tuple[Policy, list[Entry]], call: Call, times: list[float]
) -> None:
    policy, _ = made
    decider = Decider(policy)
    for moment in times:
        asked = structs.replace(call, at=NOON + moment)
        assert decider.verdict(asked) == structs.replace(decide(asked, policy), shadow=None)


def test_equal_calls_are_decided_once_while_nothing_expires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = make_policy([NUISANCE], [prefix("nuisance", "33162", expires=int(NOON) + 10)])
    decided: list[float] = []

    def counted(call: Call, policy: Policy) -> object:
        decided.append(float(call.at))
        return decide(call, policy)

    monkeypatch.setattr("gateway.review.decider.decide", counted)
    replayer = Replayer(policy)
    verdicts = [
        replayer.verdict(inbound("+33162000000", at=NOON + at)).blocked for at in (0, 9, 10, 11, 99)
    ]
    assert verdicts == [True, True, False, False, False]
    assert decided == [NOON, NOON + 10]


def test_a_remembered_verdict_holds_between_expiries_in_any_order_of_calls() -> None:
    policy = make_policy([NUISANCE], [prefix("nuisance", "33162", expires=int(NOON))])
    decider = Decider(policy)
    order = (1, -1, 0, -2, 2)
    blocked = [decider.verdict(inbound("+33162000000", at=NOON + at)).blocked for at in order]
    assert blocked == [False, True, False, True, False]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.review.decider.MOST", 2)
    decider = Decider(make_policy([NUISANCE], [number("nuisance", "33162000003")]))
    for _ in range(2):
        blocked = [decider.verdict(inbound(f"+3316200000{n}")).blocked for n in range(6)]
        assert blocked == [False, False, False, True, False, False]
        assert len(decider._known) <= 2


def test_a_walk_gives_every_attempt_once_oldest_first(
    store: AttemptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.attempts.store.WALK_ROWS", 3)
    times = [5, 1, 1, 1, 1, 9, 3, 7, 2]
    attempts = [make_attempt(f"{n}", NOON + at) for n, at in enumerate(times)]
    store.add(attempts, [])
    found = [attempt.id for attempt in store.walk(NOON + 1, NOON + 9)]
    assert found == ["1", "2", "3", "4", "8", "6", "0", "7"]
    assert list(store.walk(NOON + 10, NOON + 20)) == []


def test_directions_are_those_of_calls() -> None:
    assert call_of(make_attempt(direction="sideways")) is None
    assert call_of(make_attempt(presentation="odd")) is None
    outward = call_of(make_attempt(direction="outbound"))
    assert outward is not None
    assert outward.direction is Direction.OUTBOUND
