"""A child process is kept running, with a growing pause, and ends when it is told to."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from gateway.app import child as module
from gateway.app.child import Child
from gateway.metrics import Metrics

UP, RESTARTS = "callgate_http_up", "callgate_http_restarts_total"
LONG = 60.0

PROGRAM = """
import os, signal, sys, time
what, place = sys.argv[1:3]
if what == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if what == "polite":
    def end(*_):
        open(os.path.join(place, "ended"), "w").close()
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
with open(os.path.join(place, "started"), "a") as file:
    file.write(f"{os.getpid()} {os.getsid(0)}\\n")
if what == "fails":
    sys.exit(3)
if what == "writes":
    os.write(int(sys.argv[3]), b"here")
while True:
    time.sleep(60)
"""


class Place:
    """A module that children run, and who of them started."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        (path / "a_child.py").write_text(PROGRAM)
        monkeypatch.setenv("PYTHONPATH", str(path))
        self.metrics = Metrics()
        self.commands = 0

    def child(self, what: str, *, stop_time: float = LONG, files: Sequence[int] = ()) -> Child:
        def command() -> Sequence[str]:
            self.commands += 1
            return ["a_child", what, str(self.path), *map(str, files)]

        return Child(
            *("test", self.metrics, command),
            up=UP,
            restarts=RESTARTS,
            files=files,
            stop_time=stop_time,
        )

    def started(self) -> list[list[int]]:
        """Process and session of each that started."""
        file = self.path / "started"
        lines = file.read_text().splitlines() if file.exists() else []
        return [[int(word) for word in line.split()] for line in lines]

    async def running(self, child: Child, count: int) -> int:
        """The process of a child, when so many have started and it is the last of them."""
        return await asyncio.to_thread(self._running, child, count)

    def _running(self, child: Child, count: int) -> int:
        deadline = time.monotonic() + LONG
        while len(found := self.started()) < count or found[-1][:1] != [child.pid]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return child.pid


class Log(logging.Handler):
    """What is logged, and a way to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._more = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self._text += record.getMessage() + "\n"
        self._more.set()

    async def says(self, text: str) -> None:
        async with asyncio.timeout(LONG):
            while text not in self._text:
                self._more.clear()
                await self._more.wait()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    module.log.addHandler(log)
    yield log
    module.log.removeHandler(log)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


@pytest.fixture
async def tasks() -> AsyncIterator[list[asyncio.Task[None]]]:
    found: list[asyncio.Task[None]] = []
    yield found
    for task in found:
        task.cancel()
    await asyncio.gather(*found, return_exceptions=True)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    async with asyncio.timeout(LONG):
        await asyncio.wait({task})


async def test_a_child_that_dies_is_started_again(
    place: Place, tasks: list[asyncio.Task[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    child = place.child("stays")
    tasks.append(asyncio.create_task(child.run()))
    first = await place.running(child, 1)
    assert place.metrics.value(UP) == 1
    assert place.metrics.value(RESTARTS) == 0
    os.kill(first, signal.SIGKILL)
    assert await place.running(child, 2) != first
    assert (place.metrics.value(UP), place.metrics.value(RESTARTS)) == (1, 1)


async def test_the_pause_grows_while_it_fails_and_has_a_bound(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []
    plain = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if len(pauses) == 8:
            raise asyncio.CancelledError
        pauses.append(seconds)
        await plain(0)

    monkeypatch.setattr("gateway.app.child.asyncio.sleep", sleep)
    child = place.child("fails")

    async def once() -> int:
        return 3

    monkeypatch.setattr(child, "_once", once)
    with caplog.at_level(logging.ERROR), pytest.raises(asyncio.CancelledError):
        await child.run()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert place.metrics.value(RESTARTS) == 9
    assert "the test ended with 3; again in 1 s" in caplog.text


async def test_the_pause_is_short_again_after_a_calm_minute(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    lives = iter([0, 0, 0, module.LONGEST_PAUSE + 1, 0])
    now = 0.0

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    child = place.child("fails")

    async def once() -> int:
        nonlocal now
        for seconds in lives:
            now += seconds
            return 3
        raise asyncio.CancelledError

    monkeypatch.setattr("gateway.app.child.asyncio.sleep", sleep)
    monkeypatch.setattr("gateway.app.child.time.monotonic", lambda: now)
    monkeypatch.setattr(child, "_once", once)
    with pytest.raises(asyncio.CancelledError):
        await child.run()
    assert pauses == [1, 2, 4, 1, 2]


async def test_a_child_that_fails_is_told_with_its_code_and_counts_as_down(
    place: Place, tasks: list[asyncio.Task[None]], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 3600.0)
    tasks.append(asyncio.create_task(place.child("fails").run()))
    await log.says("the test ended with 3; again in 3600 s")
    assert place.metrics.value(UP) == 0
    assert place.commands == 1


async def test_a_program_that_cannot_be_started_is_tried_again(
    place: Place,
    tasks: list[asyncio.Task[None]],
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    python = sys.executable
    monkeypatch.setattr("sys.executable", str(place.path / "nothing"))
    child = place.child("stays")
    tasks.append(asyncio.create_task(child.run()))
    await log.says("No such file")
    monkeypatch.setattr("sys.executable", python)
    assert alive(await place.running(child, 1))


async def test_a_stop_tells_the_child_and_waits_for_it(place: Place) -> None:
    child = place.child("polite")
    task = asyncio.create_task(child.run())
    pid = await place.running(child, 1)
    await stopped(task)
    assert (place.path / "ended").exists()
    assert not alive(pid)
    assert (child.pid, place.metrics.value(UP)) == (0, 0)
    assert place.metrics.value(RESTARTS) == 0


async def test_a_child_that_does_not_listen_is_killed_when_its_time_is_up(place: Place) -> None:
    child = place.child("stubborn", stop_time=0.1)
    task = asyncio.create_task(child.run())
    pid = await place.running(child, 1)
    await stopped(task)
    assert not alive(pid)


async def test_a_stop_while_it_waits_to_start_again_starts_nothing(
    place: Place, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 3600.0)
    task = asyncio.create_task(place.child("fails").run())
    await log.says("ended with 3")
    await stopped(task)
    assert place.commands == 1


async def test_a_child_has_a_session_of_its_own_and_the_files_it_is_given(
    place: Place, tasks: list[asyncio.Task[None]]
) -> None:
    reading, writing = os.pipe()
    child = place.child("writes", files=[writing])
    tasks.append(asyncio.create_task(child.run()))
    pid = await place.running(child, 1)
    assert place.started() == [[pid, pid]]
    assert await asyncio.to_thread(os.read, reading, 4) == b"here"
    await stopped(tasks.pop())
    os.close(reading)
    os.close(writing)
