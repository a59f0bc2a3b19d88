"""Calls that end elsewhere than was asked about: blind transfers (REFER) and forwards (302)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.asterisk.callee import Callee
from tests.asterisk.conftest import Place, Placed
from tests.asterisk.gateway import Gateway
from tests.asterisk.manager import dialler
from tests.asterisk.pbx import Pbx

FIRST, BLOCKED, ALLOWED = "0612000001", "0612999002", "0612000005"
TO_BLOCKED, TO_ALLOWED = "0612000071", "0612000072"
Transfer = Callable[[str, str, str], Placed]


@pytest.fixture
def transfer(pbx: Pbx, place: Place) -> Iterator[Transfer]:
    """A telephone calls a number, and transfers who answers to another one, blindly."""

    def transfer(endpoint: str, number: str, target: str) -> Placed:
        with ThreadPoolExecutor(1) as threads, dialler(pbx.manager_port) as session:
            held = threads.submit(place, endpoint, number, scenario="transfer", target=target)
            channel = pbx.wait_for_bridge(f"PJSIP/{endpoint}")
            told = {"Action": "SendText", "Channel": channel, "Message": "transfer"}
            assert session.action(told) == "Success"
            return held.result()

    yield transfer
    pbx.command("channel request hangup all")
    pbx.wait_until_gone("PJSIP/")


@pytest.fixture(autouse=True)
def forwards(callee: Callee) -> Iterator[None]:
    """Two numbers that send their calls to others."""
    callee.forwards.update({TO_BLOCKED: BLOCKED, TO_ALLOWED: ALLOWED})
    yield
    callee.forwards.clear()


def test_a_transfer_to_a_blocked_number_sends_no_invite_and_ends_the_call(
    transfer: Transfer, gateway: Gateway, pbx: Pbx
) -> None:
    placed = transfer("phone", FIRST, BLOCKED)
    asked, went = gateway.new_attempts(2)
    assert (asked.verdict, asked.callee) == ("allow", FIRST)
    assert (went.direction, went.verdict, went.callee) == ("outbound", "block", BLOCKED)
    pbx.wait_until_gone("PJSIP/")
    assert placed.reached == [FIRST]


def test_a_transfer_to_an_allowed_number_is_a_call_of_its_own(
    transfer: Transfer, guarded: Gateway, pbx: Pbx, callee: Callee
) -> None:
    before = len(callee.invites)
    transfer("phone", FIRST, ALLOWED)
    asked, went = guarded.new_attempts(2)
    pbx.wait_for_bridge("PJSIP/carrier")
    assert (asked.frontend, asked.callee) == ("agi", FIRST)
    assert (went.frontend, went.verdict, went.callee) == ("agi", "allow", ALLOWED)
    assert [invite.number for invite in callee.invites[before:]] == [FIRST, ALLOWED]


def test_a_transfer_into_a_context_that_does_not_ask_is_caught_by_the_guard(
    transfer: Transfer, guarded: Gateway, pbx: Pbx
) -> None:
    transfer("bench", f"loose-{FIRST}", BLOCKED)
    asked, went = guarded.new_attempts(2)
    assert (asked.frontend, asked.callee) == ("agi", FIRST)
    assert (went.frontend, went.verdict, went.callee) == ("ami", "block", BLOCKED)
    assert went.delivery == "confirmed"
    pbx.wait_until_gone("PJSIP/carrier")


def test_a_telephone_that_forwards_to_a_blocked_number_sends_no_invite_there(
    place: Place, gateway: Gateway
) -> None:
    placed = place("bench", f"tel-{TO_BLOCKED}")
    assert placed.reached == [TO_BLOCKED]
    assert placed.outcome.final == 403
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.direction, attempt.verdict, attempt.callee) == ("outbound", "block", BLOCKED)


def test_a_telephone_that_forwards_to_an_allowed_number_is_followed(
    place: Place, gateway: Gateway
) -> None:
    placed = place("bench", f"tel-{TO_ALLOWED}")
    assert placed.outcome.answered
    assert placed.reached == [TO_ALLOWED, ALLOWED]
    assert gateway.new_attempts(1)[0].callee == ALLOWED


def test_a_trunk_that_forwards_enters_the_context_of_the_trunk(
    place: Place, guarded: Gateway, pbx: Pbx
) -> None:
    """It is asked about as if it came in; where that leads out again, the guard sees it."""
    placed = place("bench", f"out-{TO_BLOCKED}", scenario="held")
    assert placed.reached == [TO_BLOCKED, BLOCKED]
    asked, entered, went = guarded.new_attempts(3)
    assert (asked.direction, asked.callee) == ("outbound", TO_BLOCKED)
    assert (entered.direction, entered.verdict, entered.callee) == ("inbound", "allow", BLOCKED)
    assert (went.frontend, went.verdict, went.callee) == ("ami", "block", BLOCKED)
    pbx.wait_until_gone("PJSIP/carrier")


def test_a_trunk_that_forwards_can_be_led_where_calls_go_out(
    place: Place, gateway: Gateway
) -> None:
    placed = place("bench", f"led-{TO_BLOCKED}")
    assert placed.reached == [TO_BLOCKED]
    assert placed.outcome.final == 403
    asked, went = gateway.new_attempts(2)
    assert (asked.verdict, asked.callee) == ("allow", TO_BLOCKED)
    assert (went.direction, went.verdict, went.callee) == ("outbound", "block", BLOCKED)
    assert place("bench", f"led-{TO_ALLOWED}").reached == [TO_ALLOWED, ALLOWED]
    gateway.new_attempts(2)


def test_a_forward_is_not_followed_where_dial_is_told_so(place: Place, gateway: Gateway) -> None:
    placed = place("bench", f"deaf-{TO_ALLOWED}")
    assert placed.reached == [TO_ALLOWED]
    assert placed.outcome.final == 603
    assert gateway.new_attempts(1)[0].callee == TO_ALLOWED


def test_a_forward_that_asterisk_dials_itself_is_caught_by_the_guard(
    place: Place, guarded: Gateway, pbx: Pbx
) -> None:
    placed = place("bench", f"core-{TO_BLOCKED}", scenario="held")
    assert placed.reached == [TO_BLOCKED, BLOCKED]
    asked, went = guarded.new_attempts(2)
    assert (asked.frontend, asked.callee) == ("agi", TO_BLOCKED)
    assert (went.frontend, went.verdict, went.callee) == ("ami", "block", BLOCKED)
    pbx.wait_until_gone("PJSIP/uri_core")


def test_a_forward_within_pjsip_is_seen_by_nobody(place: Place, guarded: Gateway) -> None:
    """Why docs/dialplan.md says to leave redirect_method alone."""
    placed = place("bench", f"pjsip-{TO_BLOCKED}")
    assert placed.reached == [TO_BLOCKED, BLOCKED]
    # The next attempt is that of the next call.
    place("phone", ALLOWED)
    asked, other = guarded.new_attempts(2)
    assert (asked.callee, other.callee) == (TO_BLOCKED, ALLOWED)
