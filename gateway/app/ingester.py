"""Keeps the ingester process running: started, started again with a growing pause, stopped last.

A process that is there but does nothing is known by what it says: its status file grows old.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gateway.attempts.status import read_status
from gateway.metrics import Metrics
from gateway.reload.generations import child_environment

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds before it is started again: doubled at each failure, back after a calm minute."""
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._keep = keep
        self._metrics = metrics
        self._clock = clock
        self._since = clock()
        self._silent = False
        self.pid = 0

    def look(self) -> None:
        """Put into metrics what it said last, and when; a long silence is logged once."""
        status = read_status(self._state)
        age = self._age(status.at if status else 0.0)
        self._metrics.set("callgate_ingester_status_age_seconds", age)
        if status:
            self._metrics.set("callgate_ingester_failing", bool(status.error))
            self._metrics.set("callgate_ingester_backlog_bytes", status.backlog)
        if age > SILENCE and not self._silent:
            log.error("the ingester %s", _silence(age))
        self._silent = age > SILENCE

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
        """Seconds since its last word, or since the start: what a former one said is no sign."""
        return max(0.0, self._clock() - max(at, self._since))

    async def run(self) -> None:
        """Until it is cancelled; then the child makes its last pass and ends."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            code = await self._once()
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else pause
            self._metrics.inc("callgate_ingester_restarts_total")
            log.error("the ingester ended with %s; again in %.0f s", code, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _once(self) -> int | str:
        try:
            process = await self._start()
        except OSError as error:
            return str(error)
        self.pid = process.pid
        self._metrics.set("callgate_ingester_up", 1)
        try:
            return await process.wait()
        finally:
            self._metrics.set("callgate_ingester_up", 0)
            self.pid = 0
            if process.returncode is None:
                await _stopped(process)

    async def _start(self) -> asyncio.subprocess.Process:
        """In a session of its own: a Ctrl-C meant for us must not end it before our last line."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "gateway.attempts.ingest", str(self._state)),
            *("--keep", f"{self._keep:.0f}", "--parent", str(os.getpid())),
            stdin=asyncio.subprocess.DEVNULL,
            env=child_environment(),
            start_new_session=True,
        )


def _silence(age: float) -> str:
    return f"has said nothing for {age:.0f} s" if age > SILENCE else ""


async def _stopped(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIME):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
