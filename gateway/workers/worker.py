"""One worker: accepts calls on the sockets that it was given, and decides them by itself.

Rule 1: no call waits for the parent. What it is told (an emergency call, an allowed call) is
written to the channel and forgotten; only a star code waits, within its connection's deadline.
Rule 2: it outlives its parent by the calls that it has: when the channel ends it accepts no more,
lets them end, and ends.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.attempts.journal import Journal
from gateway.calls import Call
from gateway.frontends.esl_outbound import EslOutbound
from gateway.frontends.fastagi import REFUSED, FastAgi
from gateway.frontends.session import Frontend
from gateway.loop import spare_collections
from gateway.metrics import Metrics
from gateway.pbx.asterisk import EntryRequest
from gateway.policy.model import Entry
from gateway.reload.editions import Step
from gateway.screener import Screener
from gateway.workers import messages
from gateway.workers.channel import Channel
from gateway.workers.looks import Looks
from gateway.workers.messages import Begin, Board, Open, Options
from gateway.workers.page import Page
from gateway.workers.policy import WorkerPolicy

log = logging.getLogger(__name__)

BEAT = 0.25
"""Seconds between two signs of life of the loop that answers calls."""
DRAIN_SLACK = 0.5
"""Seconds that live calls have beyond their own deadline when the process ends."""
_LAST = 2.0


class Worker:
    """Runs in a process of its own, until it is told to stop or its parent is gone."""

    def __init__(self, options: Options) -> None:
        self._number = options.number
        self._end = socket.socket(fileno=options.channel)
        self._page = Page(options.page)
        self._policies = WorkerPolicy(self._page)
        self._metrics = Metrics()
        self._frontends: dict[str, tuple[Frontend, int]] = {}
        self._journal: Journal | None = None
        self._screener: Screener | None = None
        self._looks: Looks | None = None
        self._serving = False
        self._bound = DRAIN_SLACK
        self._parts: dict[int, Entry | None] = {}
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stars: dict[int, asyncio.Future[str]] = {}
        self._ids = itertools.count(1)
        self._ending = asyncio.Event()
        self._alone = asyncio.Event()
        self._channel: Channel | None = None

    async def run(self) -> None:
        """Until the end."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        self._beat()
        self._channel = await Channel.on(self._end, messages.ToWorker, self._heard, self._orphaned)
        self._channel.send(messages.Hello())
        await self._ending.wait()
        await self._stop()

    def _beat(self) -> None:
        self._page.beat(self._number, time.monotonic_ns())
        if self._serving:
            _ = self._policies.current  # an old edition is let go of, also when no call comes
        asyncio.get_running_loop().call_later(BEAT, self._beat)

    def _heard(self, message: Any) -> None:
        match message:
            case messages.Part(entries):
                self._parts.update(entries)
            case messages.Open():
                self._keep(self._open(message, self._parts))
                self._parts = {}
            case messages.Ask(id):
                self._tell_figures(id)
            case messages.Emergency(trunk, at):
                self._remember(trunk, at)
            case messages.Done(id, status):
                self._carried_out(id, status)
            case messages.Rotate():
                if self._journal is not None:
                    self._journal.rotate()
            case messages.Begin():
                self._begin(message)
            case messages.Stop(bound):
                self._bound = bound
                self._ending.set()

    def _begin(self, begin: Begin) -> None:
        journal = Journal(
            Path(begin.journal),
            self._number,
            segment_bytes=begin.segment_bytes,
            durability=begin.durability,
        )
        screener = Screener(self._policies, journal, self._metrics)
        screener.emergencies.update(begin.emergencies)
        screener.on_emergency = self._tell_emergency
        if begin.guarded:
            screener.on_allowed = self._tell_allowed
        self._journal, self._screener = journal, screener
        self._looks = Looks(journal, self._metrics)
        for name, board in begin.boards.items():
            self._frontends[name] = (self._frontend(name, board), board.descriptor)
            self._bound = max(self._bound, board.deadline + DRAIN_SLACK)

    def _frontend(self, name: str, board: Board) -> Frontend:
        assert self._screener is not None
        bounds: dict[str, Any] = {
            "counters": self._metrics,
            "secret": board.secret,
            "allow": board.allow,
            "max_connections": board.max_connections,
            "deadline": board.deadline,
        }
        if name == EslOutbound.name:
            return EslOutbound(self._screener, **bounds)
        return FastAgi(self._screener, entries=self._star, **bounds)

    async def _open(self, asked: Open, entries: dict[int, Entry | None]) -> None:
        """Make an edition ready and say so; the first is in force already, and calls may come."""
        fault = ""
        async with self._opening:
            try:
                if self._serving:
                    _ = self._policies.current
                if not asked.directory and asked.after != self._policies.number:
                    raise ValueError(f"edition {self._policies.number} is here, not {asked.after}")
                step = Step(asked.revision, entries, asked.directory)
                await asyncio.to_thread(self._policies.open, asked.number, step)
                if not self._serving:
                    _ = self._policies.current
            except Exception as error:  # whatever it is, the parent has to know
                fault = str(error) or repr(error)
            self._say(messages.Opened(asked.number, fault))
            if not (fault or self._serving or self._ending.is_set()):
                await self._serve()

    async def _serve(self) -> None:
        """One that cannot listen ends: it would live on without a call, and its backlog with it."""
        try:
            for frontend, descriptor in self._frontends.values():
                await frontend.start(sockets=[socket.socket(fileno=descriptor)])
        except OSError:
            log.exception("this worker cannot accept calls")
            self._ending.set()
            return
        self._serving = True
        spare_collections()
        self._say(messages.Serving())

    def _tell_figures(self, id: int) -> None:
        if self._looks is None:
            return
        self._looks.look()
        count = 0
        for name, (frontend, _) in self._frontends.items():
            self._metrics.set("callgate_connections_open", frontend.listener.open, frontend=name)
            count += frontend.listener.open
        self._say(messages.Figures(id, self._metrics.snapshot(), count))

    def _tell_emergency(self, trunk: str, at: float) -> None:
        self._say(messages.Emergency(trunk, at))

    def _tell_allowed(self, call: Call) -> None:
        if not self._say(messages.Allowed(call)):
            self._metrics.inc("callgate_worker_untold_total")

    def _remember(self, trunk: str, at: float) -> None:
        if self._screener is not None:  # else ``Begin`` will have it
            known = self._screener.emergencies
            known[trunk] = max(at, known.get(trunk, 0.0))

    async def _star(self, request: EntryRequest) -> str:
        """Have a star code carried out by the parent, which alone changes entries."""
        id = next(self._ids)
        asked = messages.Star(id=id, op=request.op, number=request.number, by=request.by)
        if not self._say(asked):
            return REFUSED
        self._stars[id] = asyncio.get_running_loop().create_future()
        return await self._stars[id]

    def _carried_out(self, id: int, status: str) -> None:
        waiting = self._stars.pop(id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(status)

    def _say(self, message: messages.Message) -> bool:
        return self._channel is not None and self._channel.send(message)

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _orphaned(self) -> None:
        if not self._ending.is_set():
            log.warning("the gateway is gone; live calls may end")
        for id in list(self._stars):
            self._carried_out(id, REFUSED)
        self._alone.set()
        self._ending.set()

    async def _stop(self) -> None:
        frontends = [frontend for frontend, _ in self._frontends.values()]
        cut = sum(await asyncio.gather(*(each.drain(self._bound) for each in frontends)))
        if self._journal is not None:
            self._journal.close()
        self._tell_figures(0)
        self._say(messages.Ended(cut))
        if self._channel is not None:
            self._channel.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST):
                    await self._alone.wait()
