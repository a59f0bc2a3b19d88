"""Calls that a telephone makes through a trunk."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import free_port
from tests.asterisk.standin import StandIn
from tests.freeswitch.conftest import Place
from tests.freeswitch.pbx import FreeSwitch
from tests.freeswitch.standin import silent

OwnGateway = Callable[..., Gateway]


@pytest.mark.parametrize("dialled", ["0612999002", "+33612999002", "0033612999002"])
def test_a_blocked_callee_never_sees_an_invite(screen: Place, dialled: str) -> None:
    placed = screen("phone", dialled)
    assert placed.outcome.statuses == [100, 403]
    assert placed.reached == []
    assert placed.attempt.reason == "binding"
    assert placed.attempt.callee_e164 == "+33612999002"
    assert placed.attempt.extension == "1001"


def test_an_allowed_callee_is_called_as_it_was_dialled(screen: Place) -> None:
    placed = screen("phone", "0612000002")
    assert placed.reached == ["0612000002"]
    assert placed.attempt.callee_e164 == "+33612000002"
    assert placed.attempt.direction == "outbound"
    assert placed.attempt.delivery == "confirmed"


def test_a_list_in_both_directions_has_its_response_for_the_phone(screen: Place) -> None:
    assert screen("phone", "0270000000").outcome.final == 486


@pytest.mark.parametrize("number", ["112", "15", "17", "18"])
def test_an_emergency_call_goes_out_and_is_an_attempt(
    place: Place, gateway: Gateway, number: str
) -> None:
    placed = place("phone", number)
    assert placed.reached == [number]
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.verdict, attempt.reason) == ("allow", "emergency")
    assert (attempt.delivery, attempt.trunk) == ("reported", "carrier")
    assert (attempt.caller, attempt.callee) == ("+33612000000", number)


def test_an_emergency_call_goes_out_under_a_policy_that_blocks_everything(
    place: Place, own_gateway: OwnGateway
) -> None:
    gateway = own_gateway("closed.yaml")
    assert place("phone", "0612000002").outcome.final == 403
    assert place("phone", "112").reached == ["112"]
    other, emergency = gateway.new_attempts(2)
    assert (other.verdict, other.reason) == ("block", "default")
    assert (emergency.verdict, emergency.reason) == ("allow", "emergency")


def test_an_emergency_call_goes_out_while_the_gateway_is_down(
    place: Place, pbx: FreeSwitch
) -> None:
    pbx.ask(f"127.0.0.1:{free_port()}")
    assert place("phone", "112").reached == ["112"]


def test_an_emergency_call_waits_for_nobody(place: Place, pbx: FreeSwitch) -> None:
    with StandIn(silent) as gateway:
        pbx.ask(gateway.address)
        assert place("phone", "112").reached == ["112"]
        assert gateway.asked.wait(10), "it was not reported"
        # What asks is a channel of its own: the telephone's is gone although nobody answers.
        pbx.wait_until_idle(but="null/")


@pytest.mark.parametrize("dialled", ["1123", "0112", "112,0612999002"])
def test_only_an_exact_emergency_number_is_one(
    place: Place, gateway: Gateway, dialled: str
) -> None:
    place("phone", quote(dialled))
    (attempt,) = gateway.new_attempts(1)
    assert attempt.reason != "emergency"
    assert attempt.callee == dialled


def test_an_emergency_number_with_a_line_end_behind_it_is_hostile(screen: Place) -> None:
    assert screen("phone", "112%0A").attempt.reason == "hostile"


def test_an_emergency_caller_cannot_write_into_its_report(place: Place, gateway: Gateway) -> None:
    place("phone", "112", uri="sip:1%2Ccallgate_callee%3D0612999002@127.0.0.13")
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.reason, attempt.callee, attempt.caller) == ("emergency", "112", "")
