"""Keeps the ingester process running: started, started again with a growing pause, stopped last."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from pathlib import Path

from gateway.metrics import Metrics
from gateway.reload.generations import child_environment

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds before it is started again: doubled at each failure, back after a calm minute."""
STOP_TIME = 12.0
"""Seconds that its last pass may take when the gateway stops."""


class Ingester:
    """The child process that moves the journal into the store."""

    def __init__(self, state: Path, keep: float, metrics: Metrics) -> None:
        self._state = state
        self._keep = keep
        self._metrics = metrics
        self.pid = 0

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


async def _stopped(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIME):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
