"""Originates that run no dialplan: the hook of the gateway stops them before their INVITE."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.asterisk.callee import Callee
from tests.asterisk.gateway import Gateway
from tests.freeswitch.pbx import FreeSwitch

Originate = Callable[[str], str]
FROM = "{origination_caller_id_number=+33140000000}"


@pytest.fixture
def originate(pbx: FreeSwitch) -> Iterator[Originate]:
    """Originates to a number through the hooked gateway; says what FreeSWITCH answered."""
    yield lambda number: pbx.api(f"originate {FROM}sofia/gateway/hooked/{number} &park")
    pbx.api("hupall")


def test_a_blocked_leg_is_rejected_before_its_invite(
    originate: Originate, gateway: Gateway, callee: Callee
) -> None:
    before = len(callee.invites)
    assert originate("0612999002") == "-ERR CALL_REJECTED"
    assert callee.invites[before:] == []
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.direction, attempt.reason) == ("outbound", "binding")
    assert (attempt.trunk, attempt.caller) == ("carrier", "+33140000000")
    assert attempt.callee_e164 == "+33612999002"


def test_an_allowed_leg_goes_out(originate: Originate, gateway: Gateway, callee: Callee) -> None:
    before = len(callee.invites)
    assert originate("0612000002").startswith("+OK")
    assert [invite.number for invite in callee.invites[before:]] == ["0612000002"]
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.verdict, attempt.delivery) == ("allow", "confirmed")


def test_an_allowed_leg_lives_longer_than_the_deadline(
    originate: Originate, gateway: Gateway, pbx: FreeSwitch
) -> None:
    since = len(pbx.log)
    assert originate("0612000003").startswith("+OK")
    gateway.new_attempts(1)
    assert "switch_ivr_schedule_hangup" in pbx.wait_for_log("Deleting task", since)


def test_a_leg_is_not_held_by_a_gateway_that_is_stopped(
    originate: Originate, gateway: Gateway, callee: Callee
) -> None:
    before = len(callee.invites)
    gateway.freeze()
    try:
        assert originate("0612000004") == "-ERR CALL_REJECTED"
    finally:
        gateway.thaw()
    assert callee.invites[before:] == []
