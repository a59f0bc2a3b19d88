"""Servers side by side: pinned to one processor, loaded in interleaved rounds, their CPU read.

The CPU is that of the server's process alone, from /proc. A round is one load on each server in
turn, and what is told is medians and the median of the ratios within a round: a neighbour that is
busy for a while burdens all of them alike. The first round warms up and is not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
CONCURRENCY = 32
OURS = "callgate"


@dataclass(frozen=True)
class Server:
    """A command that listens on that port of 127.0.0.1."""

    port: int
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_megabytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def pin(pid: int, place: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(pid, {cores[place % len(cores)]})


def callgate(folder: Path, frontend: str, port: int, entries: int) -> list[str]:
    """A configuration of mixed entries with that one frontend, and the command that serves it."""
    (folder / "block.txt").write_text(
        "".join(f"+33{160_000_000 + place * 7}\n" for place in range(entries))
    )
    (folder / "policy.yaml").write_text(
        "numbering: {region: FR}\n"
        "lists:\n  nuisance: {action: block, prefixes: [+33162], files: [block.txt]}\n"
    )
    frontends = {"agi": "off", "esl": "off", frontend: f"127.0.0.1:{port}"}
    (folder / "callgate.yaml").write_text(
        "policy: policy.yaml\nstate: state\n"
        + "".join(f"{name}: {{listen: '{listen}'}}\n" for name, listen in frontends.items())
    )
    return [sys.executable, "-m", "gateway", "--config", str(folder / "callgate.yaml"), "serve"]


def caller(number: int) -> str:
    """Every other one is blocked by the configuration above."""
    return f"+33{162_000_000 + number % 2 * 27_000_000 + number % 100_000}"


def listens(port: int) -> bool:
    """Asked of the kernel: a connection that closes at once freezes panoramisk for ever."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    return wanted in Path("/proc/net/tcp").read_text()


@contextlib.contextmanager
def running(server: Server) -> Iterator[int]:
    process = subprocess.Popen(
        server.command,
        env=os.environ | server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(3000):
            if listens(server.port):
                break
            if process.poll() is not None:
                sys.exit(f"a server did not start: {' '.join(server.command)}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        pin(process.pid, 0)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def lanes(call: Callable[[int], Awaitable[None]], calls: int) -> None:
    """That many calls, some of them at once."""
    numbers = iter(range(calls))

    async def lane() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(lane() for _ in range(CONCURRENCY)))


def compare(
    servers: Mapping[str, Server],
    call: Callable[[str, int, int], Awaitable[None]],
    *,
    calls: int,
    rounds: int,
) -> None:
    """Load each with ``call(name, port, number)``; print CPU per call and the peak of memory."""
    pin(0, 1)
    figures: dict[str, list[float]] = {name: [] for name in servers}
    with contextlib.ExitStack() as stack:
        pids = {name: stack.enter_context(running(server)) for name, server in servers.items()}
        for counts in range(rounds + 1):
            for name, server in servers.items():
                before = cpu_seconds(pids[name])
                asyncio.run(lanes(partial(call, name, server.port), calls))
                if counts:
                    figures[name].append((cpu_seconds(pids[name]) - before) / calls * 1e6)
        memory = {name: peak_megabytes(pid) for name, pid in pids.items()}
    report(figures, memory)


def report(figures: Mapping[str, list[float]], memory: Mapping[str, int]) -> None:
    for name, values in figures.items():
        spread = f"{min(values):.0f} to {max(values):.0f}"
        cost = f"{statistics.median(values):7.1f} us of CPU per call ({spread})"
        print(f"{name:<12} {cost}, {memory[name]} MB")
    for name, values in figures.items():
        if name != OURS:
            pairs = zip(figures[OURS], values, strict=True)
            ratio = statistics.median(ours / theirs for ours, theirs in pairs)
            print(f"{OURS} / {name}, median of the rounds: {ratio:.2f}")
