"""Calls that Asterisk makes by itself: through a Local channel they meet the dialplan."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.attempts.model import Attempt
from tests.asterisk.callee import Callee
from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import Pbx

Originate = Callable[[str], tuple[Attempt, list[str]]]


@pytest.fixture
def originate(pbx: Pbx, callee: Callee, gateway: Gateway) -> Originate:
    """Originates to a channel; its attempt, and the numbers that were sent an INVITE."""

    def originate(channel: str) -> tuple[Attempt, list[str]]:
        before = len(callee.invites)
        pbx.command(f"channel originate {channel} application Hangup")
        (attempt,) = gateway.new_attempts(1)
        pbx.wait_until_gone("Local/")
        pbx.wait_until_gone("PJSIP/carrier")
        return attempt, [invite.number for invite in callee.invites[before:]]

    return originate


def test_an_originated_call_to_a_blocked_number_sends_no_invite(originate: Originate) -> None:
    attempt, reached = originate("Local/0612999002@from-internal")
    assert (attempt.direction, attempt.verdict) == ("outbound", "block")
    assert (attempt.list, attempt.callee_e164) == ("do-not-call", "+33612999002")
    assert reached == []


def test_an_originated_call_that_is_allowed_goes_out(originate: Originate) -> None:
    attempt, reached = originate("Local/0612000002@from-internal")
    assert (attempt.verdict, attempt.delivery) == ("allow", "confirmed")
    assert reached == ["0612000002"]


def test_an_originated_emergency_call_goes_out_and_is_reported(originate: Originate) -> None:
    attempt, reached = originate("Local/112@from-internal")
    assert (attempt.reason, attempt.delivery) == ("emergency", "reported")
    assert reached == ["112"]
