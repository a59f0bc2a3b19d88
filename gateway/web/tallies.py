"""How many contacts of a campaign have each label: counted once for many who ask.

Rule: a count holds for one file, one policy and a few minutes, since entries expire. A large file
takes minutes: whoever cannot wait is told how far it is.
Rule: they are counted one after the other, so one that nobody waits for ends when the same contacts
are counted under another policy: with each change there would be one more in line.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

from gateway.errors import GatewayError
from gateway.files import opened
from gateway.policy.model import Campaign, Policy
from gateway.review.contacts import MOST
from gateway.review.labels import Labels
from gateway.review.scrub import Scrub, Summary

FRESH = 300.0
"""Seconds for which a count is given out again."""
KEPT = 50


class Tally:
    """One count on its way: its ``summary`` grows. ``share`` of the file is read, 0 to 1."""

    def __init__(self) -> None:
        self.summary = Summary()
        self.share = 0.0
        self.ended = inf
        self.waiting = 0
        self.stopped = threading.Event()
        self.task: asyncio.Future[None] | None = None

    @property
    def done(self) -> bool:
        return self.task is not None and self.task.done()

    def error(self) -> GatewayError | None:
        """Why it could not be counted. GatewayError, for others are our own."""
        found = self.task.exception() if self.task and self.task.done() else None
        if found is not None and not isinstance(found, GatewayError):
            raise found
        return found


class Tallies:
    """The counts of one process. For one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Tally] = {}
        self._pool = ThreadPoolExecutor(1, "tally")

    async def count(self, path: Path, campaign: Campaign, policy: Policy, patience: float) -> Tally:
        """The count of a file, as far as it is after ``patience`` seconds. OSError."""
        loop = asyncio.get_running_loop()
        status = await loop.run_in_executor(None, path.stat)
        key = (path, campaign.name, status.st_size, status.st_mtime_ns, policy.revision)
        self._forget()
        tally = self._known.get(key)
        if tally is None:
            self._supersede(*key[:2])
            tally = self._known[key] = Tally()
            labels = Labels(policy, campaign.name, time.time())
            tally.task = loop.run_in_executor(self._pool, self._count, tally, path, labels)
        assert tally.task is not None
        tally.waiting += 1
        try:
            await asyncio.wait({tally.task}, timeout=patience)
        finally:
            tally.waiting -= 1
        return tally

    def close(self) -> None:
        for tally in self._known.values():
            tally.stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _count(self, tally: Tally, path: Path, labels: Labels) -> None:
        try:
            with opened(path, MOST) as (file, size):
                scrub = Scrub(file, labels)
                tally.summary = scrub.summary
                for _ in scrub.pieces():
                    tally.share = min(1.0, scrub.source.read / max(size, 1))
                    if tally.stopped.is_set():
                        return
        finally:
            tally.ended = time.monotonic()

    def _supersede(self, path: object, campaign: object) -> None:
        for key, tally in [*self._known.items()]:
            if key[:2] == (path, campaign) and not tally.done and not tally.waiting:
                tally.stopped.set()
                del self._known[key]

    def _forget(self) -> None:
        before = time.monotonic() - FRESH
        for key, tally in [*self._known.items()]:
            if tally.done and (tally.ended < before or len(self._known) > KEPT):
                del self._known[key]
