"""Servers side by side: pinned to one processor, loaded in interleaved rounds, their CPU read.

The CPU is that of the server's processes alone, in nanoseconds from their CPU clocks. A round is
one load on each server in turn, and what is told is medians and the median of the ratios within a
round: a neighbour that is busy for a while burdens all of them alike. The first round warms up
and is not counted. The ingester, which no call waits for, is stopped meanwhile: it would
take the load's processor, and from us alone. What it costs is told by ``bench.growth``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.build import CACHE, HERE, binary
from bench.corpus import corpus

OURS = "callgate"
CONCURRENCY = 32
SERVER_PLACE, LOAD_PLACE = 0, 1
PERIOD = 10_000
"""Microseconds in which a quota is given."""
GROUPS = Path("/sys/fs/cgroup")
LIMITS = ", max_connections: 12000, deadline: 60s"
"""So that what waits long is told as a latency, and not cut off."""
NOT_SERVING = ("gateway.attempts.ingest",)
"""Processes of the gateway's that no call waits for."""


@dataclass(frozen=True)
class Server:
    """A command that listens on that port of 127.0.0.1.

    ``share`` is that of the calls of a round which it is asked: less for one that is slow.
    """

    port: int
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    share: float = 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def family(pid: int) -> list[int]:
    """A process and all below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(stat[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def is_serving(pid: int) -> bool:
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        return not any(word in NOT_SERVING for word in command)
    return False


def cpu_seconds(*pids: int) -> float:
    """User and system time of processes with all their threads, also ended ones."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def megabytes(pid: int, what: str = "VmHWM") -> int:
    """``VmHWM`` is the most that a process ever had, ``VmRSS`` what it has."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0]) // 1024


def pin(pid: int, place: int) -> None:
    """All threads of a process, 0 for this one. Does nothing where there is one processor."""
    cores = sorted(os.sched_getaffinity(0) | _cores())
    if len(cores) > 1:
        for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
            os.sched_setaffinity(int(task.name), {cores[place % len(cores)]})


def unpin(pid: int) -> None:
    """A process and all below it, with all threads, wherever the kernel likes."""
    for one in family(pid):
        for task in Path(f"/proc/{one}/task").iterdir():
            os.sched_setaffinity(int(task.name), _cores())


def _cores() -> set[int]:
    return set(range(os.cpu_count() or 1))


def callgate(folder: Path, frontend: str, port: int, entries: int, settings: str = "") -> list[str]:
    """A configuration of mixed entries with that one frontend, and the command that serves it."""
    block = corpus(entries) / "block.txt"
    (folder / "policy.yaml").write_text(
        f"numbering: {{region: FR}}\nlists:\n  nuisance: {{action: block, files: [{block}]}}\n"
    )
    listens = {"agi": "off", "esl": "off", frontend: f"127.0.0.1:{port}"}
    (folder / "callgate.yaml").write_text(
        "policy: policy.yaml\nstate: state\n"
        + "".join(
            f"{name}: {{listen: '{listen}'{LIMITS if listen != 'off' else ''}}}\n"
            for name, listen in listens.items()
        )
        + settings
        + ("" if "http:" in settings else "http: {listen: 'off'}\n")
    )
    return [sys.executable, "-m", "gateway", "--config", str(folder / "callgate.yaml"), "serve"]


def listens(port: int) -> bool:
    """Asked of the kernel: a connection that closes at once freezes panoramisk for ever."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    return wanted in Path("/proc/net/tcp").read_text()


@contextlib.contextmanager
def running(server: Server) -> Iterator[int]:
    """The server's process once it listens; ended when the block is left."""
    process = subprocess.Popen(
        server.command,
        env=os.environ | server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        for _ in range(15_000):
            if listens(server.port):
                break
            if process.poll() is not None:
                assert process.stderr
                why = process.stderr.read().decode()
                sys.exit(f"a server did not start: {' '.join(server.command)}\n{why}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        place(process.pid)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def place(pid: int) -> None:
    """What serves on one processor, what does not on the load's."""
    for one in family(pid):
        with contextlib.suppress(OSError):
            pin(one, SERVER_PLACE if is_serving(one) else LOAD_PLACE)


@dataclass(frozen=True)
class Load:
    """What ``bench/c/load.c`` is told: its mode and its settings, but for how many and how fast."""

    mode: str
    settings: Mapping[str, object]

    def command(self, port: int, calls: int, **more: object) -> list[str]:
        told = {"port": port, "calls": calls, "connections": CONCURRENCY, **self.settings, **more}
        return [str(binary("load")), self.mode, *(f"{name}={told[name]}" for name in told)]

    def run(self, port: int, calls: int, *, strict: bool = True, **more: object) -> dict[str, Any]:
        """What it reports, from the load's processor. ``strict``: exits when a call failed."""
        done = subprocess.run(
            self.command(port, calls, **more),
            stdout=subprocess.PIPE,
            check=True,
            preexec_fn=lambda: pin(0, LOAD_PLACE),
        )
        found: dict[str, Any] = json.loads(done.stdout)
        if found["failures"] and strict:
            sys.exit(f"calls failed: {found}")
        return found


def written(name: str, data: bytes) -> Path:
    """A file in the cache for ``load`` to read."""
    CACHE.mkdir(exist_ok=True)
    (CACHE / name).write_bytes(data)
    return CACHE / name


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """These processes do nothing meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@dataclass
class Run:
    """One load on one server: microseconds of CPU per call, and what the load saw."""

    cpu: float
    load: dict[str, Any]


def one_load(pid: int, work: Callable[[], dict[str, Any]]) -> Run:
    """The CPU that a server spends on it. Its processes are looked up once, before."""
    serving = [one for one in family(pid) if is_serving(one)]
    before = cpu_seconds(*serving)
    told = work()
    return Run((cpu_seconds(*serving) - before) / told["calls"] * 1e6, told)


def beside(*pids: int) -> list[int]:
    """The processes of servers that no call waits for."""
    return [one for pid in pids for one in family(pid) if not is_serving(one)]


@contextlib.contextmanager
def throttled(pid: int, share: float) -> Iterator[bool]:
    """What serves has that share of one processor meanwhile. False: that cannot be had here."""
    old = GROUPS / "cpu" / "cpu.shares"
    group = (old.parent if old.exists() else GROUPS) / f"callgate-bench-{pid}"
    home = GROUPS / ("cpu" if old.exists() else "") / "cgroup.procs"
    quota = int(PERIOD * share)
    serving = [one for one in family(pid) if is_serving(one)]
    try:
        group.mkdir()
        if old.exists():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD}")
        for one in serving:
            (group / "cgroup.procs").write_text(str(one))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield False
        return
    try:
        yield True
    finally:
        while inside := (group / "cgroup.procs").read_text().split():
            for each in inside:
                with contextlib.suppress(ProcessLookupError):
                    home.write_text(each)
        group.rmdir()


def compare(
    servers: Mapping[str, Server], loads: Mapping[str, Load], *, calls: int, rounds: int
) -> tuple[dict[str, list[Run]], dict[str, int]]:
    """Load each in turn, round by round; the runs of each, and its peak of memory in MB."""
    runs: dict[str, list[Run]] = {name: [] for name in servers}
    with contextlib.ExitStack() as stack:
        pids = {name: stack.enter_context(running(server)) for name, server in servers.items()}
        stack.enter_context(stopped(*beside(*pids.values())))
        for counts in range(rounds + 1):
            for name, server in servers.items():
                asked = int(calls * server.share)
                run = one_load(pids[name], partial(loads[name].run, server.port, asked))
                if counts:
                    runs[name].append(run)
        memory = {name: megabytes(pid) for name, pid in pids.items()}
    return runs, memory


def arguments(description: str | None, *, calls: int, rounds: int) -> argparse.ArgumentParser:
    """What every comparison can be told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--peer-python", default=str(HERE / ".venv/bin/python"))
    parser.add_argument("--calls", type=int, default=calls, help="in one round, on one server")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="fewer calls and rounds")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    options = parser.parse_args()
    if options.quick:
        options.calls, options.rounds = options.calls // 4, 3
    return options
