"""``callgate_address`` may name several gateways: the first that can be reached is asked."""

from __future__ import annotations

import pytest

from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import free_port
from tests.freeswitch.conftest import Place, check_agreement
from tests.freeswitch.pbx import FreeSwitch

DID = "+33140000000"


@pytest.mark.parametrize(
    ("call", "response"),
    [
        (("carrier", DID, "+33162000000"), 603),
        (("carrier", DID, "+33612000001"), 0),
        (("phone", "0612999002"), 403),
        (("phone", "0612000002"), 0),
    ],
    ids=["inbound-blocked", "inbound-allowed", "outbound-blocked", "outbound-allowed"],
)
def test_the_second_gateway_answers_where_nobody_listens_at_the_first(
    place: Place, gateway: Gateway, pbx: FreeSwitch, call: tuple[str, ...], response: int
) -> None:
    pbx.ask(f"127.0.0.1:{free_port()}|{gateway.address}")
    placed = place(*call)
    (placed.attempt,) = gateway.new_attempts(1)
    assert placed.attempt.response == response
    assert placed.attempt.delivery == "confirmed"
    check_agreement(placed)


def test_the_second_gateway_is_not_asked_while_the_first_answers(
    place: Place, gateway: Gateway, pbx: FreeSwitch
) -> None:
    pbx.ask(f"{gateway.address}|{gateway.address}")
    assert place("carrier", DID, "+33162000000").outcome.final == 603
    gateway.new_attempts(1)


def test_where_nobody_listens_at_either_a_call_comes_in(place: Place, pbx: FreeSwitch) -> None:
    since = len(pbx.log)
    pbx.ask(f"127.0.0.1:{free_port()}|127.0.0.1:{free_port()}")
    assert place("carrier", DID, "+33162000000").reached == [DID]
    pbx.wait_for_log("Callgate gave no verdict: allow inbound", since)


def test_where_nobody_listens_at_either_a_call_does_not_go_out(
    place: Place, pbx: FreeSwitch
) -> None:
    since = len(pbx.log)
    pbx.ask(f"127.0.0.1:{free_port()}|127.0.0.1:{free_port()}")
    placed = place("phone", "0612000002")
    assert placed.outcome.statuses == [100, 403]
    assert placed.reached == []
    pbx.wait_for_log("Callgate gave no verdict: block outbound", since)
