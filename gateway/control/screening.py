"""Screens calls for the HTTP side: facts in, a verdict out, and what became of the answer.

Rule: the gateway decides, in its own process and by its own clock. Whoever asks is a process of the
gateway's own user; a PBX behind it never writes a byte of the control socket.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Final, Protocol

from gateway.attempts.model import Delivery
from gateway.calls import Call
from gateway.control.messages import VERDICT_FIELDS, Screen, Screened
from gateway.policy.model import Verdict

FRONTEND: Final = "http"
"""Under which these calls are counted and recorded."""


class Decided(Protocol):
    """A verdict and the id of its attempt."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def attempt_id(self) -> str: ...


class Screener(Protocol):
    """What decides and records; ``gateway.screener.Screener`` is one. Nothing of it raises."""

    def screen(self, call: Call, frontend: str, *, started: float | None = None) -> Decided: ...
    def hostile(self, call: Call, frontend: str, why: str) -> Decided: ...
    def delivered(self, attempt_id: str, delivery: Delivery) -> None: ...
    def durable(self) -> Awaitable[None] | None: ...


class Screening:
    """Decides what is asked on the control socket; the delivery of an attempt is told once."""

    def __init__(self, screener: Screener) -> None:
        self._screener = screener

    async def screen(self, asked: Screen) -> Screened:
        """Decide one call; the answer may leave when this returns."""
        started = time.perf_counter()
        call = call_of(asked, time.time())
        if asked.hostile:
            decided = self._screener.hostile(call, FRONTEND, asked.hostile)
        else:
            decided = self._screener.screen(call, FRONTEND, started=started)
        screened = _screened(decided, asked.report)
        waiting = self._screener.durable()
        try:
            if waiting is not None:
                await waiting
        except asyncio.CancelledError:
            self.delivered(screened, sent=False)
            raise
        return screened

    def delivered(self, screened: Screened, *, sent: bool) -> None:
        """Tell what became of an answer: whether it left for the process that asked."""
        delivery = Delivery.SENT if sent else Delivery.LOST
        if screened.reported:
            delivery = Delivery.REPORTED
        self._screener.delivered(screened.attempt, delivery)


def call_of(asked: Screen, at: float) -> Call:
    """The call that a request describes, at this time (UTC seconds)."""
    return Call(
        direction=asked.direction,
        caller=asked.caller,
        callee=asked.callee,
        at=at,
        trunk=asked.trunk,
        campaign=asked.campaign,
        extension=asked.extension,
        pbx=asked.pbx,
        channel_id=asked.channel_id,
        linked_id=asked.linked_id,
        presentation=asked.presentation,
        caller_name=asked.caller_name,
        attestation=asked.attestation,
    )


def request_of(call: Call, *, hostile: str = "", report: bool = False) -> Screen:
    """The inverse of ``call_of``, less the time."""
    return Screen(
        direction=call.direction,
        caller=call.caller,
        callee=call.callee,
        trunk=call.trunk,
        campaign=call.campaign,
        extension=call.extension,
        presentation=call.presentation,
        channel_id=call.channel_id,
        linked_id=call.linked_id,
        caller_name=call.caller_name,
        attestation=call.attestation,
        pbx=call.pbx,
        hostile=hostile,
        report=report,
    )


def _screened(decided: Decided, reported: bool) -> Screened:
    fields = {name: getattr(decided.verdict, name) for name in VERDICT_FIELDS}
    return Screened(attempt=decided.attempt_id, reported=reported, **fields)
