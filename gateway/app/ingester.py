"""Keeps the ingester process running: started, started again with a growing pause, stopped last.

A process that is there but does nothing is known by what it says: its status file grows old.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gateway.app.child import Child
from gateway.attempts.status import Status, read_status
from gateway.metrics import Metrics
from gateway.settings import LogSettings

log = logging.getLogger(__name__)

SILENCE = 60.0
"""Seconds without a word after which it is taken to hang: while it is well it speaks every 5."""
STOP_TIME = 12.0
"""Seconds that its last pass may take when the gateway stops."""


class Ingester:
    """The child process that moves the journal into the store."""

    def __init__(
        self,
        state: Path,
        keep: float,
        metrics: Metrics,
        *,
        log: LogSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``log`` is how it logs: as this process does. ``clock`` is one that nobody can set."""
        self._state = state
        self._keep = keep
        self._metrics = metrics
        self._log = log or LogSettings()
        self._clock = clock
        former = read_status(state)
        self._word = former.at if former else 0.0
        self._heard = clock()
        self._silent = False
        self._corrupt = _corruptions(former)
        self._child = Child(
            "ingester",
            metrics,
            self._command,
            up="callgate_ingester_up",
            restarts="callgate_ingester_restarts_total",
            stop_time=STOP_TIME,
        )

    @property
    def pid(self) -> int:
        """Its process id, 0 while it does not run."""
        return self._child.pid

    def _command(self) -> list[str]:
        keep, parent = f"{self._keep:.0f}", str(os.getpid())
        module = "gateway.attempts.ingest"
        log = ["--log-level", self._log.level.value, "--log-format", self._log.format.value]
        mask = ["--log-mask"] * self._log.mask
        return [module, str(self._state), "--keep", keep, "--parent", parent, *log, *mask]

    def look(self) -> None:
        """Put into metrics what it said last, and when; a long silence is logged once."""
        status = read_status(self._state)
        age = self._age(status.at if status else 0.0)
        self._metrics.set("callgate_ingester_status_age_seconds", age)
        if status:
            self._metrics.set("callgate_ingester_failing", bool(status.error))
            self._metrics.set("callgate_ingester_backlog_bytes", status.backlog)
            self._count_corruptions(status)
        if age > SILENCE and not self._silent:
            log.error("the ingester %s", _silence(age))
        self._silent = age > SILENCE

    def _count_corruptions(self, status: Status) -> None:
        """It counts from its start on; what a former one had counted is counted already."""
        before, self._corrupt = self._corrupt, _corruptions(status)
        *who, now = self._corrupt
        more = now - before[-1] if who == [*before[:-1]] else now
        self._metrics.inc("callgate_ingester_corruptions_total", more)

    def told(self) -> dict[str, Any]:
        """What ``callgate status`` shows: ``degraded`` says what is wrong, empty when nothing is.

        ``age`` is seconds since its last word, ``status`` that word.
        """
        status = read_status(self._state)
        age = self._age(status.at if status else 0.0)
        error = status.error if status else ""
        return {
            "pid": self.pid,
            "age": round(age, 1),
            "degraded": "; ".join(filter(None, (_silence(age), error))),
            "status": msgspec.structs.asdict(status) if status else None,
        }

    def _age(self, at: float) -> float:
        """Seconds since a word of another time than the last was heard, or since the start: what a
        former one said is no sign, and the time itself is that of a clock that may be set.
        """
        if at and at != self._word:
            self._word, self._heard = at, self._clock()
        return self._clock() - self._heard

    async def run(self) -> None:
        """Until it is cancelled; then the child makes its last pass and ends."""
        await self._child.run()


def _corruptions(status: Status | None) -> tuple[int, float, int]:
    """Which ingester, by process id and start, and how many it has counted."""
    return (status.pid, status.started, status.corruptions) if status else (0, 0.0, 0)


def _silence(age: float) -> str:
    return f"has said nothing for {age:.0f} s" if age > SILENCE else ""
