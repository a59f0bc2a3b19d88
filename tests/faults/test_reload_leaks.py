"""A gateway that reloads a large list ten thousand times holds what it held after the first few.

Rule: one line is another each time, the list stays as long. Samples are taken between two reloads,
and the slope is that of a line through the second half of them: what is made once is made by then,
and what is kept of every reload is not. Objects are the sharpest of it: an allocator may fill its
pages late, but one object kept of each reload is one object a reload.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.corpus import corpus
from tests.faults.test_leaks import slope
from tests.support.compiling import forked_compiler
from tests.support.figures import measured
from tests.support.inside import ask, outside, tree
from tests.support.load import Load, right
from tests.support.served import ROOT, Served, served, short_folder

LINES = int(os.environ.get("RELOAD_LINES", "20000"))
RELOADS = 10_000
EACH = 50
"""Reloads from one sample to the next."""
FEW, MORE = 10, 40
"""Reloads of the quick form: until what is made once is made, and after that."""
KEPT = ROOT / ".cache" / "soak"
"""Where the samples of the long form are written as they are taken."""
BOUND = int(os.environ.get("RELOAD_SECONDS", "3300"))
"""After which it has hung; more lines and a busy machine need more."""
SLACK = {"files": 8, "threads": 8, "tasks": 4, "indexes": 0, "generations": 0, "processes": 0}
"""What may be more: the pools', which fill when they like, and those of a peer that leaves."""
BYTES = {"anon": 256, "all_anon": 1024}
"""Bytes of a reload that may stay in the second half, at most, in the gateway's process and in all:
a policy in force is some kilobytes of objects, the index of 20,000 lines 684,000 bytes. In all: the
ingester's pages of the store fill with calls, up to the 2 MB of SQLite's cache."""
OBJECTS = 0.25
"""Objects of a reload that may stay: one that does is a leak."""


def sample(gateway: Served, probe: Path) -> dict[str, float]:
    """What all processes of a gateway hold, and what lies on the disk."""
    every = {named(pid): outside(pid) for pid in tree(gateway.pid)}
    own = every["callgate"]
    whole = {f"all_{name}": sum(each[name] for each in every.values()) for name in own}
    last_good = gateway.state / "last-good"
    return {
        **own,
        **{f"{name}_anon": each["anon"] for name, each in every.items()},
        **whole,
        **ask(probe),
        "processes": len(every),
        "generations": len(list(last_good.iterdir())),
        "kept_bytes": sum(path.stat().st_size for path in last_good.rglob("*") if path.is_file()),
    }


def named(pid: int) -> str:
    """By its module, the gateway's own process ``callgate``."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    module = words[words.index(b"-m") + 1].decode() if b"-m" in words else str(pid)
    return "callgate" if module == "tests.support.inside" else module


def much(lines: int) -> str:
    """A large list, in which none is that the load takes for allowed."""
    with (corpus(lines) / "block.txt").open() as file:
        return "".join(line for line in file if not line.startswith("+33611"))


def few() -> str:
    return "".join(f"+332{number:08}\n" for number in range(1000))


async def listed(gateway: Served, text: str) -> Path:
    """It blocks this list, and what the load takes for blocked; the file."""
    path = gateway.policy.with_name("block.txt")
    path.write_text(text)
    gateway.policy.write_text(
        "numbering: {region: FR}\n"
        f"lists: {{nuisance: {{action: block, prefixes: ['+33162'], files: [{path}]}}}}\n"
    )
    await reloaded(gateway)
    return path


async def reloaded(gateway: Served) -> None:
    result = await asyncio.to_thread(gateway.client.reload)
    assert result["status"] == "loaded", result


def change(path: Path, number: int, wholes: int) -> None:
    """One line of the list is another of the same length: so many whole numbers come first."""
    line = f"+331{number:08}\n".encode()
    with path.open("r+b") as file:
        file.seek(number % wholes * len(line))
        file.write(line)


async def warmed(gateway: Served) -> None:
    """So many calls that what remembers numbers, 4096 of them at most, is full."""
    load = Load(gateway, callers=8, seed=1)
    async with load.running():
        for _ in range(20):
            await load.answered(500)


@asynccontextmanager
async def looked_into(**settings: Any) -> AsyncIterator[tuple[Served, Path]]:
    """A gateway that tells what it holds, and where it is asked."""
    with short_folder() as folder:
        probe = folder / "probe"
        async with forked_compiler(folder) as program:
            command = (sys.executable, "-m", "tests.support.inside", str(probe), str(program))
            async with served(program=command, **settings) as gateway:
                yield gateway, probe


async def test_reloads_leave_no_object_descriptor_task_map_or_file() -> None:
    async with looked_into() as (gateway, probe):
        path = await listed(gateway, few())
        samples = []
        for count in (FEW, MORE):
            for number in range(count):
                change(path, number + count, 1000)
                await reloaded(gateway)
            for _ in range(2):  # the first look is work too
                held = await asyncio.to_thread(sample, gateway, probe)
            samples.append(held)
    before, after = samples
    assert (after["indexes"], after["generations"]) == (1, 2)
    assert {name: after[name] for name in SLACK if after[name] > before[name] + SLACK[name]} == {}
    # A generation that is kept is dozens of objects; what else the gateway does makes some.
    assert after["objects"] - before["objects"] < MORE * 3


@pytest.mark.soak(minutes=31)
async def test_ten_thousand_reloads_of_a_large_list_leave_nothing() -> None:
    """Under a trickle of calls."""
    signal.alarm(BOUND)
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"reloads-{LINES}.jsonl"
    kept.unlink(missing_ok=True)
    samples: list[dict[str, float]] = []
    async with looked_into(http=True) as (gateway, probe):
        path = await listed(gateway, much(LINES))
        await warmed(gateway)
        load = Load(gateway, callers=2, pause=0.5)
        began = time.monotonic()
        async with load.running():
            for done in range(1, RELOADS + 1):
                change(path, done, LINES // 3)
                await reloaded(gateway)
                if done % EACH == 0:
                    held = await asyncio.to_thread(sample, gateway, probe)
                    held |= {"reloads": done, "seconds": time.monotonic() - began}
                    samples.append(held)
                    with kept.open("a") as file:
                        file.write(json.dumps(held) + "\n")
    measured("reloads", calls=len(load.answers), refused=load.refused, broken=load.broken)
    slopes = told(samples)
    assert right(load.answers)
    assert (load.refused, load.broken) == (0, 0)
    first, last = samples[len(samples) // 2], samples[-1]
    assert {name: last[name] for name in SLACK if last[name] > first[name] + SLACK[name]} == {}
    assert {name: slopes[name] * 1024 for name in BYTES if slopes[name] * 1024 > BYTES[name]} == {}
    assert slopes["objects"] < OBJECTS
    assert slopes["blocks"] < OBJECTS


def told(samples: list[dict[str, float]]) -> dict[str, float]:
    """What a reload adds of each in the second half of them, printed."""
    half = samples[len(samples) // 2 :]
    slopes = {}
    for name in (name for name in samples[0] if name not in ("reloads", "seconds")):
        slopes[name] = slope([each["reloads"] for each in half], [each[name] for each in half])
        values = [each[name] for each in samples]
        measured(name, first=values[0], half=half[0][name], last=values[-1], each=slopes[name])
    return slopes
