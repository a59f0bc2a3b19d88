"""Calls are answered by several workers; what they share with the parent meets here.

Rule 1: to the outside they are one gateway: its connections are divided among them, its metrics
are their sum, an emergency call that one of them let out opens the window of all.
Rule 2: star codes and guards stay with the parent. A worker asks for the one and tells of calls
for the other.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any

from gateway.app.calls import sections
from gateway.app.kept import silence
from gateway.app.star import carry_out
from gateway.errors import ConfigError, Fault
from gateway.frontends.fastagi import REFUSED
from gateway.metrics import Metrics, Series
from gateway.pbx.asterisk import EntryRequest
from gateway.reload import PolicyStore
from gateway.screener import Screener
from gateway.settings import Address, Settings
from gateway.workers import messages
from gateway.workers.figures import rendered
from gateway.workers.leftovers import LOCK
from gateway.workers.member import Member
from gateway.workers.messages import Begin, Board
from gateway.workers.pool import Pool
from gateway.workers.sockets import listening

log = logging.getLogger(__name__)

START_TIME = 60.0
"""Seconds in which all workers should accept calls; without a single one there is no start."""


def share(connections: int, workers: int) -> int:
    """What each worker may have open of the gateway's connections, rounded up."""
    return -(-connections // workers)


class Crew:
    """The workers of one gateway, and the sockets on which they listen."""

    def __init__(
        self, settings: Settings, screener: Screener, policies: PolicyStore, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._screener = screener
        self._policies = policies
        self._metrics = metrics
        self._sockets: dict[str, list[socket.socket]] = {}
        self.places: dict[str, tuple[str, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.pool = Pool(
            settings.workers,
            metrics,
            options={
                "lock": str(settings.state_dir / LOCK),
                "log": settings.log.model_dump(mode="json"),
            },
            begin=self._begin,
            files=self._files,
            said=self._said,
        )
        policies.spread = self.pool
        screener.on_emergency = self._tell_emergency

    @property
    def open(self) -> int:
        return sum(member.open for member in self.pool.members)

    @property
    def well(self) -> bool:
        return self.pool.well

    async def listen(
        self, name: str, address: Address, kept: Sequence[socket.socket] = ()
    ) -> Sequence[socket.socket]:
        make = partial(listening, address.host, address.port, self.pool.count)
        if kept and len(kept) != self.pool.count:  # the store had no room for all
            silence(kept)
            kept = ()
        self._sockets[name] = list(kept) or await asyncio.to_thread(make)
        host, port = self._sockets[name][0].getsockname()[:2]
        self.places[name] = host, port
        return self._sockets[name]

    async def start(self) -> None:
        self.pool.start()
        try:
            async with asyncio.timeout(START_TIME):
                while self.pool.serving < self.pool.count:  # noqa: ASYNC110 - of many processes
                    await asyncio.sleep(0.01)
        except TimeoutError:
            if not self.pool.serving:
                message = "no worker has started: the log says why"
                raise ConfigError([Fault("", 0, 0, "workers", message)]) from None
        self._publish()

    async def look(self) -> None:
        await self.pool.refresh()
        self._publish()

    def rotate(self) -> None:
        self.pool.tell(messages.Rotate())

    def render(self) -> str:
        return rendered(self.pool.sums.over(self._metrics.snapshot()))

    def counted(self, series: Series) -> float:
        name, labels = series
        return self.pool.sums.counted(series) + self._metrics.value(name, **dict(labels))

    def told(self) -> dict[str, Any]:
        return {
            "workers": {
                "configured": self.pool.count,
                "serving": self.pool.serving,
                "degraded": self._missing(),
                "each": {str(each.number): _facts(each) for each in self.pool.members},
            }
        }

    async def drain(self, bound: float) -> int:
        """The kernel must give them no more connections: our copies of the sockets go first."""
        for sockets in self._sockets.values():
            for each in sockets:
                each.close()
        cut = await self.pool.stop(bound)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return cut

    def close(self) -> None:
        self.pool.close()

    def _missing(self) -> str:
        missing = [each.number for each in self.pool.members if not each.serving.is_set()]
        numbers = ", ".join(map(str, missing))
        return f"of {self.pool.count} workers these accept no calls: {numbers}" if missing else ""

    def _publish(self) -> None:
        self._metrics.set("callgate_workers", self.pool.serving)

    def _files(self, worker: int) -> Sequence[socket.socket]:
        return [sockets[worker - 1] for sockets in self._sockets.values()]

    def _begin(self, worker: int) -> Begin:
        settings, journal = self._settings, self._settings.journal
        boards = {
            name: Board(
                descriptor=self._sockets[name][worker - 1].fileno(),
                secret=section.secret,
                allow=section.allow,
                max_connections=share(section.max_connections, self.pool.count),
                deadline=section.deadline,
            )
            for name, section in sections(settings).items()
            if name in self._sockets
        }
        return Begin(
            boards=boards,
            journal=str(settings.journal_dir),
            segment_bytes=journal.segment_size,
            durability=journal.durability.value,
            emergencies=dict(self._screener.emergencies),
            guarded=self._screener.on_allowed is not None,
        )

    def _said(self, member: Member, message: Any) -> None:
        match message:
            case messages.Emergency(trunk, at):
                known = self._screener.emergencies
                known[trunk] = max(at, known.get(trunk, 0.0))
                self.pool.tell(message, but=member)
            case messages.Allowed(call):
                if self._screener.on_allowed is not None:
                    self._screener.on_allowed(call)
            case messages.Star():
                task = asyncio.ensure_future(self._star(member, message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _tell_emergency(self, trunk: str, at: float) -> None:
        self.pool.tell(messages.Emergency(trunk, at))

    async def _star(self, member: Member, asked: messages.Star) -> None:
        request = EntryRequest(op=asked.op, number=asked.number, by=asked.by)
        status = REFUSED
        try:
            status = await carry_out(request, self._policies)
        except Exception:  # who asked is waiting for an answer
            log.exception("a star code failed")
        finally:
            member.say(messages.Done(asked.id, status))


def _facts(member: Member) -> dict[str, Any]:
    return {
        "pid": member.pid,
        "started": member.started,
        "serving": member.serving.is_set(),
        "edition": member.edition,
        "connections": member.open,
    }
