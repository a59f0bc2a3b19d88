"""Attempts as they arrive, for any number of watchers: one reader of the store feeds them all.

Rule 1: a watcher that does not keep up loses the oldest and is told of the gap; it holds up nobody.
Rule 2: the id of an event is its attempt's id, so a watcher that comes back goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

from gateway.attempts.model import Attempt
from gateway.attempts.store import AttemptStore
from gateway.errors import GatewayError, StoreError

log = logging.getLogger(__name__)

PAUSE = 0.25
"""Seconds between two looks while anybody watches."""
ROOM = 500
"""Attempts that wait for a slow watcher."""
BATCH = 500
HEARTBEAT = 15.0


class TooMany(GatewayError):
    """As many watch as may: the other connections are for calls and pages."""


Read = Callable[[Callable[[AttemptStore], Any]], Awaitable[Any]]


class Watcher:
    """One that watches: what has arrived for it, and whether some was lost."""

    def __init__(self) -> None:
        self._waiting: deque[Attempt] = deque()
        self._news = asyncio.Event()
        self._before: frozenset[str] = frozenset()
        self.gap = False

    def begin(self, missed: Sequence[Attempt], gap: bool) -> None:
        """Put what was missed before what has arrived since; some of it may be the same."""
        self._before = frozenset(attempt.id for attempt in missed)
        since, self._waiting = self._waiting, deque(missed)
        self.gap = self.gap or gap
        self.give(since)

    def give(self, attempts: Iterable[Attempt]) -> None:
        self._waiting.extend(item for item in attempts if item.id not in self._before)
        while len(self._waiting) > ROOM:
            self._waiting.popleft()
            self.gap = True
        self._news.set()

    async def take(self) -> list[Attempt]:
        """What has arrived since; empty after a heartbeat's time without news."""
        if not self._waiting and not self.gap:
            self._news.clear()
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await self._news.wait()
            except TimeoutError:
                return []
        found = list(self._waiting)
        self._waiting.clear()
        return found


class Live:
    """Feeds the watchers of one process."""

    def __init__(self, read: Read, most: int) -> None:
        """``most`` watchers at a time."""
        self._read = read
        self._most = most
        self._watchers: set[Watcher] = set()
        self._task: asyncio.Task[None] | None = None
        self._place: int | None = None
        self._closed = False

    def check_room(self) -> None:
        """Raise TooMany when nobody more may watch."""
        if len(self._watchers) >= self._most:
            raise TooMany(f"{self._most} watch already: try again later")

    async def watch(self, after: str = "") -> AsyncIterator[tuple[list[Attempt], bool]]:
        """What arrives from now on, or after an attempt; with each, whether some was lost before.

        An empty list now and then shows that the source is alive.
        """
        if self._closed:
            return
        watcher = Watcher()
        self._watchers.add(watcher)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._feed())
        try:
            if after:
                await self._find_place()  # first, or what arrives in between reaches nobody
                watcher.begin(*await self._read(lambda store: _missed(store, after)))
            while not self._closed:
                found = await watcher.take()
                gap, watcher.gap = watcher.gap, False
                yield found, gap
        finally:
            self._watchers.discard(watcher)

    async def close(self) -> None:
        """End every watch, and every one that begins after."""
        self._closed = True
        for watcher in self._watchers:
            watcher.give(())
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _feed(self) -> None:
        while self._watchers:
            try:
                after = await self._find_place()
                found, self._place = await self._read(
                    lambda store: store.arrivals(after=after, limit=BATCH)  # noqa: B023
                )
            except StoreError as error:
                log.warning("attempts cannot be watched for now: %s", error)
                found = []
            if found:
                for watcher in self._watchers:
                    watcher.give(found)
            await asyncio.sleep(0 if len(found) == BATCH else PAUSE)
        self._place = None

    async def _find_place(self) -> int:
        """The last attempt that the watchers were given; the last of all when they begin."""
        if self._place is None:
            last = await self._read(lambda store: store.last_seq())
            if self._place is None:
                self._place = last
        return self._place


def _missed(store: AttemptStore, after: str) -> tuple[list[Attempt], bool]:
    """What has arrived after an attempt, and whether that is not all."""
    place = store.seq_of(after)
    if place is None:
        return [], True
    found, _ = store.arrivals(after=place, limit=ROOM)
    return found, len(found) == ROOM
