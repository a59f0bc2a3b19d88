"""One run for all who ask before it begins.

Rule 1: a run that has begun is nobody's who asks later: it may have read already what was changed
since. At most one run of each kind waits behind it.
Rule 2: a run goes on as long as one who asked waits for it. Whoever leaves last ends it, and leaves
when it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class _Run(Generic[T]):
    def __init__(self, work: asyncio.Task[T]) -> None:
        self.work = work
        self.waiters = 0


class Shared(Generic[T]):
    """Runs ``work`` of a kind (whether it is forced) under a lock, once for all who wait."""

    def __init__(self, lock: asyncio.Lock, work: Callable[[bool], Awaitable[T]]) -> None:
        self._lock = lock
        self._work = work
        self._next: dict[bool, _Run[T]] = {}

    async def run(self, kind: bool) -> T:
        """What comes of the next run of this kind. Raises what it raises."""
        run = self._next.get(kind)
        if run is None:
            run = self._next[kind] = _Run(asyncio.create_task(self._begin(kind)))
        run.waiters += 1
        try:
            return await asyncio.shield(run.work)
        finally:
            run.waiters -= 1
            if not run.waiters and not run.work.done():
                await self._end(kind, run)

    async def _begin(self, kind: bool) -> T:
        async with self._lock:
            self._next.pop(kind)
            return await self._work(kind)

    async def _end(self, kind: bool, run: _Run[T]) -> None:
        if self._next.get(kind) is run:
            del self._next[kind]
        run.work.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({run.work})
        if run.work.done() and not run.work.cancelled():
            run.work.exception()  # nobody is there any more who would want it
