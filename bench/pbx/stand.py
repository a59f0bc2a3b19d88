"""The Asterisk and the servers that `bench.asterisk` compares, each a process of its own.

Nothing that stands here is connected to in order to see whether it listens: the kernel is asked,
because a connection that closes at once freezes panoramisk for ever.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx

from bench.measure import free_port
from gateway.tokens import Scope, Tokens
from tests.asterisk.pbx import CONFIG, Pbx, Programs

HERE = Path(__file__).parent
SHARED = ("modules.conf", "rtp.conf")
"""What the Asterisk of the tests has and this one has too."""
KNOWN = 10_000
PATIENCE = 60.0
CORES = sorted(os.sched_getaffinity(0))


def callers() -> list[str]:
    """Whom AstDB and a list of the gateway block: everybody who calls."""
    return [f"+33{162_000_000 + place * 7}" for place in range(KNOWN)]


def pin(pid: int, place: int) -> None:
    """A process, with the threads that it has and will have, to one of the processors."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {CORES[place % len(CORES)]})


def family(pid: int) -> list[int]:
    """A process and those that it has started."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """By the processes' own clocks, ended threads included, to the nanosecond.

    The number of a process's clock is that of MAKE_PROCESS_CPUCLOCK in Linux's posix-timers.h.
    """
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


class BenchPbx(Pbx):
    """An Asterisk with the dialplan of the ways, and AstDB with the callers."""

    def __init__(self, programs: Programs, directory: Path, values: dict[str, str]) -> None:
        super().__init__(programs, directory, 0)
        self._values |= values

    def sources(self) -> list[Path]:
        return [*HERE.glob("*.conf"), *(CONFIG / name for name in SHARED)]

    def start(self) -> None:
        fill_astdb(self.library / "astdb.sqlite3")
        super().start()


def fill_astdb(file: Path) -> None:
    """As Asterisk's main/db.c makes it."""
    file.parent.mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute(
            "CREATE TABLE astdb (key VARCHAR(256), value VARCHAR(256), PRIMARY KEY(key))"
        )
        rows = ((f"/blacklist/{caller}", "1") for caller in callers())
        database.executemany("INSERT INTO astdb VALUES (?, ?)", rows)


def callgate(folder: Path, agi: int, http: int) -> tuple[list[str], str]:
    """The command that serves a configuration that blocks the callers, and a token."""
    folder.mkdir()
    (folder / "block.txt").write_text("\n".join(callers()) + "\n")
    (folder / "policy.yaml").write_text(
        "numbering: {region: FR, trunks: {carrier: {}}}\n"
        "lists:\n  nuisance: {action: block, files: [block.txt]}\n"
    )
    (folder / "callgate.yaml").write_text(
        "policy: policy.yaml\nstate: state\nesl: {listen: 'off'}\n"
        f"agi: {{listen: '127.0.0.1:{agi}'}}\nhttp: {{listen: '127.0.0.1:{http}'}}\n"
    )
    token = Tokens(folder / "state").create("pbx", [Scope.SCREEN])
    settings = str(folder / "callgate.yaml")
    return [sys.executable, "-m", "gateway", "--config", settings, "serve"], token


def listens(port: int) -> bool:
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    return wanted in Path("/proc/net/tcp").read_text()


@contextlib.contextmanager
def running(command: list[str], *ports: int) -> Iterator[int]:
    """A server that listens on those ports of 127.0.0.1; its process."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not all(map(listens, ports)):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"a server did not start: {' '.join(command)}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def asterisk(
    programs: Programs, folder: Path, peer_python: str
) -> Iterator[tuple[BenchPbx, dict[str, int]]]:
    """Asterisk and the servers that it may ask, by name; panoramisk only where it is installed."""
    agi, http, nothing, other = (free_port() for _ in range(4))
    command, token = callgate(folder / "callgate", agi, http)
    values = {
        "gateway": f"127.0.0.1:{agi}",
        "gateway_http": f"http://127.0.0.1:{http}/v1/screen/asterisk",
        "token": token,
        "nothing_http": f"http://127.0.0.1:{nothing}/",
        "panoramisk": f"127.0.0.1:{other}",
    }
    pin(os.getpid(), 1)
    with contextlib.ExitStack() as stack:
        servers = {
            "callgate": stack.enter_context(running(command, agi, http)),
            "nothing": stack.enter_context(
                running([sys.executable, str(HERE / "nothing_http.py"), str(nothing)], nothing)
            ),
        }
        if Path(peer_python).exists():
            peer = [peer_python, str(HERE.parent / "peer_panoramisk.py"), str(other)]
            servers["panoramisk"] = stack.enter_context(running(peer, other))
        wait_for_http(http)
        pbx = BenchPbx(programs, folder / "asterisk", values)
        pbx.start()
        stack.callback(pbx.stop)
        pin(pbx.pid, 0)
        yield pbx, servers


def wait_for_http(port: int) -> None:
    with httpx.Client(
        transport=httpx.HTTPTransport(retries=8), timeout=PATIENCE, trust_env=False
    ) as client:
        client.get(f"http://127.0.0.1:{port}/healthz").raise_for_status()
