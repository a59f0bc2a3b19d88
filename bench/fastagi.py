"""CPU per screened call: Callgate with everything included beside panoramisk deciding nothing.

The load connects as Asterisk does, sends the environment of a call, answers the one command and
waits for the close, on several connections at once. The server's CPU is read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi_client import Channel, environment

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
CONCURRENCY = 32
PATHS = {"callgate": "", "panoramisk": "screen"}
"""panoramisk matches whole paths; empty: one that names the call."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pin(pid: int, place: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(pid, {cores[place % len(cores)]})


def callgate(folder: Path, port: int, entries: int) -> list[str]:
    """A configuration of mixed entries, and the command that serves it."""
    (folder / "block.txt").write_text(
        "".join(f"+33{160_000_000 + place * 7}\n" for place in range(entries))
    )
    (folder / "policy.yaml").write_text(
        "numbering: {region: FR}\n"
        "lists:\n  nuisance: {action: block, prefixes: [+33162], files: [block.txt]}\n"
    )
    (folder / "callgate.yaml").write_text(
        f"policy: policy.yaml\nstate: state\nagi: {{listen: '127.0.0.1:{port}'}}\n"
        "esl: {listen: 'off'}\n"
    )
    return [sys.executable, "-m", "gateway", "--config", str(folder / "callgate.yaml"), "serve"]


def listens(port: int) -> bool:
    """Asked of the kernel: a connection that closes at once freezes panoramisk for ever."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    return wanted in Path("/proc/net/tcp").read_text()


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(3000):
            if listens(port):
                break
            if server.poll() is not None:
                sys.exit(f"a server did not start: {' '.join(command)}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(0.02)
        pin(server.pid, 0)
        yield server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


async def call(port: int, number: int, fixed_path: str) -> None:
    caller = f"+33{162_000_000 + number % 2 * 27_000_000 + number % 100_000}"
    path = fixed_path or screen_path("inbound", "", "", caller, "+33140000000")
    channel = Channel(caller=caller, unique_id=f"1795362711.{number}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(environment(f"agi://127.0.0.1:{port}/{path}", channel))
    if await reader.readline():
        writer.write(b"200 result=0\n")
        await reader.read()
    writer.close()


async def load(port: int, calls: int, fixed_path: str) -> None:
    numbers = iter(range(calls))

    async def lane() -> None:
        for number in numbers:
            await call(port, number, fixed_path)

    await asyncio.gather(*(lane() for _ in range(CONCURRENCY)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", default=str(HERE / ".venv/bin/python"))
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    pin(0, 1)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        ports = {"callgate": free_port(), "panoramisk": free_port()}
        commands = {
            "callgate": callgate(Path(name), ports["callgate"], options.entries),
            "panoramisk": [
                options.peer_python,
                str(HERE / "peer_panoramisk.py"),
                str(ports["panoramisk"]),
            ],
        }
        pids = {
            peer: stack.enter_context(running(command, ports[peer]))
            for peer, command in commands.items()
        }
        figures: dict[str, list[float]] = {peer: [] for peer in pids}
        for round_number in range(options.rounds + 1):
            for peer, pid in pids.items():
                before = cpu_seconds(pid)
                asyncio.run(load(ports[peer], options.calls, PATHS[peer]))
                if round_number:
                    used = cpu_seconds(pid) - before
                    figures[peer].append(used / options.calls * 1e6)
    report(figures)


def report(figures: dict[str, list[float]]) -> None:
    for peer, values in figures.items():
        spread = f"{min(values):.0f} to {max(values):.0f}"
        print(f"{peer:<12} {statistics.median(values):7.1f} us of CPU per call ({spread})")
    pairs = zip(figures["callgate"], figures["panoramisk"], strict=True)
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(f"callgate / panoramisk, median of the rounds: {ratio:.2f}")


if __name__ == "__main__":
    main()
