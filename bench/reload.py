"""What a reload of a large list does to calls: the CPU that the loop's thread spends in one turn.

A gateway runs in this process, under calls in an open loop, and a callback that asks to be called
again at once sees every turn of the loop: the CPU time of the thread since the turn before. Told is
what a turn with work in it costs at most and at the 999th of a thousand, while the list is loaded
and put in force, beside the same without a reload; and the latency of the calls meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.corpus import corpus
from bench.fastagi import load_for
from bench.measure import LOAD_PLACE, OURS, callgate, free_port, pin
from bench.result import Result
from gateway.app import Gateway, run
from gateway.loop import loop_factory
from gateway.settings import Settings

RATE = 1_000
LIMIT = 20.0
QUIET = 3.0
IDLE = 30e-6
"""Seconds of CPU below which a turn had nothing to do: it is there because it was asked for."""


class Turns:
    """The milliseconds of CPU of each turn of the loop, while it is switched on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = 0.0
        self.found: list[float] = []
        self.on = False

    def start(self) -> None:
        self.found, self.on = [], True
        self._last = time.thread_time()
        self._loop.call_soon(self._turn)

    def stop(self) -> list[float]:
        self.on = False
        return self.found

    def _turn(self) -> None:
        now = time.thread_time()
        if now - self._last > IDLE:
            self.found.append((now - self._last) * 1e3)
        self._last = now
        if self.on:
            self._loop.call_soon(self._turn)


def share(values: Sequence[float], of: float) -> float:
    return sorted(values)[min(len(values) - 1, int(of * len(values)))]


async def calls(port: int, entries: int, seconds: float) -> asyncio.subprocess.Process:
    """As many calls as are due in that time, begun."""
    command = load_for(OURS, entries).command(port, int(seconds * RATE), rate=RATE)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    pin(process.pid, LOAD_PLACE)
    return process


async def ended(load: asyncio.subprocess.Process) -> dict[str, Any]:
    told, _ = await load.communicate()
    found: dict[str, Any] = json.loads(told)
    if found["failures"]:
        sys.exit(f"calls failed: {found}")
    return found


async def measured(gateway: Gateway, folder: Path, port: int, entries: int, rounds: int) -> Result:
    result = Result("reload")
    turns, took = Turns(), QUIET
    rows: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name in ("without", "during"):
            load = await calls(port, entries, took if name == "during" else QUIET)
            await asyncio.sleep(0.5)
            turns.start()
            if name == "during":
                with (folder / "block.txt").open("a") as file:
                    file.write(f"+331{number:08}\n")
                began = time.monotonic()
                told = await gateway.reload()
                seconds, took = time.monotonic() - began, time.monotonic() - began + 1
                if told.status != "loaded":
                    sys.exit(f"the reload ended with {told}")
            else:
                await asyncio.sleep(QUIET - 1)
            found = turns.stop()
            latencies = await ended(load)
            if number:  # the first round tells how long the calls of the others have to last
                rows.setdefault(f"{name} a reload, turn p99.9", []).append(share(found, 0.999))
                rows.setdefault(f"{name} a reload, longest turn", []).append(max(found))
                for key in ("p50", "p99", "p999", "max"):
                    figures = rows.setdefault(f"{name} a reload, call {key}", [])
                    figures.append(latencies[key] / 1e3)
                if name == "during":
                    rows.setdefault("a reload", []).append(seconds * 1e3)
    for name, values in rows.items():
        result.row(name, values, "ms")
    highest = rows["during a reload, turn p99.9"]
    result.ratio("turn during a reload / 20 ms", highest, [LIMIT] * len(highest))
    return result


async def site(folder: Path, entries: int, rounds: int) -> Result:
    port = free_port()
    callgate(folder, "agi", port, entries, "reload: {watch: false}\n")
    source = corpus(entries) / "block.txt"
    shutil.copy(source, folder / "block.txt")
    policy = folder / "policy.yaml"
    policy.write_text(policy.read_text().replace(str(source), "block.txt"))
    started: asyncio.Future[Gateway] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    settings = Settings.load(folder / "callgate.yaml")
    gateway = asyncio.ensure_future(run(settings, stop, ready=started.set_result))
    either: set[asyncio.Future[Any]] = {gateway, started}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if gateway.done():
        gateway.result()
    try:
        return await measured(started.result(), folder, port, entries, rounds)
    finally:
        stop.set()
        await gateway


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a million entries, one round")
    options = parser.parse_args()
    if options.quick:
        options.entries, options.rounds = 1_000_000, 1
    with (
        tempfile.TemporaryDirectory() as name,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        result = runner.run(site(Path(name), options.entries, options.rounds))
    result.quick = options.quick
    result.setting = (
        f"{options.entries:,} entries, {RATE:,} calls a second, {options.rounds} rounds"
    )
    result.finish()


if __name__ == "__main__":
    main()
