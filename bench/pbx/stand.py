"""The Asterisk and the servers that `bench.asterisk` compares, each a process of its own.

Nothing that stands here is connected to in order to see whether it listens: the kernel is asked,
because a connection that closes at once freezes panoramisk for ever.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench.build import binary
from bench.measure import LOAD_PLACE, SERVER_PLACE, free_port, listens, pin
from gateway.tokens import Scope, Tokens
from tests.asterisk.pbx import CONFIG, Pbx, Programs

HERE = Path(__file__).parent
SHARED = ("modules.conf", "rtp.conf")
"""What the Asterisk of the tests has and this one has too."""
KNOWN = 10_000
PATIENCE = 60.0
FLOOR, NOTHING, PANORAMISK, OURS = "C floor", "nothing over HTTP", "panoramisk", "callgate"


def callers() -> list[str]:
    """Whom AstDB and a list of the gateway block: everybody who calls."""
    return [f"+33{162_000_000 + place * 7}" for place in range(KNOWN)]


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


def peers(peer_python: str, ports: dict[str, int]) -> dict[str, list[str]]:
    """The commands of the servers that decide nothing; without those that cannot be had here."""
    script = HERE.parent / "peer_panoramisk.py"
    commands = {NOTHING: [sys.executable, str(HERE / "nothing_http.py"), str(ports[NOTHING])]}
    with contextlib.suppress(SystemExit):  # no C compiler
        commands[FLOOR] = [str(binary("agi_floor")), str(ports[FLOOR])]
    if Path(peer_python).exists():
        commands[PANORAMISK] = [peer_python, "-P", str(script), str(ports[PANORAMISK])]
    return commands


@contextlib.contextmanager
def asterisk(
    programs: Programs, folder: Path, peer_python: str
) -> Iterator[tuple[BenchPbx, dict[str, int]]]:
    """Asterisk, and the processes of the servers that it may ask, by name."""
    ports = {name: free_port() for name in (FLOOR, NOTHING, PANORAMISK, OURS)}
    http = free_port()
    command, token = callgate(folder / "callgate", ports[OURS], http)
    values = {
        "gateway": f"127.0.0.1:{ports[OURS]}",
        "gateway_http": f"http://127.0.0.1:{http}/v1/screen/asterisk",
        "token": token,
        "nothing_http": f"http://127.0.0.1:{ports[NOTHING]}/",
        "panoramisk": f"127.0.0.1:{ports[PANORAMISK]}",
        "floor": f"127.0.0.1:{ports[FLOOR]}",
    }
    pin(0, LOAD_PLACE)  # and whatever is started from here
    with contextlib.ExitStack() as stack:
        servers = {OURS: stack.enter_context(running(command, ports[OURS], http))}
        for name, peer in peers(peer_python, ports).items():
            servers[name] = stack.enter_context(running(peer, ports[name]))
        wait_for_http(http)
        pbx = BenchPbx(programs, folder / "asterisk", values)
        pbx.start()
        stack.callback(pbx.stop)
        pin(pbx.pid, SERVER_PLACE)
        yield pbx, servers


def wait_for_http(port: int) -> None:
    with httpx.Client(
        transport=httpx.HTTPTransport(retries=8), timeout=PATIENCE, trust_env=False
    ) as client:
        client.get(f"http://127.0.0.1:{port}/healthz").raise_for_status()
