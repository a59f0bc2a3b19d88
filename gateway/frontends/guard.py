"""What the guards of both PBXs have in common: a link that is kept up, and calls that are ended.

A guard watches a PBX from beside its dialplan, for calls that no dialplan asked about.

Rule 1: a lost link is made anew, after a pause that grows and is never the same twice. What was
asked over the old one is not asked again.
Rule 2: events can be missed: FreeSWITCH drops them from a full queue, and nobody sends those of
the time without a link. So the channels that there are, are counted again and again; that is also
how a link is found dead. (Numbers of events tell nothing: FreeSWITCH counts those too that were
not asked for.)
Rule 3: what is done to a call is done after its attempt stands in the journal, which is told what
became of it in the end, whatever happens.
Rule 4: reading never stops, for the replies come the same way. With too many calls to act on,
events are dropped and counted, and what stays parked is found by the next count.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, Final, Protocol

from msgspec.structs import replace

from gateway.attempts.model import Delivery
from gateway.calls import Call
from gateway.errors import LinkError, LinkRefused
from gateway.frontends.census import Census, LiveCalls, anew
from gateway.frontends.link import Link
from gateway.frontends.pause import pause_after
from gateway.frontends.session import Screened, Screener
from gateway.logs import Seldom
from gateway.metrics import Metrics
from gateway.pbx.legs import Leg, needs_verdict, trunk_of
from gateway.policy.decide import decide
from gateway.policy.model import Policy, Verdict

log = logging.getLogger(__name__)

MAX_WAITING: Final = 1000
"""Calls that may wait for the PBX to do what it was told; past it, events are dropped."""
MAX_ACTIONS: Final = 100
"""Calls that the PBX is told of at a time."""
DRAIN: Final = 2.0
"""Seconds that what is under way has at the end."""
_BATCH: Final = 200
"""Live calls that are decided anew before other work has its turn."""


class PolicySource(Protocol):
    """Where the live policy is read."""

    @property
    def current(self) -> Policy: ...


class Guard:
    """One guard of one PBX. ``audit`` is the seconds from one count of its channels to the next."""

    name: ClassVar[str]
    """Under which it is counted and its attempts are recorded."""
    pbx: ClassVar[str]
    """What ``Call.pbx`` says of calls on its PBX."""

    def __init__(
        self,
        screener: Screener,
        policies: PolicySource,
        metrics: Metrics,
        *,
        audit: float,
        pause: Callable[[int], float] | None = None,
    ) -> None:
        self.screener = screener
        self.policies = policies
        self.metrics = metrics
        self.live = LiveCalls()
        self.census = Census()
        self.connected = asyncio.Event()
        self._audit = audit
        self._pause = pause or pause_after
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unsettled: set[str] = set()
        self._dropping: set[str] = set()
        self._places = asyncio.Semaphore(MAX_ACTIONS)
        self._closing = False
        self._link: Link[Any] | None = None
        self._worked = False
        self.seldom = Seldom(log)

    async def connect(self) -> Link[Any]:
        """Make a link that gives the events. LinkError, LinkRefused."""
        raise NotImplementedError

    async def present(self) -> frozenset[str]:
        """The ids of all channels that the PBX has now. LinkError."""
        raise NotImplementedError

    async def hang_up(self, call: Call, verdict: Verdict) -> bool:
        """End the channel of a call; whether there still was one. LinkError."""
        raise NotImplementedError

    def remember(self, call: Call) -> None:
        """A call was allowed, by whichever frontend; it may be ended later."""
        if call.pbx == self.pbx and call.channel_id:
            self.live.add(call)

    async def run(self) -> None:
        """Keep a link up until cancelled."""
        failures = 0
        self.metrics.set("callgate_guard_connected", 0, frontend=self.name)
        while True:
            try:
                link = await self.connect()
            except LinkError as error:
                refused = isinstance(error, LinkRefused)
                self._count_link("refused" if refused else "failed")
                log.log(
                    logging.ERROR if refused or not failures else logging.INFO,
                    "guard %s has no link: %s",
                    self.name,
                    error,
                )
                failures += 1
            except Exception:
                self._count_link("failed")
                log.exception("guard %s failed to make a link", self.name)
                failures += 1
            else:
                why = await self._serve(link)
                failures = 0 if self._worked else failures + 1
                self._count_link("lost")
                log.warning("guard %s has lost its link: %s", self.name, why)
            await asyncio.sleep(self._pause(failures))

    async def drop(self, lists: frozenset[str]) -> None:
        """Hang up the live calls that these lists block now, if they say ``drop_active``."""
        policy = self.policies.current
        armed = lists & {item.name for item in policy.lists if item.drop_active}
        if not armed or self._closing:
            return
        calls, now = self.live.calls(), time.time()
        for start in range(0, len(calls), _BATCH):
            batch = (anew(call, now) for call in calls[start : start + _BATCH])
            verdicts = [(call, decide(call, policy)) for call in batch]
            doomed = [call for call, found in verdicts if found.blocked and found.list in armed]
            await asyncio.gather(asyncio.sleep(0), *map(self._drop, doomed))

    def decide(self, call: Call, *, hostile: str = "") -> Screened:
        """The verdict on a call, which stands in the journal."""
        started = time.perf_counter()
        if hostile:
            self.seldom.warning("hostile call at guard %s: %s", self.name, hostile)
            return self.screener.hostile(call, self.name, hostile)
        return self.screener.screen(call, self.name, started=started)

    def decide_leg(self, leg: Leg, trunk: str) -> Screened | None:
        """The verdict on a leg that has left; None when it needs none.

        ``trunk`` is what to assume where the policy does not know its way out.
        """
        policy = self.policies.current
        call = replace(leg.call, trunk=trunk_of(leg, policy, trunk))
        plan = policy.trunks.get(call.trunk, policy.plan)
        if not needs_verdict(leg, plan):
            return None
        screened = self.decide(call, hostile=leg.hostile)
        if not screened.verdict.blocked:  # it is on its way, and nothing is done to it
            self.screener.delivered(screened.attempt_id, Delivery.REPORTED)
        return screened

    async def carry_out(
        self, screened: Screened, action: str, work: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Do what a verdict asks for, once its attempt is as durable as it must be; whether it is.

        Never LinkError.
        """
        delivery = Delivery.LOST
        try:
            await self._recorded()
            async with self._places:
                delivery = await self._told(action, work)
        finally:
            self._settle(screened.attempt_id, delivery)
            result = "ok" if delivery is Delivery.CONFIRMED else "failed"
            self.metrics.inc(
                "callgate_guard_actions_total", frontend=self.name, action=action, result=result
            )
        return delivery is Delivery.CONFIRMED

    def has_room(self) -> bool:
        """Whether one more call can be acted on; if not, an event is dropped, and counted."""
        if len(self._unsettled) < MAX_WAITING and not self._closing:
            return True
        self.metrics.inc("callgate_guard_dropped_total", frontend=self.name)
        self.seldom.warning("guard %s drops events: too many calls wait", self.name)
        return False

    def act(self, screened: Screened, work: Coroutine[Any, Any, object]) -> None:
        """Carry out a verdict beside the events. Without room for it, it is lost."""
        if self.has_room():
            self._unsettled.add(screened.attempt_id)
            task = self.keep(work)
            task.add_done_callback(lambda _: self._never_begun(screened.attempt_id))
        else:
            work.close()
            self.screener.delivered(screened.attempt_id, Delivery.LOST)

    def keep(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """Run something beside the events."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self, bound: float = DRAIN) -> None:
        """Begin nothing more, give what is under way ``bound`` seconds, and let go of the rest."""
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=bound)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def audited(self, present: frozenset[str]) -> None:
        """The channels were counted; ``present`` are their ids. For what a guard adds to it."""

    async def _serve(self, link: Link[Any]) -> str:
        self._link, self._worked = link, False
        self._count_link("connected")
        log.info("guard %s is connected", self.name)
        audits = asyncio.create_task(self._audits())
        try:
            either: set[asyncio.Future[Any]] = {audits, link.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if link.ended.done():
                return link.ended.result()
            return str(audits.exception())
        finally:
            self.connected.clear()
            self._link = None
            self.metrics.set("callgate_guard_connected", 0, frontend=self.name)
            audits.cancel()
            link.close()
            await asyncio.gather(audits, return_exceptions=True)

    async def _audits(self) -> None:
        """Count the channels, at once and then again and again. LinkError ends the link."""
        self.census.begin()
        while True:
            asked = time.monotonic()
            present = await self.present()
            self.live.prune(present, asked)
            if missed := self.census.count(present):
                self.metrics.inc("callgate_guard_missed_total", missed, frontend=self.name)
                log.warning("guard %s was not told of %d channels", self.name, missed)
            self.metrics.set("callgate_guard_live_calls", len(self.live), frontend=self.name)
            await self.audited(present)
            if not self.connected.is_set():
                self._worked = True
                self.connected.set()
                self.metrics.set("callgate_guard_connected", 1, frontend=self.name)
            await asyncio.sleep(self._audit)

    async def _recorded(self) -> None:
        """Wait until attempts are as durable as they must be."""
        if (waiting := self.screener.durable()) is not None:
            try:
                await waiting
            except Exception as error:
                log.error("a call is acted on before its attempt is on the disk: %s", error)

    async def _told(self, action: str, work: Callable[[], Awaitable[bool]]) -> Delivery:
        linked = self._link is not None
        try:
            return Delivery.CONFIRMED if await work() else Delivery.LOST
        except LinkError as error:
            log.warning("guard %s cannot say whether it could %s: %s", self.name, action, error)
            return Delivery.SENT if linked else Delivery.LOST

    def _settle(self, attempt_id: str, delivery: Delivery) -> None:
        self._unsettled.discard(attempt_id)
        self.screener.delivered(attempt_id, delivery)

    def _never_begun(self, attempt_id: str) -> None:
        """The task of an attempt has ended; one that was cancelled first has settled nothing."""
        if attempt_id in self._unsettled:
            self._settle(attempt_id, Delivery.LOST)

    async def _drop(self, call: Call) -> None:
        """Hang up one live call. If that fails it stays one, for the next time."""
        channel = call.channel_id
        if channel in self._dropping or channel not in self.live:
            return
        self._dropping.add(channel)
        try:
            screened = self.decide(call)
            verdict = screened.verdict
            if not verdict.blocked:  # an emergency call has gone out meanwhile
                self.screener.delivered(screened.attempt_id, Delivery.REPORTED)
            elif await self.carry_out(screened, "drop", lambda: self.hang_up(call, verdict)):
                self.live.ended(channel)
        except Exception:
            log.exception("guard %s failed at a live call", self.name)
        finally:
            self._dropping.discard(channel)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("guard %s failed at a call", self.name, exc_info=error)

    def _count_link(self, result: str) -> None:
        self.metrics.inc("callgate_guard_links_total", frontend=self.name, result=result)
