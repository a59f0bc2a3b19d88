"""Calls that a dialler originates through the manager interface: what stops them, and what not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.asterisk.callee import Callee
from tests.asterisk.conftest import Place, Placed
from tests.asterisk.gateway import Gateway
from tests.asterisk.manager import Values, dialler
from tests.asterisk.pbx import Pbx

BLOCKED, ALLOWED, OTHER = "0612999002", "0612000002", "0612000003"
SYNC = {"Context": "bench", "Exten": "wait", "Priority": "1"}
ASYNC = {**SYNC, "Async": "true"}
APPLICATION = {"Application": "Wait", "Data": "600"}
Originate = Callable[[str, Values], tuple[str, list[str]]]


@pytest.fixture
def originate(pbx: Pbx, callee: Callee) -> Iterator[Originate]:
    """Originates to a channel: what Asterisk answered, and the numbers that were sent an INVITE."""

    def originate(channel: str, more: Values) -> tuple[str, list[str]]:
        before = len(callee.invites)
        with dialler(pbx.manager_port) as session:
            said = session.originate(channel, more)
        return said, [invite.number for invite in callee.invites[before:]]

    yield originate
    pbx.command("channel request hangup all")
    pbx.wait_until_gone("PJSIP/")


def before_invite(number: str) -> dict[str, str]:
    """As docs/dialplan.md has it."""
    return {"PreDialGoSub": f"callgate-outbound,s,1(carrier,,,{number})"}


def check_unasked(originate: Originate, gateway: Gateway) -> None:
    """Nobody was asked about the calls before: the next attempt is that of the next call."""
    assert originate(f"Local/{OTHER}@from-internal", ASYNC) == ("Success", [OTHER])
    (attempt,) = gateway.new_attempts(1)
    assert attempt.callee == OTHER


@pytest.mark.parametrize("more", [SYNC, ASYNC, APPLICATION], ids=["sync", "async", "application"])
def test_through_the_dialplan_no_invite_leaves_to_a_blocked_number(
    originate: Originate, gateway: Gateway, more: Values
) -> None:
    said, reached = originate(f"Local/{BLOCKED}@from-internal", more)
    assert said == ("Failure" if "Async" in more else "Error")
    assert reached == []
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.frontend, attempt.verdict, attempt.callee) == ("agi", "block", BLOCKED)


def test_a_subroutine_before_the_invite_stops_a_blocked_call(
    originate: Originate, gateway: Gateway
) -> None:
    said, reached = originate(f"PJSIP/{BLOCKED}@carrier", {**SYNC, **before_invite(BLOCKED)})
    assert (said, reached) == ("Error", [])
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.verdict, attempt.reason, attempt.callee) == ("block", "binding", BLOCKED)
    assert attempt.trunk == "carrier"


def test_a_subroutine_before_the_invite_lets_an_allowed_call_out(
    originate: Originate, gateway: Gateway
) -> None:
    said, reached = originate(f"PJSIP/{ALLOWED}@carrier", {**SYNC, **before_invite(ALLOWED)})
    assert (said, reached) == ("Success", [ALLOWED])
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.verdict, attempt.delivery) == ("allow", "confirmed")


def test_a_subroutine_that_is_written_with_carets_is_not_run_and_the_call_goes_out(
    originate: Originate, gateway: Gateway, pbx: Pbx
) -> None:
    since = len(pbx.log)
    carets = {"PreDialGoSub": f"callgate-outbound^s^1(carrier^^^{BLOCKED})"}
    assert originate(f"PJSIP/{BLOCKED}@carrier", {**SYNC, **carets}) == ("Success", [BLOCKED])
    pbx.wait_for_log("Gosub address is invalid: 'callgate-outbound^s^1", since)
    check_unasked(originate, gateway)


@pytest.mark.parametrize("more", [ASYNC, APPLICATION], ids=["async", "application"])
def test_asterisk_runs_no_subroutine_for_an_originate_of_another_kind(
    originate: Originate, gateway: Gateway, more: Values
) -> None:
    said, reached = originate(f"PJSIP/{BLOCKED}@carrier", {**more, **before_invite(BLOCKED)})
    assert (said, reached) == ("Success", [BLOCKED])
    check_unasked(originate, gateway)


@pytest.mark.parametrize("more", [SYNC, ASYNC, APPLICATION], ids=["sync", "async", "application"])
def test_a_call_straight_to_the_trunk_is_caught_by_the_guard(
    originate: Originate, guarded: Gateway, pbx: Pbx, more: Values
) -> None:
    originate(f"PJSIP/{BLOCKED}@carrier", more)
    (attempt,) = guarded.new_attempts(1)
    assert (attempt.frontend, attempt.verdict, attempt.callee) == ("ami", "block", BLOCKED)
    assert attempt.delivery == "confirmed"
    pbx.wait_until_gone("PJSIP/carrier")


def test_a_call_that_was_asked_about_before_its_invite_is_not_decided_twice(
    originate: Originate, guarded: Gateway, pbx: Pbx
) -> None:
    originate(f"PJSIP/{ALLOWED}@carrier", {**SYNC, **before_invite(ALLOWED)})
    originate(f"PJSIP/{BLOCKED}@carrier", SYNC)
    allowed, blocked = guarded.new_attempts(2)
    assert (allowed.frontend, allowed.callee) == ("agi", ALLOWED)
    assert (blocked.frontend, blocked.callee) == ("ami", BLOCKED)
    assert pbx.command("core show channels concise").count("PJSIP/carrier") == 1


def test_the_subroutine_of_dial_stops_a_blocked_call_before_its_invite(
    place: Place, gateway: Gateway
) -> None:
    placed = place("bench", f"before-{BLOCKED}")
    assert placed.outcome.statuses == [100, 403]
    assert placed.reached == []
    assert gateway.new_attempts(1)[0].callee == BLOCKED


def test_the_subroutine_of_dial_lets_an_allowed_call_out(place: Place, gateway: Gateway) -> None:
    assert place("bench", f"before-{ALLOWED}").reached == [ALLOWED]
    assert gateway.new_attempts(1)[0].verdict == "allow"


def test_a_subroutine_after_the_answer_comes_too_late(place: Place, gateway: Gateway) -> None:
    placed: Placed = place("bench", f"after-{BLOCKED}", scenario="held")
    assert placed.reached == [BLOCKED]
    assert gateway.new_attempts(1)[0].verdict == "block"
