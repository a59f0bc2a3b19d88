"""A guard with the real screener, a journal that forgets nothing and a policy of the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import msgspec

from gateway.attempts.journal import Journal
from gateway.attempts.model import Attempt, Delivery
from gateway.frontends.guard import Guard
from gateway.numbers import NumberPlan
from gateway.policy.model import Entry, Policy
from gateway.screener import Screener
from tests.fakes.screener import WatchedMetrics
from tests.support.policies import make_list, make_policy, number, prefix

LISTS = (
    make_list("nuisance"),
    make_list("dropping", order=1, drop_active=True),
    make_list("blacklist", order=2),
)
ENTRIES = (number("nuisance", "33612999002"), prefix("nuisance", "15551"))


def policy(*more: Entry) -> Policy:
    plan = NumberPlan.build(region="FR", extensions=["[1-8]xxx"], emergency_region="FR")
    return make_policy(LISTS, [*ENTRIES, *more], plan=plan, trunks={"carrier": plan})


@dataclass
class Policies:
    current: Policy = field(default_factory=policy)


class Memory(Journal):
    """A journal that only remembers."""

    def __init__(self) -> None:
        self.attempts: dict[str, Attempt] = {}
        self.news = asyncio.Event()

    def next_id(self, at: float) -> str:
        assert at
        return f"a-{len(self.attempts) + 1}"

    def append(self, attempt: Attempt) -> None:
        self.attempts[attempt.id] = attempt
        self.news.set()

    def delivery(self, attempt_id: str, delivery: Delivery, at: float) -> None:
        assert at
        old = self.attempts[attempt_id]
        assert old.delivery == Delivery.PENDING, "a delivery is told once"
        self.attempts[attempt_id] = msgspec.structs.replace(old, delivery=delivery.value)
        self.news.set()

    def pending_sync(self) -> None:
        """Nothing to wait for."""

    async def settled(self, count: int) -> list[Attempt]:
        """Wait until so many attempts have their delivery."""
        while len(found := [a for a in self.attempts.values() if a.delivery != "pending"]) < count:
            self.news.clear()
            await self.news.wait()
        return found


@dataclass
class Bench:
    """What a guard works with, and what it left."""

    policies: Policies = field(default_factory=Policies)
    journal: Memory = field(default_factory=Memory)
    metrics: WatchedMetrics = field(default_factory=WatchedMetrics)
    screener: Screener = field(init=False)

    def __post_init__(self) -> None:
        self.screener = Screener(self.policies, self.journal, self.metrics)

    @property
    def attempts(self) -> list[Attempt]:
        return list(self.journal.attempts.values())

    @asynccontextmanager
    async def watching(self, guard: Guard) -> AsyncIterator[None]:
        """The guard runs, and has its link when this begins."""
        self.screener.on_allowed = guard.remember
        running = asyncio.create_task(guard.run())
        connected = asyncio.create_task(guard.connected.wait())
        try:
            await asyncio.wait({running, connected}, return_when=asyncio.FIRST_COMPLETED)
            assert not running.done(), running.result()
            yield
        finally:
            connected.cancel()
            running.cancel()
            await asyncio.gather(running, connected, return_exceptions=True)
            await guard.close()

    def add(self, entry: Entry) -> None:
        """A managed entry is added to the policy."""
        self.policies.current = replace(policy(entry), revision="0123456789ab+1")
