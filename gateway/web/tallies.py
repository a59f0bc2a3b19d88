"""How many contacts of a campaign have each label: counted once for many who ask.

Rule: a count holds for one file, one policy and a few minutes, since entries expire. A large file
takes minutes: whoever cannot wait is told how far it is.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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
        self.began = time.monotonic()
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
        self._stopping = threading.Event()

    async def count(self, path: Path, campaign: Campaign, policy: Policy, patience: float) -> Tally:
        """The count of a file, as far as it is after ``patience`` seconds. OSError."""
        loop = asyncio.get_running_loop()
        status = await loop.run_in_executor(None, path.stat)
        key = (path, status.st_size, status.st_mtime_ns, campaign.name, policy.revision)
        self._forget()
        tally = self._known.get(key)
        if tally is None:
            tally = self._known[key] = Tally()
            labels = Labels(policy, campaign.name, time.time())
            tally.task = loop.run_in_executor(self._pool, self._count, tally, path, labels)
        assert tally.task is not None
        await asyncio.wait({tally.task}, timeout=patience)
        return tally

    def close(self) -> None:
        self._stopping.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _count(self, tally: Tally, path: Path, labels: Labels) -> None:
        with opened(path, MOST) as (file, size):
            scrub = Scrub(file, labels)
            tally.summary = scrub.summary
            for _ in scrub.pieces():
                tally.share = min(1.0, scrub.source.read / max(size, 1))
                if self._stopping.is_set():
                    return

    def _forget(self) -> None:
        before = time.monotonic() - FRESH
        for key, tally in [*self._known.items()]:
            if tally.done and (tally.began < before or len(self._known) > KEPT):
                del self._known[key]
