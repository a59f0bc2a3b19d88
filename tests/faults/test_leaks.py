"""A gateway holds after many calls and reloads what it held after few.

Rule: what is compared is at rest, and comes after a warm-up: what is made once is made. The slope
of memory is that of a line through all samples (least squares), so that no one sample decides.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from bench.corpus import corpus
from bench.esl import load_for as esl_load
from bench.fastagi import load_for as agi_load
from bench.measure import OURS
from gateway.app.gateway import Gateway
from gateway.app.notify import Notifier
from gateway.app.state import owned
from gateway.settings import Settings
from tests.support.figures import measured
from tests.support.load import Load, right
from tests.support.served import LONG, Served, served, short_folder

POLICY = "numbering: {region: FR}\nlists: {nuisance: {action: block, prefixes: [+33162]}}\n"
SETTINGS = """\
agi: {listen: "127.0.0.1:0", deadline: 30s}
esl: {listen: "127.0.0.1:0", deadline: 30s}
http: {listen: off}
reload: {watch: false}
"""
CALLS, PARTS, RELOADS = 500, 6, 12
SLACK = (8, 0, 8)
"""Descriptors, tasks and threads that may stay: those of pools, which fill when they like. One of
each reload would be more."""
MILLION, SAMPLE, WARM = 1_000_000, 50_000, 100_000
BOUND = 900
"""Seconds after which a long form has hung."""
MEMORY = 64
"""Bytes of a call that may stay, at most: less than anything that is kept of one."""


class Here:
    """A gateway in this process, as the load asks it."""

    def __init__(self, gateway: Gateway) -> None:
        listeners = gateway.listeners()
        self.agi, self.esl = (int(listeners[name].rpartition(":")[2]) for name in ("agi", "esl"))
        self.ready = asyncio.Event()
        self.ready.set()


def held() -> tuple[int, int, int]:
    """Descriptors, tasks and threads of this process."""
    files = len(list(Path("/proc/self/fd").iterdir()))
    return files, len(asyncio.all_tasks()), threading.active_count()


def more(now: tuple[int, int, int], before: tuple[int, int, int]) -> bool:
    return any(one > was + slack for one, was, slack in zip(now, before, SLACK, strict=True))


async def at_rest(gateway: Gateway, before: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """What is held once nobody is connected; with ``before``, once it is no more than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LONG):
            while gateway.calls.open or (before and more(held(), before)):
                gc.collect()
                await asyncio.sleep(0.05)
    return held()


async def used(gateway: Gateway, parts: int) -> Load:
    """Calls, with reloads between and under them."""
    load = Load(Here(gateway), callers=8, seed=parts)
    async with load.running():
        for _ in range(parts):
            await load.answered(CALLS)
            for _ in range(RELOADS // PARTS):
                assert (await gateway.reload()).status == "loaded"
    return load


async def test_descriptors_tasks_and_threads_are_as_before_after_calls_and_reloads() -> None:
    with short_folder() as folder:
        (folder / "policy.yaml").write_text(POLICY)
        (folder / "callgate.yaml").write_text(f"{SETTINGS}state: {folder / 'state'}\n")
        settings = Settings.load(folder / "callgate.yaml")
        with owned(settings.state_dir):
            gateway = Gateway(settings, Notifier({}))
            try:
                await gateway.start()
                await until_ingesting(gateway)
                await used(gateway, 1)
                # The pool of asyncio.to_thread grows until it is whole: that is made once.
                await asyncio.gather(
                    *(asyncio.to_thread(time.sleep, 0.05) for _ in range((os.cpu_count() or 1) + 4))
                )
                before = await at_rest(gateway, None)
                load = await used(gateway, PARTS)
                after = await at_rest(gateway, before)
            finally:
                await gateway.stop()
    assert len(load.answers) >= CALLS * PARTS
    assert right(load.answers)
    assert (load.refused, load.broken) == (0, 0)
    assert not more(after, before), (before, after)


async def until_ingesting(gateway: Gateway) -> None:
    """Wait until the ingester runs, whose pipe is a descriptor."""
    async with asyncio.timeout(LONG):
        while not gateway.ingester.told()["pid"]:  # noqa: ASYNC110 - a process, told in a status
            await asyncio.sleep(0.05)


def rss(pid: int) -> float:
    """KiB of memory that a process has of its own; what it shares with files is not counted."""
    text = Path(f"/proc/{pid}/status").read_text()
    return float(text.partition("RssAnon:")[2].split()[0])


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    return statistics.linear_regression(xs, ys).slope


def counted(pid: int) -> tuple[int, int]:
    """Descriptors and threads of a process."""
    one = Path(f"/proc/{pid}")
    return len(list((one / "fd").iterdir())), len(list((one / "task").iterdir()))


async def listed(gateway: Served, entries: int) -> Path:
    """It blocks a list of so many lines; the file."""
    path = gateway.policy.with_name("block.txt")
    shutil.copy(corpus(entries) / "block.txt", path)
    gateway.policy.write_text(
        f"numbering: {{region: FR}}\nlists: {{nuisance: {{action: block, files: [{path}]}}}}\n"
    )
    assert (await asyncio.to_thread(gateway.client.reload))["status"] == "loaded"
    return path


@pytest.mark.soak(minutes=6)
async def test_a_million_calls_through_one_process_leave_nothing() -> None:
    """Half by FastAGI, half by outbound ESL; every verdict is compared by the load."""
    signal.alarm(BOUND)
    async with served() as gateway:
        await listed(gateway, 1000)
        loads = [(agi_load(OURS, 1000), gateway.agi), (esl_load(OURS, 1000), gateway.esl)]
        xs: list[float] = []
        ys: list[float] = []
        before: tuple[int, int] = (0, 0)
        began = time.monotonic()
        for done in range(0, MILLION + 1, SAMPLE):
            if done:
                for load, port in loads:
                    run = partial(load.run, port, SAMPLE // len(loads), strict=False)
                    told = await asyncio.to_thread(run)
                    assert not told["failures"], told
            await gateway.until(lambda status: status["connections"] == 0)
            if done == WARM:
                before = counted(gateway.pid)
            if done >= WARM:
                xs.append(done)
                ys.append(rss(gateway.pid))
        # The last question has a descriptor too, for a moment more.
        with suppress(TimeoutError):
            async with asyncio.timeout(LONG):
                while not _no_more_than(before, counted(gateway.pid)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        half = len(xs) // 2
        measured(
            "calls",
            calls=MILLION,
            seconds=time.monotonic() - began,
            first_kib=ys[0],
            last_kib=ys[-1],
            bytes_a_call=slope(xs, ys) * 1024,
            second_half=slope(xs[half:], ys[half:]) * 1024,
            files=counted(gateway.pid)[0] - before[0],
            threads=counted(gateway.pid)[1] - before[1],
        )
        assert slope(xs[half:], ys[half:]) * 1024 < MEMORY
        assert _no_more_than(before, counted(gateway.pid))


def _no_more_than(before: tuple[int, int], now: tuple[int, int]) -> bool:
    return all(one <= was for one, was in zip(now, before, strict=True))
