"""Many calls at a steady rate: each has its verdict, its rejection or answer, and its attempt."""

from __future__ import annotations

from tests.asterisk.callee import Callee
from tests.asterisk.gateway import Gateway
from tests.asterisk.sip import Caller

CALLS = 200
RATE = 25
DID = "+33140000000"


def test_two_hundred_calls_are_all_decided_delivered_and_recorded(
    caller: Caller, gateway: Gateway, callee: Callee
) -> None:
    blocked = [f"+331620{index:05}" for index in range(CALLS // 2)]
    allowed = [f"+336120{index:05}" for index in range(CALLS // 2)]
    before = len(callee.invites)
    senders = [number for pair in zip(blocked, allowed, strict=True) for number in pair]
    outcomes = caller.calls("carrier", DID, senders, rate=RATE)
    assert {outcomes[number].final for number in blocked} == {603}
    assert {outcomes[number].final for number in allowed} == {200}
    attempts = gateway.new_attempts(CALLS)
    assert {attempt.caller for attempt in attempts if attempt.verdict == "block"} == set(blocked)
    assert {attempt.caller for attempt in attempts if attempt.verdict == "allow"} == set(allowed)
    assert {attempt.delivery for attempt in attempts} == {"confirmed"}
    assert len(callee.invites) - before == len(allowed)
