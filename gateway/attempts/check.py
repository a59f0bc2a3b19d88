"""Whether the file of the store is sound, asked with eyes that remember nothing of it.

Rule 1: the ingester has its pages in memory, and may write for days to a file that nobody else
can read. So it looks with a connection of its own: when it opens the store, once a day, and as
soon as a reader complains.
Rule 2: a reader that meets a broken page leaves a mark (``attempts.db.suspect``). A mark is a
reason to look, never to believe.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from gateway.attempts.database import StoreCorrupt, connect, mark_of, translated

PAUSE = 86400.0
"""Seconds between two looks, unless a reader complains."""
STEPS = 100_000
"""Instructions of SQLite between two questions whether to stop: about a millisecond."""


class Check:
    """When the store was looked at, and when it should be again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._after = 0.0

    @property
    def is_due(self) -> bool:
        """Whether a reader has complained since the last look, or that was long ago."""
        return mark_of(self._path).exists() or time.monotonic() >= self._after

    def run(self, stop: Callable[[], bool]) -> None:
        """Read all of it: 0.2 s for 100 MB. ``stop`` is asked meanwhile and ends it.

        Raises StoreCorrupt when it is broken, StoreError when that cannot be told now.
        """
        mark_of(self._path).unlink(missing_ok=True)  # first: what is said meanwhile is news
        self._after = time.monotonic() + PAUSE
        said = _said_of(self._path, stop)
        if said not in ("ok", ""):
            raise StoreCorrupt(f"{self._path}: {' '.join(said.split())}")


def _said_of(path: Path, stop: Callable[[], bool]) -> str:
    """What SQLite says of the file: ``ok``, its first fault, nothing when it was stopped."""
    with translated(path), closing(connect(path, readonly=True)) as db:
        db.set_progress_handler(stop, STEPS)
        try:
            return str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return ""
            raise
