"""A screener that decides nothing: it answers as told and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

from gateway.attempts.model import Delivery
from gateway.calls import Call
from gateway.metrics import Metrics
from gateway.policy.model import Action, Reason, Verdict

BLOCK = Verdict(
    action=Action.BLOCK,
    reason=Reason.LIST,
    revision="0123456789ab+0",
    list="nuisance",
    entry="+1555",
    response=603,
    number="+15551234567",
)


@dataclass(frozen=True)
class Screened:
    verdict: Verdict
    attempt_id: str


@dataclass
class FakeScreener:
    """``verdict`` for every call; ``wait``, when set, is what an answer waits for."""

    verdict: Verdict = BLOCK
    frontend: str = "agi"
    wait: Awaitable[None] | None = None
    calls: list[Call] = field(default_factory=list)
    refused: list[tuple[Call, Reason, str]] = field(default_factory=list)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    held: bool = False
    flushes: int = 0
    _told: asyncio.Event = field(default_factory=asyncio.Event)
    _ids: int = 0

    def screen(self, call: Call, frontend: str, *, started: float | None = None) -> Screened:
        assert frontend == self.frontend
        assert started is not None
        self.calls.append(call)
        return self._screened(self.verdict)

    def refuse(self, call: Call, frontend: str, reason: Reason, why: str) -> Screened:
        assert frontend == self.frontend
        self.refused.append((call, reason, why))
        return self._screened(
            Verdict(action=Action.BLOCK, reason=reason, revision="r", response=403)
        )

    def hostile(self, call: Call, frontend: str, why: str) -> Screened:
        return self.refuse(call, frontend, Reason.HOSTILE, why)

    def delivered(self, attempt_id: str, delivery: Delivery) -> None:
        assert attempt_id not in self.deliveries, "a delivery is told once"
        self.deliveries[attempt_id] = delivery
        self._told.set()

    def hold(self) -> None:
        self.held = True

    def flush(self) -> None:
        self.held = False
        self.flushes += 1

    def durable(self) -> Awaitable[None] | None:
        return self.wait

    async def outcome(self, number: int = 1) -> Delivery:
        """What became of the answer to the attempt with this number, once it is known."""
        while f"a-{number}" not in self.deliveries:
            self._told.clear()
            await self._told.wait()
        return self.deliveries[f"a-{number}"]

    def _screened(self, verdict: Verdict) -> Screened:
        self._ids += 1
        self.asked.set()
        return Screened(verdict, f"a-{self._ids}")


class WatchedMetrics(Metrics):
    """The real registry, whose counters can be awaited."""

    def __init__(self) -> None:
        super().__init__()
        self._counted = asyncio.Event()

    def inc(self, name: str, amount: float = 1, /, **labels: str) -> None:
        super().inc(name, amount, **labels)
        self._counted.set()

    async def until(self, value: float, name: str, /, **labels: str) -> None:
        """Wait until a counter has this value."""
        while self.value(name, **labels) != value:
            self._counted.clear()
            await self._counted.wait()

    async def until_any(self, name: str, /, **labels: str) -> None:
        """Wait until a counter has counted anything."""
        while not self.value(name, **labels):
            self._counted.clear()
            await self._counted.wait()
