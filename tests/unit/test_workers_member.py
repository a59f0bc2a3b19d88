"""A worker with whom its parent cannot talk any more: it ends, or it is ended and replaced."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.metrics import Metrics
from gateway.workers import member, pool
from gateway.workers.messages import Begin, Board
from gateway.workers.pool import FIRST_PAUSE, Pool
from tests.support.crew import gone

LONG = 120
"""Seconds after which something that is waited for has failed."""
NEVER = 600.0
WORKER = """\
#!{python}
import json, socket, sys, time
import msgspec
from gateway.workers import messages
from gateway.workers.page import Page

told = json.loads(sys.argv[-1])
page, end = Page(told["page"]), socket.socket(fileno=told["channel"])

def say(message):
    data = msgspec.msgpack.encode(message)
    end.sendall(len(data).to_bytes(4, "big") + data)

def join():
    say(messages.Hello())
    for _ in ("Begin", "Open"):
        size = int.from_bytes(end.recv(4, socket.MSG_WAITALL), "big")
        end.recv(size, socket.MSG_WAITALL)
    say(messages.Opened(0))

def serve():
    join()
    say(messages.Serving())

def break_channel():
    end.sendall(b"\\xff\\xff\\xff\\xff")

def live():
    until = time.monotonic() + {never}
    while time.monotonic() < until:
        page.beat(told["number"], time.monotonic_ns())
        time.sleep(0.02)

{part}
"""


class Kept:
    """A pool of one worker, and what it saw of it."""

    def __init__(self) -> None:
        self._metrics = Metrics()
        self.pool = Pool(
            1,
            self._metrics,
            options={"lock": "", "log": {}},
            begin=self._begin,
            files=lambda _: [],
            said=lambda *_: None,
        )

    def _begin(self, _: int) -> Begin:
        board = Board(descriptor=0, secret="", max_connections=1, deadline=0.0)
        return Begin(
            boards={"agi": board},
            journal="",
            segment_bytes=1,
            durability="process",
            emergencies={},
            guarded=False,
        )

    async def pid(self) -> int:
        """Of the first worker, once it runs."""
        async with asyncio.timeout(LONG):
            while not (self.pool.members and self.pool.members[0].pid):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self.pool.members[0].pid

    async def replaced(self, cause: str) -> None:
        """Until a worker was replaced, and for no other cause."""
        name, causes = "callgate_worker_restarts_total", ("died", "stalled", "late")
        async with asyncio.timeout(LONG):
            while not any(self._metrics.value(name, cause=each) for each in causes):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert [each for each in causes if self._metrics.value(name, cause=each)] == [cause]


@asynccontextmanager
async def keeping(part: str, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    """A pool whose worker does this and no more."""
    script = folder / "worker"
    script.write_text(WORKER.format(python=sys.executable, never=NEVER, part=part))
    script.chmod(0o700)
    patch.setattr(sys, "executable", str(script))
    patch.setattr(member, "ACK_TIME", NEVER)
    kept = Kept()
    kept.pool.start()
    try:
        yield kept
    finally:
        await kept.pool.stop(0.0)
        kept.pool.close()


def end_time(seconds: float, patch: pytest.MonkeyPatch) -> None:
    for module in (member, pool):
        patch.setattr(module, "END_TIME", seconds)


@pytest.mark.parametrize("before", ["serve()", "pass"], ids=["serving", "starting"])
async def test_one_that_lives_on_without_its_channel_is_replaced(
    before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end_time(0.2, monkeypatch)
    monkeypatch.setattr(member, "START_TIME", NEVER)
    monkeypatch.setattr(member, "STALL", NEVER)
    async with keeping(f"{before}\nbreak_channel()\nlive()", tmp_path, monkeypatch) as kept:
        pid = await kept.pid()
        await kept.replaced("stalled")
        await gone(pid)
    assert "the channel between parent and worker is broken" in caplog.text
    assert "has no channel any more and does not end" in caplog.text


async def test_one_that_hangs_without_its_channel_is_found_by_its_heart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_time(NEVER, monkeypatch)
    monkeypatch.setattr(member, "STALL", 0.5)
    part = f"serve()\nbreak_channel()\ntime.sleep({NEVER})"
    async with keeping(part, tmp_path, monkeypatch) as kept:
        pid = await kept.pid()
        await kept.replaced("stalled")
        await gone(pid)


async def test_one_that_ends_its_calls_without_its_channel_has_the_time_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_time(NEVER, monkeypatch)
    monkeypatch.setattr(member, "STALL", NEVER)
    part = "serve()\nend.close()\ntime.sleep(0.3)"
    async with keeping(part, tmp_path, monkeypatch) as kept:
        pid = await kept.pid()
        await kept.replaced("died")
        await gone(pid)


@pytest.mark.parametrize(
    ("before", "pause"), [("serve()", 0.0), ("join()", FIRST_PAUSE)], ids=["served", "could not"]
)
async def test_only_one_that_served_and_was_told_to_end_is_replaced_at_once(
    before: str,
    pause: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One that cannot listen ends in good order too, and would do so again and again."""
    monkeypatch.setattr(pool, "CALM", NEVER)
    part = f"{before}\nsay(messages.Ended(0))\nend.close()"
    async with keeping(part, tmp_path, monkeypatch) as kept:
        await kept.replaced("died")
    [first, *_] = [record for record in caplog.records if "again in" in record.getMessage()]
    assert first.getMessage().endswith(f"died; again in {pause:g} s")
