"""When the managed changes that lie beside the compiled policy are compiled in.

Rule: never a YAML file that nobody asked to load. Where the files have changed, it waits.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from gateway.reload.overlay import Laid, managed_seq
from gateway.reload.result import ReloadResult

log = logging.getLogger(__name__)

FOLD_AFTER = 2000
"""Managed changes beside the compiled table after which it is compiled anew, to stay fast."""
LAY_AT_ONCE = 2000
"""Managed changes that one step lays over the policy; of more the compiler takes care."""


class Store(Protocol):
    """What is compiled anew."""

    async def changed(self) -> bool: ...
    async def reload(self, force: bool = False) -> ReloadResult: ...


class Folding:
    """Compiles them in beside everything else, once at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._end = 0
        self._task: asyncio.Task[None] | None = None

    def in_time(self, laid: Laid, total: int, *, busy: bool) -> None:
        """Start when they are many, unless a reload is under way (``busy``).

        While the log grows fast, only once that doubles the policy of ``total`` entries: each
        time costs all of it.
        """
        before, self._end = self._end, managed_seq(laid.ordered) + laid.behind
        enough = total if self._end - before > LAY_AT_ONCE // 4 else 0
        many = laid.behind > enough or laid.changes > FOLD_AFTER
        if many and not busy and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._fold())

    async def close(self) -> None:
        """End it if it runs; no child is left when this returns."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _fold(self) -> None:
        try:
            if not await self._store.changed():
                await self._store.reload()
        except Exception:
            log.exception("the managed changes could not be compiled in")
