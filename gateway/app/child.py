"""A child process that is kept running: started, started again with a growing pause, stopped."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence

from gateway.metrics import Metrics
from gateway.reload.generations import child_environment

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds before it is started again: doubled at each failure, back after a calm minute."""


class Child:
    """One module of this program that runs as a process of its own.

    ``command`` gives its module and arguments at each start; ``files`` are descriptors that it
    inherits. ``up`` and ``restarts`` are the names of a gauge and a counter. ``stop_time`` is the
    seconds that it may take to end when it is told to.
    """

    def __init__(
        self,
        name: str,
        metrics: Metrics,
        command: Callable[[], Sequence[str]],
        *,
        up: str,
        restarts: str,
        files: Sequence[int] = (),
        stop_time: float,
    ) -> None:
        self._name = name
        self._up = up
        self._restarts = restarts
        self._metrics = metrics
        self._command = command
        self._files = tuple(files)
        self._stop_time = stop_time
        self.pid = 0

    async def run(self) -> None:
        """Until it is cancelled; then the child is told to end, and waited for."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            code = await self._once()
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else pause
            self._metrics.inc(self._restarts)
            log.error("the %s ended with %s; again in %.0f s", self._name, code, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _once(self) -> int | str:
        try:
            process = await self._start()
        except OSError as error:
            return str(error)
        self.pid = process.pid
        self._metrics.set(self._up, 1)
        try:
            return await process.wait()
        finally:
            self._metrics.set(self._up, 0)
            self.pid = 0
            if process.returncode is None:
                await self._stopped(process)

    async def _start(self) -> asyncio.subprocess.Process:
        """In a session of its own: a Ctrl-C meant for us must not end it before we say so."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", *self._command()),
            stdin=asyncio.subprocess.DEVNULL,
            env=child_environment(),
            pass_fds=self._files,
            start_new_session=True,
        )

    async def _stopped(self, process: asyncio.subprocess.Process) -> None:
        process.terminate()
        try:
            async with asyncio.timeout(self._stop_time):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
