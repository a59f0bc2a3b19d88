"""The workers of one gateway: kept alive, on one edition of the policy, their figures summed.

Rule 1: an edition is ready in every worker before it is in force in any: whoever is not in time is
killed. Then one word of the shared page is written, and the next call of each is decided by it.
Rule 2: a worker that dies costs the connections that it had accepted. Its socket stays open here
and its successor goes on with it.
Rule 3: what a worker hangs on is of no interest: without a sign of life for STALL seconds it is
killed and replaced. So is one whose channel has ended, once its calls have had their time.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.metrics import Metrics
from gateway.policy.model import Entry
from gateway.reload.editions import Step
from gateway.workers import messages
from gateway.workers.figures import Sums
from gateway.workers.member import END_TIME, TICK, Member
from gateway.workers.messages import Begin
from gateway.workers.page import Page

log = logging.getLogger(__name__)

CALM = 10.0
"""Seconds that a worker lives before its end is no part of a series."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
"""Seconds before a worker that ended soon is started again: doubled each time."""
ANSWER_TIME = 0.5
"""Seconds in which workers tell their figures; of one that does not, its last ones count."""
STOP_TIME = 3.0
"""Seconds that a worker may take to end, beyond those for its calls."""


def pause_after(before: float, lived: float) -> float:
    """How long to wait before the next start, after this pause and a life of so many seconds."""
    if lived >= CALM:
        return 0.0
    return min(max(FIRST_PAUSE, 2 * before), LONGEST_PAUSE)


class Pool:
    """Keeps ``count`` workers. It is the ``Spread`` of a policy store.

    ``begin`` says what each worker has to know, ``options`` what stands on its command line;
    ``files`` gives the sockets of a worker, ``said`` is told what no other part of this deals with.
    """

    def __init__(
        self,
        count: int,
        metrics: Metrics,
        *,
        options: dict[str, Any],
        begin: Callable[[int], Begin],
        files: Callable[[int], Sequence[socket.socket]],
        said: Callable[[Member, Any], None],
    ) -> None:
        self.count = count
        self.sums = Sums()
        self._metrics = metrics
        self._options = options
        self._begin = begin
        self._files = files
        self._said = said
        self._page = Page.create()
        self._turning = asyncio.Lock()
        self._members: dict[int, Member] = {}
        self._numbers = itertools.count(1)
        self._edition = 0
        self._revision, self._directory = "", ""
        self._entries: dict[int, Entry | None] = {}
        self._ids = itertools.count(1)
        self._asked: dict[int, set[int]] = {}
        self._told = asyncio.Event()
        self._stopping = False
        self._keeping: dict[int, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def members(self) -> list[Member]:
        """Those that live or are about to, by number."""
        return [self._members[number] for number in sorted(self._members)]

    @property
    def serving(self) -> int:
        """How many accept calls."""
        return sum(member.serving.is_set() for member in self.members)

    @property
    def well(self) -> bool:
        """Whether calls are accepted and no heart has been silent for too long."""
        return bool(self.serving) and not any(member.hangs for member in self.members)

    def start(self) -> None:
        """Begin to keep them; the policy must be in force."""
        self._watching = asyncio.create_task(self._watch())
        for number in range(1, self.count + 1):
            self._keeping[number] = asyncio.create_task(self._keep(number))

    def tell(self, message: messages.Message, but: Member | None = None) -> None:
        """Tell all that are there."""
        for member in self.members:
            if member is not but:
                member.say(message)

    @asynccontextmanager
    async def turn(self, make: Callable[[], Step]) -> AsyncIterator[None]:
        """An edition more; see ``Spread``."""
        async with self._turning:
            step = await asyncio.to_thread(make)
            number = next(self._numbers)
            joined = [each for each in self.members if each.is_there and each.edition >= 0]
            await asyncio.gather(
                *(each.open_edition(number, self._edition, step) for each in joined)
            )
            yield
            self._page.flip(number)
            self._edition, self._revision = number, step.revision
            if step.directory:
                self._directory, self._entries = step.directory, dict(step.entries)
            else:
                self._entries.update(step.entries)

    @asynccontextmanager
    async def moving(self, place: Callable[[], Path | None]) -> AsyncIterator[None]:
        """See ``Spread``."""
        async with self._turning:
            try:
                yield
            finally:
                self._directory = str(place() or self._directory)

    async def refresh(self) -> None:
        """Ask all for their figures, for at most ANSWER_TIME."""
        id = next(self._ids)
        asked = {each.number for each in self.members if each.say(messages.Ask(id))}
        if not asked:
            return
        self._asked[id] = asked
        try:
            async with asyncio.timeout(ANSWER_TIME):
                while self._asked[id]:
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            log.debug("workers %s did not tell their figures", sorted(self._asked[id]))
        finally:
            del self._asked[id]

    async def stop(self, bound: float) -> int:
        """Let live calls end for ``bound`` seconds, then end everything; how many were cut off."""
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
        for number, keeping in self._keeping.items():
            member = self._members.get(number)
            if member is None or not member.say(messages.Stop(bound)):
                keeping.cancel()
        tasks = self._keeping.values()
        if tasks:
            await asyncio.wait(tasks, timeout=bound + STOP_TIME)
        for keeping in tasks:
            keeping.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return sum(member.cut for member in self._members.values())

    async def _keep(self, number: int) -> None:
        """One worker after the other on the same sockets, until the end."""
        pause = 0.0
        while True:
            member = self._members[number] = Member(number, self._page, self._heard)
            began, cause = time.monotonic(), "died"
            try:
                files = [each.fileno() for each in self._files(number)]
                cause = await member.live(self._options, files, self._join)
            except Exception:  # whatever it is, the next one is tried
                log.exception("worker %d cannot be kept", number)
            finally:
                self.sums.ended(number)
                self._forget(number)
            if self._stopping:
                return
            lived = CALM if member.was_told else time.monotonic() - began
            pause = pause_after(pause, lived)
            self._metrics.inc("callgate_worker_restarts_total", cause=cause)
            log.error("worker %d (process %d) %s; again in %g s", number, member.pid, cause, pause)
            await asyncio.sleep(pause)

    async def _join(self, member: Member) -> None:
        """What it has to know, and the edition in force: no other comes meanwhile."""
        async with self._turning:
            begin = self._begin(member.number)
            deadlines = [board.deadline for board in begin.boards.values()]
            member.patience = END_TIME + max(deadlines, default=0.0)
            member.say(begin)
            step = Step(self._revision, self._entries, self._directory)
            await member.open_edition(self._edition, -1, step)

    async def _watch(self) -> None:
        """Look at every heart."""
        while True:
            now = time.monotonic()
            for member in self.members:
                if member.look(now):
                    member.kill("stalled")
            await asyncio.sleep(TICK)

    def _heard(self, member: Member, message: Any) -> None:
        if isinstance(message, messages.Figures):
            self.sums.told(member.number, message.samples)
            self._asked.get(message.id, set()).discard(member.number)
            self._told.set()
        else:
            self._said(member, message)

    def _forget(self, number: int) -> None:
        """Nobody waits for the figures of one that has ended."""
        for asked in self._asked.values():
            asked.discard(number)
        self._told.set()

    def close(self) -> None:
        self._page.close()
