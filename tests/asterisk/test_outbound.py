"""Calls that a telephone makes through a trunk."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.asterisk.conftest import Place
from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import Pbx, free_port
from tests.asterisk.standin import StandIn, silent

OwnGateway = Callable[..., Gateway]


@pytest.mark.parametrize("dialled", ["0612999002", "+33612999002", "0033612999002"])
def test_a_blocked_callee_never_sees_an_invite(screen: Place, dialled: str) -> None:
    placed = screen("phone", dialled)
    assert placed.outcome.statuses == [100, 403]
    assert placed.reached == []
    assert placed.attempt.reason == "binding"
    assert placed.attempt.callee_e164 == "+33612999002"
    assert placed.attempt.extension == "1001"


def test_a_blocked_prefix_cannot_be_called(screen: Place) -> None:
    placed = screen("phone", "0899000000")
    assert placed.outcome.final == 403
    assert placed.attempt.entry == "+33899"


def test_an_allowed_callee_is_called_as_it_was_dialled(screen: Place) -> None:
    placed = screen("phone", "0612000002")
    assert placed.reached == ["0612000002"]
    assert placed.attempt.callee_e164 == "+33612000002"
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
    assert attempt.reason == "emergency"
    assert attempt.verdict == "allow"
    assert attempt.delivery == "reported"
    assert attempt.callee == number


def test_an_emergency_call_goes_out_under_a_policy_that_blocks_everything(
    place: Place, own_gateway: OwnGateway
) -> None:
    gateway = own_gateway("closed.yaml")
    assert place("phone", "0612000002").outcome.final == 403
    assert place("phone", "112").reached == ["112"]
    other, emergency = gateway.new_attempts(2)
    assert (other.verdict, other.reason) == ("block", "default")
    assert (emergency.verdict, emergency.reason) == ("allow", "emergency")


def test_an_emergency_call_goes_out_while_the_gateway_is_down(place: Place, pbx: Pbx) -> None:
    pbx.ask(f"127.0.0.1:{free_port()}")
    since = len(pbx.log)
    assert place("phone", "112").reached == ["112"]
    pbx.wait_for_log("Callgate was not told of emergency call", since)


def test_a_campaign_and_its_lists_are_those_that_the_dialplan_names(screen: Place) -> None:
    placed = screen("bench", "sale-0612555001")
    assert placed.attempt.campaign == "spring-sale"
    assert placed.attempt.list == "opted-out"
    assert screen("phone", "0612555001").reached == ["0612555001"]


def test_a_campaign_that_the_policy_does_not_know_calls_nobody(screen: Place) -> None:
    placed = screen("bench", "typo-0612000001")
    assert placed.attempt.reason == "config"
    assert placed.attempt.unknown_scope


def test_an_emergency_call_waits_for_nobody(place: Place, pbx: Pbx) -> None:
    with StandIn(silent) as gateway:
        pbx.ask(gateway.address)
        placed = place("phone", "112")
        assert placed.reached == ["112"]
        assert gateway.asked.wait(10), "it was not reported"
        # What asks is a channel of its own: the telephone's goes although nobody answers.
        pbx.wait_until_gone("PJSIP/phone")


@pytest.mark.parametrize("dialled", ["11233", "0112", "+33112", "01512"])
def test_only_an_exact_emergency_number_is_one(screen: Place, dialled: str) -> None:
    assert screen("phone", dialled).attempt.reason != "emergency"


@pytest.mark.parametrize(
    "dialled", ["112%2C0612999002", "0612999002%26PJSIP%2F112", "15%24%7BX%7D"]
)
def test_what_is_no_number_is_not_dialled(place: Place, dialled: str) -> None:
    placed = place("phone", dialled)
    assert placed.outcome.statuses == [100, 484]
    assert placed.reached == []
