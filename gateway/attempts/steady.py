"""Whether the clock of the machine has jumped forward: what retention removes is gone for good.

Rule: time goes on as the clock that nobody can set says (``CLOCK_BOOTTIME``, which counts a
suspended machine too). A clock that is a day ahead of it is believed only after a day, in which
that is told. A step back removes nothing, and is believed at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger("callgate.ingest")

JUMP = 86400.0
GRACE = 86400.0


def _now() -> float:
    return time.time()


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Steady:
    """Compares the clock with the one that nobody can set, from the start on; logs a jump once."""

    def __init__(
        self, wall: Callable[[], float] = _now, steady: Callable[[], float] = _boottime
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._apart = wall() - steady()
        self._since: float | None = None

    def doubt(self) -> str:
        """Why nothing should be removed now; empty when nothing speaks against it."""
        now = self._steady()
        apart = self._wall() - now
        ahead = apart - self._apart
        if ahead <= JUMP:
            self._apart, self._since = min(apart, self._apart), None
            return ""
        text = f"the clock was set forward by {ahead / 86400:.1f} days: nothing is purged for a day"
        if self._since is None:
            self._since = now
            log.warning("%s", text)
        if now - self._since >= GRACE:
            self._apart, self._since = apart, None
            return ""
        return text
