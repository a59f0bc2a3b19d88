"""A gateway of several workers as people start it, and calls that tell who answered them."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gateway.attempts.ingest import ingest_once
from gateway.attempts.model import Attempt
from gateway.attempts.query import AttemptFilter
from gateway.attempts.store import AttemptStore
from gateway.control import ControlClient
from gateway.pbx.asterisk import screen_path
from tests.fakes.asterisk import agi_call

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
LONG = 120
"""Seconds after which something that is waited for has failed."""
KEY = "s3cret"
LISTED = "+33162000000"
SETTINGS = (
    "workers: {workers}\n"
    'agi: {{listen: "127.0.0.1:{port}", secret: "s3cret", deadline: {deadline}}}\n'
    "esl: {{listen: off}}\nhttp: {{listen: off}}\nreload: {{watch: false}}\n"
)
POLICY = """\
numbering: {region: FR, trunks: {carrier: {}}}
lists:
  nuisance: {action: block, prefixes: [+33162]}
"""


@dataclass(frozen=True)
class Answer:
    """What a caller was told, and by which worker."""

    verdict: str
    attempt: str = ""
    worker: int = 0


class Place:
    """A configuration on a path that is short enough for a socket."""

    def __init__(self, root: Path, workers: int = 2) -> None:
        self.config = root / "config" / "callgate.yaml"
        self.config.parent.mkdir()
        self.policy = root / "config" / "policy.yaml"
        self.state = root / "state"
        self.workers = workers
        self.settle(0)
        self.policy.write_text(POLICY)

    def settle(self, port: int, deadline: str = "60s") -> None:
        """Choose the port, 0 is any, and how long a call may take."""
        text = SETTINGS.format(workers=self.workers, port=port, deadline=deadline)
        self.config.write_text(text)

    @property
    def client(self) -> ControlClient:
        return ControlClient(self.state / "control.sock", who="alice")

    async def ask(self, question: Callable[[ControlClient], T]) -> T:
        return await asyncio.to_thread(question, self.client)

    async def workers_told(self) -> dict[int, dict[str, Any]]:
        """What the status tells of each worker."""
        status = await self.ask(ControlClient.status)
        return {int(number): facts for number, facts in status["workers"]["each"].items()}

    async def pid(self, worker: int) -> int:
        return int((await self.workers_told())[worker]["pid"])

    async def metric(self, name: str, *parts: str) -> float:
        """The sum of a metric's samples whose labels have all of these parts."""
        text = await self.ask(ControlClient.metrics)
        lines = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for labels, value in lines if all(part in labels for part in parts))

    async def counted(self, name: str, value: float, *parts: str) -> None:
        """Until the sum is this: a worker that is short of time tells its figures later."""
        found = -1.0
        deadline = time.monotonic() + LONG
        while (found := await self.metric(name, *parts)) != value:
            assert time.monotonic() < deadline, f"{name} is {found}, not {value}"
            await asyncio.sleep(0.05)

    def stored(self) -> list[Attempt]:
        """What was journaled before a stop."""
        store = AttemptStore(self.state / "attempts.db")
        try:
            ingest_once(self.state / "journal", store)
            return store.query(AttemptFilter(), limit=100_000)
        finally:
            store.close()


class Served:
    """``callgate serve``, running."""

    def __init__(self, place: Place, process: asyncio.subprocess.Process, port: int) -> None:
        self.place = place
        self.process = process
        self.port = port

    async def call(
        self, caller: str, callee: str = "+33140000000", direction: str = "inbound"
    ) -> Answer:
        """One call; a verdict of ``none`` is none."""
        path = screen_path(direction, "carrier", "", caller, callee, key=KEY)
        return await self.run(path)

    async def run(self, path: str) -> Answer:
        async with asyncio.timeout(LONG):
            variables, _ = await agi_call("127.0.0.1", self.port, path)
        attempt = variables.get("CALLGATE_ATTEMPT", "")
        worker = int(attempt.split("-")[2], 36) if attempt else 0
        verdict = variables.get("CALLGATE_VERDICT") or variables.get("CALLGATE_STATUS", "none")
        return Answer(verdict, attempt, worker)

    async def calls_of(self, workers: Sequence[int], caller: str) -> list[Answer]:
        """Calls until each of these workers has answered one."""
        answers: list[Answer] = []
        async with asyncio.timeout(LONG):
            while not set(workers) <= {answer.worker for answer in answers}:
                answers += await asyncio.gather(*(self.call(caller) for _ in range(4)))
        return answers

    async def replaced(self, worker: int, pid: int) -> None:
        """Until a worker has a successor that accepts calls."""
        async with asyncio.timeout(LONG):
            while True:
                told = (await self.place.workers_told())[worker]
                if told["pid"] != pid and told["serving"]:
                    return
                await asyncio.sleep(0.02)

    async def ended(self) -> int:
        async with asyncio.timeout(LONG):
            return await self.process.wait()

    async def stop(self) -> None:
        """As a service manager does, and as it should end."""
        self.process.send_signal(signal.SIGTERM)
        assert await self.ended() == 0


@asynccontextmanager
async def serving(place: Place) -> AsyncIterator[Served]:
    """A gateway with all of its workers; killed at the latest when the block ends."""
    with (place.config.parent / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "--config", str(place.config), "serve"),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
        )
    try:
        yield Served(place, process, await port_of(process))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def port_of(process: asyncio.subprocess.Process) -> int:
    """The port of FastAGI from the banner, once all of it is there; what runs is what was asked."""
    assert process.stdout
    banner = ""
    async with asyncio.timeout(LONG):
        while "try next" not in banner:
            line = await process.stdout.readline()
            assert line, "it ended before it was ready"
            banner += line.decode()
    assert "DEGRADED" not in banner
    found = re.search(r"FastAGI +127\.0\.0\.1:(\d+)", banner)
    assert found
    return int(found[1])


def is_alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> None:
    """Until a process has ended."""
    deadline = time.monotonic() + LONG
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{pid} does not end"
        await asyncio.sleep(0.02)
