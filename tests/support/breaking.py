"""Ways to break a gateway that runs: each is made when its block begins and ends with it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    suppress,
)
from pathlib import Path

from gateway.errors import StoreError
from gateway.frontends.door import FLOOD
from tests.fakes.asterisk import agi_call
from tests.support.load import Load, attempts, until_stored
from tests.support.served import POLICY, Served

VECTORS = Path(__file__).parents[1] / "vectors" / "agi"
SHUT = 'callgate_listener_shut_seconds_total{frontend="agi"}'
AHEAD = "CLOCK_AHEAD"
"""Names a file with the seconds by which ``time.time`` is ahead, where ``CLOCK`` is imported."""
CLOCK = """\
import os, pathlib, time
real, file = time.time, pathlib.Path(os.environ["CLOCK_AHEAD"])
time.time = lambda: real() + float(file.read_text())
"""


class Broken:
    """A gateway with its callers. ``clock`` is the file of CLOCK."""

    def __init__(self, gateway: Served, clock: Path) -> None:
        self.gateway = gateway
        self.clock = clock
        self.load = Load(gateway, callers=2, pause=0.01)

    def set_clock(self, ahead: float) -> None:
        """Never half a number: everybody reads it all the time."""
        fresh = self.clock.with_name("fresh")
        fresh.write_text(str(ahead))
        fresh.replace(self.clock)

    async def calls(self, count: int = 20) -> None:
        async with self.load.running():
            await self.load.answered(count)

    async def at_rest(self) -> None:
        """All is stored, deliveries too: nothing more is written, which could hide damage."""
        state = self.gateway.state
        await until_stored(state, self.load.answers)
        async with asyncio.timeout(60):
            while any(one.delivery == "pending" for one in attempts(state).values()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def worker(self) -> int:
        status = await self.gateway.until(lambda status: status["workers"]["each"]["1"]["serving"])
        return int(status["workers"]["each"]["1"]["pid"])

    def http_side(self) -> int:
        children = Path(f"/proc/{self.gateway.pid}/task").glob("*/children")
        pids = [pid for file in children for pid in file.read_text().split()]
        (found,) = (p for p in pids if b"gateway.web" in Path(f"/proc/{p}/cmdline").read_bytes())
        return int(found)


Fault = Callable[[Broken], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def hostile_peer(broken: Broken) -> AsyncIterator[None]:
    data = (VECTORS / "env-end-injection.env.bin").read_bytes()
    await agi_call("127.0.0.1", broken.gateway.agi, "", data=data)
    yield


@asynccontextmanager
async def over_limit(broken: Broken) -> AsyncIterator[None]:
    """Peers that say nothing, one more than may be open."""
    address, writers = ("127.0.0.1", broken.gateway.agi), []
    async with asyncio.timeout(60):
        for _ in range(9):
            writers.append((await asyncio.open_connection(*address))[1])
        await broken.gateway.until(lambda status: bool(status.get("calls", {}).get("degraded")))
    for writer in writers:
        writer.close()
    # They are gone here; until they are there too, nobody else is let in.
    await broken.gateway.until(lambda status: status["connections"] == 0)
    yield


@asynccontextmanager
async def flood(broken: Broken) -> AsyncIterator[None]:
    """So many at once that the listener is shut; a second passes before there is room again."""
    address, pid = ("127.0.0.1", broken.gateway.agi), broken.gateway.pid
    with ExitStack() as peers:
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(8 + 2 * FLOOD):
                peers.enter_context(socket.create_connection(address, 60))
        finally:
            os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(60):
            while (await broken.gateway.metrics()).get(SHUT, 0) < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    await broken.gateway.until(lambda status: status["connections"] == 0)
    yield


@asynccontextmanager
async def journal_moved(broken: Broken) -> AsyncIterator[None]:
    await broken.calls()
    journal = broken.gateway.state / "journal"
    journal.rename(journal.with_name("moved"))
    yield
    await broken.calls()


@asynccontextmanager
async def journal_in_the_way(broken: Broken) -> AsyncIterator[None]:
    """A file stands where the journal should be: nothing can be written. What was there stays
    away, for a late line may make the directory again before it could be back.
    """
    await broken.calls()
    journal = broken.gateway.state / "journal"
    while not journal.is_file():
        aside = len(list(journal.parent.glob("aside-*")))
        journal.rename(journal.with_name(f"aside-{aside}"))
        with suppress(IsADirectoryError):
            journal.write_text("in the way")
    async with broken.load.running():
        while await broken.gateway.metric("callgate_journal_errors_total") < 1:
            await broken.load.answered(5)
    yield
    journal.unlink()
    await broken.calls()


@asynccontextmanager
async def store_locked(broken: Broken) -> AsyncIterator[None]:
    await broken.at_rest()
    with closing(sqlite3.connect(broken.gateway.state / "attempts.db", timeout=60)) as other:
        other.isolation_level = None
        other.execute("BEGIN EXCLUSIVE")
        await broken.calls()
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def store_corrupt(broken: Broken) -> AsyncIterator[None]:
    await broken.at_rest()
    path = broken.gateway.state / "attempts.db"
    with closing(sqlite3.connect(path, timeout=60)) as db:  # so that the file itself has all
        assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    with path.open("r+b") as raw:
        raw.write(b"x" * 4096)
    with suppress(StoreError):  # as a page of the site would
        attempts(broken.gateway.state)
    await broken.calls()
    yield


@asynccontextmanager
async def ingester_killed(broken: Broken) -> AsyncIterator[None]:
    await broken.gateway.kill_ingester()
    yield
    await broken.gateway.ingester()


@asynccontextmanager
async def ingester_stopped(broken: Broken) -> AsyncIterator[None]:
    pid = await broken.gateway.ingester()
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def http_killed(broken: Broken) -> AsyncIterator[None]:
    os.kill(broken.http_side(), signal.SIGKILL)
    yield


@asynccontextmanager
async def worker_killed(broken: Broken) -> AsyncIterator[None]:
    os.kill(await broken.worker(), signal.SIGKILL)
    yield
    await broken.worker()


@asynccontextmanager
async def clock_jump(broken: Broken) -> AsyncIterator[None]:
    await broken.gateway.until(lambda status: bool(status["ingester"]["status"]))
    broken.set_clock(100 * 86400)
    yield
    broken.set_clock(0)


@asynccontextmanager
async def entries_unreadable(broken: Broken) -> AsyncIterator[None]:
    path = broken.gateway.state / "entries.db"
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as db:
        db.execute("ALTER TABLE changes RENAME TO aside")
        yield
        db.execute("ALTER TABLE aside RENAME TO changes")


def reloading(text: str) -> Fault:
    """A policy that is saved and asked for; then the good one again."""

    @asynccontextmanager
    async def fault(broken: Broken) -> AsyncIterator[None]:
        broken.gateway.policy.write_text(text)
        await asyncio.to_thread(broken.gateway.client.reload)
        yield
        broken.gateway.policy.write_text(POLICY)
        await asyncio.to_thread(broken.gateway.client.reload)

    return fault


@asynccontextmanager
async def bad_start(broken: Broken) -> AsyncIterator[None]:
    await broken.gateway.stop()
    broken.gateway.policy.write_text("surprise: 1\n")
    await broken.gateway.start()
    yield
    broken.gateway.policy.write_text(POLICY)
    await asyncio.to_thread(broken.gateway.client.reload)
