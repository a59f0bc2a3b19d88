"""``callgate serve`` as a process that tests kill, stop and start again on the same state.

Rule: ports are new at each start and told by the banner. A port that was kept for the next start
could meanwhile be somebody's, and the test would fail for it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from gateway.control.client import ControlClient
from gateway.errors import ControlError

LONG = 60
"""Seconds after which something that is waited for has failed."""
ROOT = Path(__file__).parents[2]
POLICY = "numbering: {region: FR}\nlists: {nuisance: {action: block, prefixes: [+33162]}}\n"
SETTINGS = """\
workers: {workers}
agi: {{listen: "127.0.0.1:0", deadline: {deadline}, max_connections: {most}, allow: {allow}}}
esl: {{listen: "127.0.0.1:0", deadline: {deadline}, max_connections: {most}, allow: {allow}}}
http: {{listen: {http}, allow: {allow}}}
reload: {{watch: false}}
state: {state}
journal: {{durability: {durability}, segment_size: {segment_size}}}
"""
_PORT = re.compile(r"^ +(FastAGI|ESL|HTTP) .*?127\.0\.0\.1:(\d+)", re.MULTILINE)


class Served:
    """One configuration and what runs on it. ``agi``, ``esl`` and ``http`` are ports, 0: none."""

    def __init__(
        self,
        root: Path,
        *,
        state: Path | None = None,
        durability: str = "process",
        segment_size: str = "16MiB",
        http: bool = False,
        workers: int = 1,
        deadline: str = "30s",
        allow: Sequence[str] = (),
        max_connections: int = 1000,
        program: Sequence[str] = (sys.executable, "-m", "gateway"),
    ) -> None:
        self.root = root
        self._program = program
        self.state = state or root / "state"
        self.policy = root / "config" / "policy.yaml"
        self.policy.parent.mkdir()
        self.policy.write_text(POLICY)
        self._config = root / "config" / "callgate.yaml"
        self._config.write_text(
            SETTINGS.format(
                http='"127.0.0.1:0"' if http else "off",
                state=self.state,
                durability=durability,
                segment_size=segment_size,
                workers=workers,
                deadline=deadline,
                allow=[*allow],
                most=max_connections,
            )
        )
        self.agi = self.esl = self.http = 0
        self.ready = asyncio.Event()
        """Set while it is there to be asked."""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def client(self) -> ControlClient:
        return ControlClient(self.state / "control.sock", who="alice")

    @property
    def log(self) -> str:
        """All that was logged since the first start."""
        return (self.root / "log").read_text()

    async def start(self) -> None:
        """Returns when it listens."""
        said = self.root / "said"  # no pipe: who is killed leaves children that would hold it
        with (self.root / "log").open("ab") as log, said.open("wb") as out:
            self._process = await asyncio.create_subprocess_exec(
                *(*self._program, "--config", str(self._config), "serve"),
                stdout=out,
                stderr=log,
                cwd=ROOT,
            )
        async with asyncio.timeout(LONG):
            while "try next" not in said.read_text():
                assert self._process.returncode is None, f"it ended too early:\n{self.log}"
                await asyncio.sleep(0.02)
        ports = dict(_PORT.findall(said.read_text()))
        self.agi, self.esl = int(ports["FastAGI"]), int(ports["ESL"])
        self.http = int(ports.get("HTTP", 0))
        self.ready.set()

    async def kill(self) -> None:
        """kill -9; what it started sees its parent gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM: live calls end, then it does."""
        code = await self._end(signal.SIGTERM)
        assert code == 0, self.log

    async def close(self) -> None:
        """Whatever state it is in."""
        if self._process and self._process.returncode is None:
            await self.kill()

    async def _end(self, number: signal.Signals) -> int:
        assert self._process
        self.ready.clear()
        self._process.send_signal(number)
        async with asyncio.timeout(LONG):
            return await self._process.wait()

    async def status(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.client.status)

    async def metrics(self) -> dict[str, float]:
        """Every series by its name and labels, as rendered."""
        text = await asyncio.to_thread(self.client.metrics)
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        found = await self.metrics()
        return sum(value for key, value in found.items() if key.partition("{")[0] == name)

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status of which something holds."""
        status: dict[str, Any] = {}
        try:
            async with asyncio.timeout(LONG):
                while True:
                    with suppress(ControlError):
                        status = await self.status()
                        if condition(status):
                            return status
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{status}\n{self.log}") from None

    async def until_metric(self, name: str, enough: float) -> float:
        """The first value of a metric that is so much or more: some are told once a second."""
        async with asyncio.timeout(LONG):
            while (value := await self.metric(name)) < enough:  # noqa: ASYNC110 - told, not sent
                await asyncio.sleep(0.05)
        return value

    async def logged(self, text: str) -> None:
        """Wait until it is in the log, which is written beside the calls."""
        async with asyncio.timeout(LONG):
            while text not in self.log:  # noqa: ASYNC110 - a file, which has no event
                await asyncio.sleep(0.05)

    async def ingester(self) -> int:
        """The process id of the ingester, once it runs."""
        status = await self.until(lambda status: bool(status["ingester"]["pid"]))
        return int(status["ingester"]["pid"])

    async def kill_ingester(self) -> None:
        pid = await self.ingester()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a path that is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="cg"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Served]:
    """One that was started, in a folder of its own; it is gone when the block ends."""
    with short_folder() as folder:
        gateway = Served(folder, **settings)
        try:
            await gateway.start()
            yield gateway
        finally:
            await gateway.close()
