"""One worker as its parent sees it: a process, a channel, the edition that it has, its heart."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from gateway.policy.model import Entry
from gateway.reload.editions import Step
from gateway.reload.generations import child_environment
from gateway.workers import messages
from gateway.workers.channel import Channel
from gateway.workers.messages import Options
from gateway.workers.page import Page, Pulse
from gateway.workers.policy import NOT_READY

log = logging.getLogger(__name__)

START_TIME = 60.0
"""Seconds from the start of its process to its first word."""
ACK_TIME = 1.0
"""Seconds in which it must have an edition ready."""
PER_SECOND = 20_000
"""Managed entries for which it has another second."""
STALL = 3.0
"""Seconds without a sign of life after which it is taken to hang."""
END_TIME = 4.0
"""Seconds, beyond those of its calls, in which it must have ended once its channel has."""
TICK = 0.25
"""Seconds between two looks at its heart."""
_PART = 500
_LISTEN = 0.1
_LAST = 1.0


class Member:
    """The worker of one number, from its start to its end.

    ``said`` is told every message that is not about editions.
    """

    def __init__(self, number: int, page: Page, said: Callable[[Member, Any], None]) -> None:
        self.number = number
        self.pid = 0
        self.started = 0.0
        self.edition = -1
        """The last edition that it said is ready; -1 before the first."""
        self.open = 0
        self.cut = 0
        self.was_told = False
        """Whether it accepted calls and then ended in good order: somebody told it to."""
        self.serving = asyncio.Event()
        self.cause = "died"
        self.patience = END_TIME
        """Seconds that it may live on once its channel has ended."""
        self._page = page
        self._said = said
        self._pulse = Pulse(TICK)
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._hello = asyncio.Event()
        self._silent = asyncio.Event()
        self._answers: dict[int, asyncio.Future[str]] = {}

    async def live(
        self,
        options: Mapping[str, Any],
        files: Sequence[int],
        join: Callable[[Member], Awaitable[None]],
    ) -> str:
        """Start it, have it ``join`` once it is there, and wait for its end: why it ended.

        ``files`` are the descriptors that it inherits besides. OSError when it cannot be started.
        """
        process, ours = await self._start(options, files)
        gone: asyncio.Future[Any] = asyncio.ensure_future(process.wait())
        hello: asyncio.Future[Any] = asyncio.ensure_future(self._hello.wait())
        silent: asyncio.Future[Any] = asyncio.ensure_future(self._silent.wait())
        try:
            self._channel = await Channel.on(ours, messages.ToParent, self._heard, self._over)
            first = {gone, hello, silent}
            await asyncio.wait(first, timeout=START_TIME, return_when="FIRST_COMPLETED")
            if hello.done():
                await join(self)
            elif not (gone.done() or silent.done()):
                self.kill("late")
            await asyncio.wait({gone, silent}, return_when="FIRST_COMPLETED")
            if not await _comes_in(gone, self.patience):
                log.error("worker %d has no channel any more and does not end", self.number)
                self.kill("stalled")
            if await gone == NOT_READY:
                self.cause = "late"
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST):
                    await self._silent.wait()  # what it said last has been heard
        finally:
            hello.cancel()
            silent.cancel()
            self.kill(self.cause)
            await gone
            self._over()
        return self.cause

    async def open_edition(self, number: int, after: int, step: Step) -> None:
        """Have it make an edition ready; it is killed if it does not, within ACK_TIME."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            fault = "it does not read what it is told"
            if self._send_step(number, after, step):
                fault = await _heard_in(answer, ACK_TIME + len(step.entries) / PER_SECOND)
        finally:
            self._answers.pop(number, None)
        if fault:
            log.error("worker %d is not ready for edition %d: %s", self.number, number, fault)
            self.kill("late")
        else:
            self.edition = number

    def say(self, message: messages.Message) -> bool:
        """Whether it could be told."""
        return self._channel is not None and self._channel.send(message)

    @property
    def is_there(self) -> bool:
        """Whether it has begun to live and can be talked to."""
        return self._hello.is_set() and not self._silent.is_set()

    def look(self, now: float) -> bool:
        """Look at its heart, also when there is no channel any more: whether it hangs."""
        if self._lives:
            self._pulse.look(self._page.heart(self.number), now)
        return self.hangs

    @property
    def hangs(self) -> bool:
        """Whether it has given no sign of life for STALL seconds."""
        return self._lives and self._pulse.silence > STALL

    @property
    def _lives(self) -> bool:
        process = self._process
        return self._hello.is_set() and process is not None and process.returncode is None

    def kill(self, cause: str) -> None:
        """End it now, for this cause, if it has not ended yet."""
        process = self._process
        if process is not None and process.returncode is None:
            self.cause = cause
            with suppress(ProcessLookupError):
                process.kill()

    async def _start(
        self, options: Mapping[str, Any], files: Sequence[int]
    ) -> tuple[asyncio.subprocess.Process, socket.socket]:
        """Its process, and our end of the channel.

        In a session of its own: a Ctrl-C meant for us must not end it before we say so.

        Who reads our standard output sees its end with ours, whatever becomes of the workers.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            told = Options(
                number=self.number,
                channel=theirs.fileno(),
                page=self._page.descriptor,
                **options,
            )
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "gateway.workers"),
                    msgspec.json.encode(told).decode(),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    env=child_environment(),
                    pass_fds=(theirs.fileno(), self._page.descriptor, *files),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self._process, self.pid, self.started = process, process.pid, time.time()
        ours.setblocking(False)
        return process, ours

    def _send_step(self, number: int, after: int, step: Step) -> bool:
        entries = list(step.entries.items())
        parts: list[dict[int, Entry | None]] = [
            dict(entries[start : start + _PART]) for start in range(0, len(entries), _PART)
        ]
        return all(self.say(messages.Part(part)) for part in parts) and self.say(
            messages.Open(
                number=number, after=after, revision=step.revision, directory=step.directory
            )
        )

    def _heard(self, message: Any) -> None:
        match message:
            case messages.Hello():
                self._hello.set()
            case messages.Opened(number, fault):
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(fault)
            case messages.Serving():
                self.serving.set()
            case messages.Ended(cut):
                self.cut = cut
                self.was_told = self.serving.is_set()
            case messages.Figures():
                self.open = message.open
                self._said(self, message)
            case _:
                self._said(self, message)

    def _over(self) -> None:
        """It has ended, or said its last word."""
        self._silent.set()
        self.serving.clear()
        self.open = 0
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result("it has ended")
        if self._channel is not None:
            self._channel.close()


async def _heard_in(answer: asyncio.Future[str], patience: float) -> str:
    """The fault that a worker told, or that it told nothing in so many seconds of listening."""
    in_time = await _comes_in(answer, patience)
    return answer.result() if in_time else "it did not say so in time"


async def _comes_in(awaited: asyncio.Future[Any], patience: float) -> bool:
    """Whether it comes within so many seconds of listening.

    A pause of this process, or of the whole machine, is nobody's delay, as with ``Pulse``: it
    counts as one spell of listening, however long it was.
    """
    while patience > 0 and not awaited.done():
        await asyncio.wait([awaited], timeout=_LISTEN)
        patience -= _LISTEN
    return awaited.done()
