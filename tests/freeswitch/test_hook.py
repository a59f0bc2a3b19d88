"""The hook of a gateway where it meets an outage, a dialplan or a mistake; loopback beside it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.asterisk.callee import Callee
from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import PATIENCE, SECRET, free_port
from tests.freeswitch.conftest import SOURCE, Place
from tests.freeswitch.pbx import FreeSwitch
from tests.freeswitch.standin import CONNECT

BLOCKED, ALLOWED = "0612999002", "0612000002"
REJECTED = "-ERR CALL_REJECTED"
Originate = Callable[[str], tuple[str, list[str]]]


@pytest.fixture
def originate(pbx: FreeSwitch, callee: Callee) -> Iterator[Originate]:
    """Originates: what FreeSWITCH answered, and the numbers that were sent an INVITE."""

    def originate(dialled: str) -> tuple[str, list[str]]:
        before = len(callee.invites)
        said = pbx.api(f"originate {dialled} &park")
        return said, [invite.number for invite in callee.invites[before:]]

    yield originate
    pbx.api("hupall")


def hooked(number: str, gateway: str) -> str:
    """A leg with the hook of docs/freeswitch.md, which asks this gateway (host:port)."""
    hook = [
        f"callgate_key={SECRET}",
        "execute_on_originate_1='sched_hangup +2 CALL_REJECTED'",
        f"execute_on_originate_2='socket {gateway}/outbound/carrier'",
        "execute_on_originate_3=sched_cancel",
    ]
    return f"{{{','.join(hook)}}}sofia/gateway/carrier/{number}"


@pytest.fixture
def full(tmp_path: Path, pbx: FreeSwitch) -> Iterator[str]:
    """A gateway that has room for one, which is taken: its host:port."""
    gateway = Gateway(tmp_path / "gateway", source=SOURCE)
    text = gateway.config.read_text().replace("deadline: 10s", "deadline: 60s")
    gateway.config.write_text(text.replace("esl:\n", "esl:\n  max_connections: 1\n"))
    gateway.start()
    try:
        with taken(gateway.port):
            pbx.ask(gateway.address)
            yield gateway.address
    finally:
        gateway.stop()


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Takes the one place there is, when it is free."""
    while True:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as place:
            if place.recv(100) == CONNECT:  # whoever is turned away is told more
                yield
                return


def test_the_hook_asks_and_stops_a_blocked_leg(originate: Originate, gateway: Gateway) -> None:
    """What the legs below would get from a gateway that answers."""
    assert originate(hooked(BLOCKED, gateway.address)) == (REJECTED, [])
    assert gateway.new_attempts(1)[0].callee == BLOCKED


def test_a_gateway_that_is_down_lets_a_hooked_leg_out(originate: Originate) -> None:
    said, reached = originate(hooked(BLOCKED, f"127.0.0.1:{free_port()}"))
    assert said.startswith("+OK")
    assert reached == [BLOCKED]


def test_a_gateway_that_is_full_lets_a_hooked_leg_out(originate: Originate, full: str) -> None:
    said, reached = originate(hooked(BLOCKED, full))
    assert said.startswith("+OK")
    assert reached == [BLOCKED]


def test_a_hook_that_names_a_variable_is_not_taken_and_the_leg_goes_out(
    originate: Originate, gateway: Gateway, pbx: FreeSwitch
) -> None:
    since = len(pbx.log)
    said, reached = originate(f"sofia/gateway/mishooked/{BLOCKED}")
    assert said.startswith("+OK")
    assert reached == [BLOCKED]
    pbx.wait_for_log("Invalid data (${execute_on_originate} contains a variable)", since)
    # Nobody was asked: the next attempt is that of the next call.
    originate(hooked(ALLOWED, gateway.address))
    assert gateway.new_attempts(1)[0].callee == ALLOWED


def test_a_bridge_that_no_dialplan_asked_about_is_stopped_by_the_hook(
    place: Place, gateway: Gateway
) -> None:
    placed = place("carrier", f"unasked{BLOCKED}")
    assert placed.reached == []
    assert placed.outcome.final == 603
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.direction, attempt.verdict, attempt.callee) == ("outbound", "block", BLOCKED)
    assert attempt.trunk == "carrier"


def test_a_bridge_after_the_dialplan_has_asked_is_recorded_twice(
    place: Place, gateway: Gateway
) -> None:
    placed = place("carrier", f"asked{ALLOWED}")
    assert placed.outcome.answered
    assert placed.reached == [ALLOWED]
    attempts = gateway.new_attempts(2)
    assert {(item.verdict, item.callee, item.delivery) for item in attempts} == {
        ("allow", ALLOWED, "confirmed")
    }
    assert len({item.channel_id for item in attempts}) == 2


def test_what_the_dialplan_blocks_never_comes_to_the_hook(place: Place, gateway: Gateway) -> None:
    assert place("carrier", f"asked{BLOCKED}").outcome.final == 403
    gateway.new_attempts(1)


def test_a_blocked_originate_through_loopback_sends_no_invite(
    originate: Originate, gateway: Gateway
) -> None:
    said, reached = originate(f"loopback/{BLOCKED}/default")
    assert said.startswith("-ERR")
    assert reached == []
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.direction, attempt.verdict, attempt.callee) == ("outbound", "block", BLOCKED)


def test_an_allowed_originate_through_loopback_goes_out(
    originate: Originate, gateway: Gateway
) -> None:
    _, reached = originate(f"loopback/{ALLOWED}/default")
    assert reached == [ALLOWED]
    assert gateway.new_attempts(1)[0].delivery == "confirmed"


def test_through_loopback_a_gateway_that_is_down_is_the_outage_branch(
    originate: Originate, pbx: FreeSwitch
) -> None:
    pbx.ask(f"127.0.0.1:{free_port()}")
    assert originate(f"loopback/{ALLOWED}/default") == (REJECTED, [])


@pytest.mark.usefixtures("full")
def test_through_loopback_a_gateway_that_is_full_is_the_outage_branch(originate: Originate) -> None:
    assert originate(f"loopback/{ALLOWED}/default") == (REJECTED, [])
