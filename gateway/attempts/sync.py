"""Group commit: many answers wait for one ``fdatasync``.

Rule 1: a wait joins the group that starts next, never one that is already on its way: what was
appended after a sync began may not be in it.
Rule 2: every use of a descriptor that blocks runs in one thread, in order. A segment that was
finished is closed there, so no sync can meet a closed descriptor.
Rule 3: where no thread can be started, a sync has failed: it is counted at once, nobody waits for
it, and the next one tries again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from gateway.files import sync_directory
from gateway.logs import Seldom

MAX_WAIT = 0.05
"""Seconds that an answer is held at most; then it leaves and is counted."""

log = logging.getLogger(__name__)


class GroupSync:
    """Syncs the descriptor that ``current`` returns (None: nothing is open)."""

    def __init__(self, current: Callable[[], int | None]) -> None:
        self._current = current
        self._thread = _thread()
        self._next: asyncio.Future[None] | None = None
        self._running = False
        self._seldom = Seldom(log)
        self.late = 0
        self.failed = 0

    async def wait(self) -> None:
        """Wait until what was appended is on the disk, or for MAX_WAIT. Never raises."""
        _, pending = await asyncio.wait([self._join()], timeout=MAX_WAIT)
        self.late += len(pending)

    def retire(self, descriptor: int) -> None:
        """Sync and close a finished segment."""
        if self._submit(_finish, descriptor) is None:
            with suppress(OSError):
                os.close(descriptor)

    def sync_directory(self, directory: Path) -> None:
        """Make the name of a new segment durable."""
        self._submit(sync_directory, directory)

    def close(self) -> None:
        """Wait for all that was begun; what comes later is done all the same."""
        old, self._thread = self._thread, _thread()
        old.shutdown()

    def _submit(self, work: Callable[..., None], *arguments: object) -> Future[None] | None:
        """None where it cannot be done, which has been counted."""
        try:
            future = self._thread.submit(work, *arguments)
        except RuntimeError as error:  # no thread can be started; what was queued stays there
            self._thread = _thread()
            self._failed(error)
            return None
        future.add_done_callback(self._note)
        return future

    def _note(self, done: Future[None]) -> None:
        error = done.exception()
        if error is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self.failed += 1
        self._seldom.warning("the journal cannot be synced: %s", error)

    def _join(self) -> asyncio.Future[None]:
        group = self._next
        if group is None:
            group = self._next = asyncio.get_running_loop().create_future()
            if not self._running:
                self._start()
        return group

    def _start(self) -> None:
        group, self._next = self._next, None
        self._running = group is not None
        if group is None:
            return
        under_way = self._submit(_sync, self._current())
        if under_way is None:
            self._running = False
            group.set_result(None)
        else:
            done = asyncio.wrap_future(under_way)
            done.add_done_callback(lambda done: self._end(group, done))

    def _end(self, group: asyncio.Future[None], done: asyncio.Future[None]) -> None:
        done.exception()  # counted by _note; a group is over either way
        group.set_result(None)
        self._start()


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "journal-sync")


def _sync(descriptor: int | None) -> None:
    if descriptor is not None:
        os.fdatasync(descriptor)


def _finish(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
