"""Many calls: none is lost, none is decided wrongly, each is an attempt."""

from __future__ import annotations

import json

from tests.asterisk.conftest import on_the_wire
from tests.asterisk.gateway import Gateway
from tests.asterisk.sip import Caller

CALLS = 500
RATE = 40
DID = "+33140000000"


def test_five_hundred_calls_at_a_steady_rate_are_all_attempts(
    caller: Caller, gateway: Gateway
) -> None:
    blocked = [f"+33162{number:06}" for number in range(CALLS // 2)]
    allowed = [f"+33612{number:06}" for number in range(CALLS // 2)]
    senders = [sender for pair in zip(blocked, allowed, strict=True) for sender in pair]
    outcomes = caller.calls("carrier", DID, senders, RATE)
    attempts = {attempt.caller: attempt for attempt in gateway.new_attempts(CALLS)}
    assert outcomes.keys() == attempts.keys() == set(senders)
    for sender in senders:
        verdict = "block" if sender in set(blocked) else "allow"
        assert attempts[sender].verdict == verdict
        assert attempts[sender].delivery == "confirmed"
        assert outcomes[sender].final == (on_the_wire(603) if verdict == "block" else 200)
        assert outcomes[sender].answered == (verdict == "allow")
    listed = gateway.run("attempts", "--json", "--limit", str(CALLS), "--prefix", "+33162")
    told = [json.loads(line) for line in listed.splitlines()]
    assert {item["caller"] for item in told} >= set(blocked)
