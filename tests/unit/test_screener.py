"""The one door: every call is journaled before it is answered, and nothing stops an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from msgspec import structs

from gateway.attempts.journal import Journal
from gateway.attempts.model import Delivery
from gateway.calls import Call, Direction, Presentation
from gateway.errors import JournalError
from gateway.metrics import Metrics
from gateway.numbers import NumberPlan
from gateway.policy.model import Action, Mode, OnError, Policy, Reason, Verdict
from gateway.screener import Screener, attempt_of
from tests.support.policies import NOON, inbound, make_list, make_policy, outbound, prefix


@dataclass
class Policies:
    current: Policy


POLICY = make_policy(
    [make_list("nuisance"), make_list("trial", order=1, mode=Mode.SHADOW)],
    [prefix("nuisance", "33162"), prefix("trial", "33163")],
    trunks={"carrier": NumberPlan.build(region="FR")},
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal", 0, segment_bytes=1 << 20, durability="process")
    yield made
    made.close()


@pytest.fixture
def screener(journal: Journal) -> Screener:
    return Screener(Policies(POLICY), journal, Metrics())


def journaled(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.glob("journal/*.jsonl")))


def test_a_verdict_stands_in_the_journal_before_it_is_handed_back(
    screener: Screener, tmp_path: Path
) -> None:
    screened = screener.screen(inbound("+33162000000", trunk="carrier"), "agi")
    assert screened.verdict.blocked
    text = journaled(tmp_path)
    for part in (screened.attempt_id, '"+33162000000"', '"nuisance"', '"carrier"', '"agi"'):
        assert part in text


def test_the_verdicts_of_a_turn_stand_in_the_journal_once_it_is_flushed(
    screener: Screener, tmp_path: Path
) -> None:
    screener.hold()
    screened = [screener.screen(inbound(f"+3316200000{n}"), "agi") for n in range(3)]
    screener.delivered(screened[0].attempt_id, Delivery.CONFIRMED)
    assert journaled(tmp_path) == ""
    screener.flush()
    text = journaled(tmp_path)
    assert all(one.attempt_id in text for one in screened)
    assert len(text.splitlines()) == 4


def test_every_line_of_a_turn_that_the_disk_refuses_is_counted_and_told_of_once(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    screener = Screener(Policies(POLICY), journal, metrics)
    screener.hold()
    for n in range(3):
        screener.screen(inbound(f"+3316200000{n}"), "agi")
    with mock.patch("gateway.attempts.journal.os.write", side_effect=OSError(28, "no space")):
        screener.flush()
    assert metrics.value("callgate_journal_errors_total") == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "3 of 3 lines lost" in caplog.text
    assert not screener.screen(inbound("+33199000000"), "agi").verdict.blocked


def test_a_broken_journal_never_stops_an_answer(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    screener = Screener(Policies(POLICY), journal, metrics)
    with mock.patch.object(journal, "append", side_effect=JournalError("disk full")):
        screened = screener.screen(inbound("+33162000000"), "agi")
    assert screened.verdict.blocked
    assert metrics.value("callgate_journal_errors_total") == 1
    assert "disk full" in caplog.text


@pytest.mark.parametrize(
    ("call", "action", "reason"),
    [
        (inbound("+33162000000"), Action.ALLOW, Reason.ERROR),
        (outbound("+33162000000"), Action.BLOCK, Reason.ERROR),
        (outbound("112"), Action.ALLOW, Reason.EMERGENCY),
    ],
)
def test_a_call_that_cannot_be_decided_gets_on_error_and_an_emergency_gets_through(
    screener: Screener,
    call: Call,
    action: Action,
    reason: Reason,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with mock.patch("gateway.screener.decide", side_effect=RuntimeError("bug")):
        verdict = screener.screen(call, "agi").verdict
    assert (verdict.action, verdict.reason) == (action, reason)
    assert bool(verdict.response) == verdict.blocked
    assert any(record.levelno == logging.ERROR for record in caplog.records)


def test_on_error_follows_the_policy(journal: Journal) -> None:
    closed = replace(POLICY, on_error=OnError(Action.BLOCK, Action.ALLOW))
    screener = Screener(Policies(closed), journal, Metrics())
    with mock.patch("gateway.screener.decide", side_effect=RuntimeError("bug")):
        assert screener.screen(inbound("+33199000000"), "agi").verdict.response == 603
        assert not screener.screen(outbound("+33199000000"), "agi").verdict.blocked


def test_an_emergency_call_opens_its_trunk_for_a_call_back(screener: Screener) -> None:
    screener.screen(outbound("112", trunk="carrier"), "agi")
    assert screener.emergencies == {"carrier": NOON}
    back = inbound("+33162000000", at=NOON + 60, trunk="carrier")
    assert screener.screen(back, "agi").verdict.reason is Reason.EMERGENCY_CALLBACK
    for other in ("other", ""):
        assert screener.screen(structs.replace(back, trunk=other), "agi").verdict.blocked


def test_trunks_that_nobody_configured_share_one_window(screener: Screener) -> None:
    for number in range(100):
        screener.screen(outbound("112", trunk=f"made-up-{number}"), "agi")
    assert screener.emergencies == {"": NOON}
    back = inbound("+33162000000", at=NOON + 60, trunk="typo")
    assert screener.screen(back, "agi").verdict.reason is Reason.EMERGENCY_CALLBACK


def test_a_hostile_request_is_blocked_and_journaled(screener: Screener, tmp_path: Path) -> None:
    screened = screener.hostile(inbound("+33199000000"), "agi", "two blank lines")
    assert (screened.verdict.reason, screened.verdict.response) == (Reason.HOSTILE, 403)
    assert '"hostile"' in journaled(tmp_path)
    assert "two blank lines" in journaled(tmp_path)


def test_an_emergency_call_goes_out_even_when_its_request_is_refused(screener: Screener) -> None:
    refused = screener.refuse(outbound("112"), "agi", Reason.UNAUTHORISED, "wrong secret")
    assert (refused.verdict.action, refused.verdict.reason) == ("allow", "emergency")
    assert not screener.emergencies, "or whoever lacks the secret could let blocked callers in"
    screener.hostile(outbound("112"), "agi", "two blank lines")
    assert not screener.emergencies
    forged = screener.refuse(inbound("112"), "agi", Reason.UNAUTHORISED, "wrong secret")
    assert (forged.verdict.action, forged.verdict.reason) == ("block", "unauthorised")


def test_what_shadow_lists_would_have_said_is_in_the_attempt(screener: Screener) -> None:
    call = inbound("+33163000000")
    verdict = screener.screen(call, "agi").verdict
    record = attempt_of("id", call, verdict, "agi", 12.34)
    assert record.verdict == "allow"
    assert record.shadow is not None
    assert (record.shadow.verdict, record.shadow.list, record.shadow.response) == (
        "block",
        "trial",
        603,
    )


def test_every_fact_of_a_call_and_its_verdict_stands_under_its_own_name() -> None:
    facts: dict[str, Any] = {name: name for name in Call.__struct_fields__}
    call = Call(**facts | {"direction": Direction.OUTBOUND, "at": NOON, "emergency_at": 1.0})
    call = structs.replace(call, presentation=Presentation.RESTRICTED)
    told: dict[str, Any] = {name: name for name in Verdict.__struct_fields__}
    told |= {"action": Action.BLOCK, "reason": Reason.LIST, "response": 486, "shadow": None}
    verdict = Verdict(**told | {"unknown_scope": True, "caller": "+1", "callee": "+2"})
    record = structs.asdict(attempt_of("an id", call, verdict, "agi", 12.34))
    same = {name: name for name in ("trunk", "extension", "pbx", "channel_id", "linked_id")}
    same |= {name: name for name in ("caller_name", "attestation", "party", "list", "entry")}
    same |= {name: name for name in ("kind", "origin", "note", "revision", "campaign")}
    assert record == same | {
        "id": "an id",
        "at": NOON,
        "direction": "outbound",
        "verdict": "block",
        "reason": "list",
        "caller": "caller",
        "caller_e164": "+1",
        "callee": "callee",
        "callee_e164": "+2",
        "presentation": "restricted",
        "response": 486,
        "unknown_scope": True,
        "shadow": None,
        "frontend": "agi",
        "elapsed_us": 12.3,
        "delivery": "pending",
    }
    assert {type(value) for value in record.values()} == {str, int, float, bool, type(None)}


def test_calls_of_several_frontends_are_counted_apart(journal: Journal) -> None:
    metrics = Metrics()
    screener = Screener(Policies(POLICY), journal, metrics)
    for frontend in ("agi", "esl", "agi"):
        screener.screen(inbound("+33162000000"), frontend)
    screener.screen(outbound("+33199000000"), "agi")
    counted = {
        tuple(value for _, value in sample.labels): sample.value
        for sample in metrics.snapshot()
        if sample.name == "callgate_calls_total"
    }
    assert counted == {
        ("agi", "inbound", "block", "list"): 2,
        ("esl", "inbound", "block", "list"): 1,
        ("agi", "outbound", "allow", "default"): 1,
    }
    timed = [
        str(one) for one in metrics.snapshot() if one.name == "callgate_decision_seconds_count"
    ]
    assert timed == [
        'callgate_decision_seconds_count{frontend="agi"} 3',
        'callgate_decision_seconds_count{frontend="esl"} 1',
    ]


def test_delivery_is_noted_and_its_failure_only_counted(journal: Journal) -> None:
    metrics = Metrics()
    screener = Screener(Policies(POLICY), journal, metrics)
    attempt = screener.screen(inbound("+33199000000"), "agi").attempt_id
    screener.delivered(attempt, Delivery.CONFIRMED)
    with mock.patch.object(journal, "delivery", side_effect=JournalError("gone")):
        screener.delivered(attempt, Delivery.CONFIRMED)
    assert metrics.value("callgate_deliveries_total", delivery="confirmed") == 2
    assert metrics.value("callgate_journal_errors_total") == 1
    assert screener.durable() is None
