"""A guard of the scripted Asterisk, and calls on it."""

from __future__ import annotations

from gateway.addresses import Address
from gateway.calls import Call, Direction
from gateway.frontends.ami import AmiGuard
from gateway.guardsettings import AsteriskGuardSettings
from tests.fakes.ami import SECRET, FakeAsterisk
from tests.support.guards import Bench

BLOCKED = "0612999002"
HANGUP = {"Action": "Hangup", "Channel": "1795368179.1", "Cause": "21"}


def guard_of(bench: Bench, asterisk: FakeAsterisk, **settings: object) -> AmiGuard:
    made = AsteriskGuardSettings.model_validate(
        {
            "connect": Address("127.0.0.1", asterisk.port),
            "secret": SECRET,
            "deadline": 10.0,
            "audit": 60.0,
            **settings,
        }
    )
    guard = AmiGuard(made, bench.screener, bench.policies, bench.metrics)
    guard._pause = lambda _: 0.0
    return guard


def live_call(channel: str, callee: str) -> Call:
    return Call(
        direction=Direction.OUTBOUND,
        caller="1001",
        callee=callee,
        at=1_800_000_000.0,
        trunk="carrier",
        pbx="asterisk",
        channel_id=channel,
    )
