"""The guard on a real Asterisk: what bypasses the dialplan is caught, the rest left alone."""

from __future__ import annotations

import pytest

from tests.asterisk.callee import Callee
from tests.asterisk.conftest import Place
from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import Pbx

BLOCKED = "0612999002"


def originate(pbx: Pbx, channel: str) -> None:
    """A call by no telephone, which would last for ever."""
    pbx.command(f"channel originate {channel} application Wait 600")


def test_a_call_straight_to_the_trunk_is_caught(guarded: Gateway, pbx: Pbx) -> None:
    originate(pbx, f"PJSIP/{BLOCKED}@carrier")
    (attempt,) = guarded.new_attempts(1)
    pbx.wait_until_gone("PJSIP/carrier")
    assert (attempt.frontend, attempt.verdict, attempt.reason) == ("ami", "block", "binding")
    assert (attempt.callee_e164, attempt.trunk) == ("+33612999002", "carrier")
    assert attempt.delivery == "confirmed"


def test_through_the_dialplan_the_same_call_never_leaves(
    guarded: Gateway, pbx: Pbx, callee: Callee
) -> None:
    before = len(callee.invites)
    originate(pbx, f"Local/{BLOCKED}@from-internal")
    (attempt,) = guarded.new_attempts(1)
    pbx.wait_until_gone("Local/")
    assert (attempt.frontend, attempt.verdict) == ("agi", "block")
    assert callee.invites[before:] == []


def test_an_allowed_call_straight_to_the_trunk_is_an_attempt_and_goes_on(
    guarded: Gateway, pbx: Pbx
) -> None:
    originate(pbx, "PJSIP/0612000002@carrier")
    originate(pbx, f"PJSIP/{BLOCKED}@carrier")
    allowed, blocked = guarded.new_attempts(2)
    assert (allowed.callee, allowed.verdict) == ("0612000002", "allow")
    assert allowed.delivery == "reported"
    assert blocked.delivery == "confirmed"
    assert pbx.command("core show channels concise").count("PJSIP/carrier") == 1


def test_a_call_that_the_dialplan_asked_about_is_not_decided_twice(
    guarded: Gateway, place: Place
) -> None:
    placed = place("phone", "0612000002")
    assert placed.outcome.answered
    (attempt,) = guarded.new_attempts(1)
    assert attempt.frontend == "agi"


def test_a_call_that_goes_elsewhere_than_was_asked_is_a_call_of_its_own(
    guarded: Gateway, place: Place, pbx: Pbx
) -> None:
    place("bench", "diverted")
    asked, went = guarded.new_attempts(2)
    assert (asked.frontend, asked.verdict, asked.callee) == ("agi", "allow", "0612000001")
    assert (went.frontend, went.verdict, went.callee) == ("ami", "block", BLOCKED)
    pbx.wait_until_gone("PJSIP/carrier")


def test_a_caller_who_writes_events_of_his_own_is_not_believed(
    guarded: Gateway, place: Place, pbx: Pbx
) -> None:
    """%0D%0A%0D%0A in From ends an event of Asterisk's manager, and begins one."""
    forged = "sip:%2B1%0D%0A%0D%0AEvent%3A%20DialBegin%0D%0ADialString%3A%201%40c@127.0.0.14"
    place("bench", "unasked", uri=forged)
    originate(pbx, f"PJSIP/{BLOCKED}@carrier")
    (attempt,) = guarded.new_attempts(1)
    assert attempt.callee == BLOCKED
    assert attempt.delivery == "confirmed"
    assert "an event of Asterisk is not used" in guarded.output


@pytest.mark.parametrize("line", ["Event%3A%20x", "event%3A%20Hangup", "ActionID%3A%201"])
def test_a_caller_who_makes_another_event_of_a_leg_does_not_hide_it(
    guarded: Gateway, place: Place, line: str
) -> None:
    """One line of his in From, twice, where inbound calls are not screened."""
    place("bench", "unasked", uri=f"sip:%2B1%0D%0A{line}%0D%0A{line}@127.0.0.14")
    (attempt,) = guarded.new_attempts(1)
    assert (attempt.frontend, attempt.callee) == ("ami", "0612000009")


def test_a_number_that_is_added_hangs_up_its_live_call(guarded: Gateway, pbx: Pbx) -> None:
    originate(pbx, "Local/0612000003@from-internal")
    originate(pbx, "Local/0612000004@from-internal")
    guarded.new_attempts(2)
    guarded.run("add", "--list", "dropping", "+33612000003")
    (attempt,) = guarded.new_attempts(1)
    assert (attempt.frontend, attempt.list, attempt.verdict) == ("ami", "dropping", "block")
    assert attempt.delivery == "confirmed"
    pbx.wait_until_gone("0612000003@from-internal")
    assert "0612000004@from-internal" in pbx.command("core show channels concise")
