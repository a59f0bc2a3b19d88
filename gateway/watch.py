"""Noticing that the files of the policy have changed, so that nobody has to say so.

Rule 1: directories are watched, not files: an editor renames, a deployment replaces, a ConfigMap
swaps a link, and each of these leaves a watch on the old file silent.
Rule 2: an event proves nothing. What counts is the content, compared with that of the last
attempt, good or bad; so a bad file is tried once and not in a storm.
Rule 3: what no event tells (network file systems, lost events) is found by a poll.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from watchfiles import awatch

from gateway.policy.stamps import directories
from gateway.reload import PolicyStore

log = logging.getLogger(__name__)

DEBOUNCE_MS = 50
"""How long it must be quiet before a run of events is looked at."""
_LONGEST_MS = 1000
"""How long a run of events may last without being looked at."""


class Watcher:
    """Reloads a policy when its files change, until it is cancelled."""

    def __init__(self, store: PolicyStore, *, poll: float) -> None:
        self._store = store
        self._poll = poll
        self._broken = ""

    async def run(self) -> None:
        """Watch for ever. Directories that come and go are followed."""
        while True:
            watched = await self._directories()
            async with aclosing(self._signs(watched)) as signs:
                async for _ in signs:
                    await self._look()
                    if await self._directories() != watched:
                        break

    async def _look(self) -> None:
        try:
            if await self._store.changed():
                await self._store.reload()
        except Exception:
            log.exception("cannot look for changes; the next poll tries again")

    async def _directories(self) -> frozenset[str]:
        return await asyncio.to_thread(directories, self._store.stamps)

    async def _signs(self, watched: frozenset[str]) -> AsyncGenerator[None]:
        """Something once the watch stands, after every run of events, and at every poll."""
        events = awatch(
            *sorted(watched),
            watch_filter=None,
            recursive=False,
            step=DEBOUNCE_MS,
            debounce=_LONGEST_MS,
            rust_timeout=int(self._poll * 1000),
            yield_on_timeout=True,
        )
        first = asyncio.ensure_future(anext(events))
        try:
            await asyncio.sleep(0)  # its first step sets up the watch; what comes now is seen
            yield
            await first
            yield
            async for _ in events:
                yield
        except (OSError, RuntimeError) as error:
            self._say(error)
            await asyncio.sleep(self._poll)
        finally:
            await _cancelled(first)
            await events.aclose()

    def _say(self, error: Exception) -> None:
        if str(error) != self._broken:
            self._broken = str(error)
            log.warning("cannot watch directories, polling instead: %s", error)


async def _cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
