"""Trouble with store and journal never touches a call, is told, and is made good when it ends.

FastAGI and ESL connections call all the while. What the store could not take is there afterwards;
what the journal could not take is counted, line by line.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gateway.app.lately import CALM
from gateway.attempts.lines import DeliveryLine, decode
from gateway.attempts.model import Attempt
from gateway.errors import StoreError
from tests.support.figures import measured
from tests.support.load import LONG, Load, attempts, ingest, lost, right, stored, until_stored
from tests.support.mounts import disk, memory
from tests.support.served import Served, served, short_folder
from tests.support.soak import quick_and

CALLERS = 4
SET_ASIDE = "the store was corrupt, was set aside and made again from the journal (1)"
UNWRITTEN = "could not be written to the journal"
SILENT = 6.0
"""Seconds without a word from the ingester: more than it ever takes while it is well."""


@pytest.fixture
async def gateway() -> AsyncIterator[Served]:
    async with served(http=True, segment_size="64KiB") as gateway:
        yield gateway


async def ready(gateway: Served) -> tuple[str, str]:
    """What ``/readyz`` says, and its reasons as one text."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.get(f"http://127.0.0.1:{gateway.http}/readyz")
    assert answer.status_code == 200, "calls are decided"
    said = answer.json()
    return said["status"], "; ".join(said.get("reasons", []))


async def made_good(gateway: Served, load: Load, said: str = "") -> None:
    """The trouble is over: every answer is in the store once, and nothing but this is said."""
    assert right(load.answers)
    assert (load.refused, load.broken) == (0, 0)
    await until_stored(gateway.state, load.answers)
    await gateway.until(lambda status: status["ingester"]["degraded"] == said)
    assert await ready(gateway) == ("degraded" if said else "ok", said)
    await gateway.stop()
    ingest(gateway.state)
    found = stored(gateway.state)
    assert {answer.id for answer in load.answers} == found.keys()
    assert lost(load.answers, found) == []


async def test_a_store_that_another_process_locks_is_caught_up(gateway: Served) -> None:
    load = Load(gateway, callers=CALLERS)
    async with load.running():
        await load.answered(50)
        await until_stored(gateway.state, load.answers[:1])
        other = sqlite3.connect(gateway.state / "attempts.db", isolation_level=None, timeout=60)
        other.execute("BEGIN EXCLUSIVE")
        await load.answered(50)
    await gateway.until(lambda status: "locked" in status["ingester"]["degraded"])
    status, reasons = await ready(gateway)
    assert (status, "locked" in reasons) == ("degraded", True)
    async with load.running():
        await load.answered(50)
        await gateway.until_metric("callgate_ingester_failing", 1)
        await gateway.until_metric("callgate_ingester_backlog_bytes", 1)
    other.execute("ROLLBACK")
    other.close()
    await gateway.logged("nothing can be moved, trying again")
    await made_good(gateway, load)


async def test_an_ingester_that_hangs_is_known_by_its_silence_and_caught_up(
    gateway: Served,
) -> None:
    load = Load(gateway, callers=CALLERS)
    pid = await gateway.ingester()
    async with load.running():
        await load.answered(50)
        await until_stored(gateway.state, load.answers[:1])
        os.kill(pid, signal.SIGSTOP)
        await load.answered(50)
    await gateway.until(lambda status: status["ingester"]["age"] > SILENT)
    await gateway.until_metric("callgate_ingester_status_age_seconds", SILENT)
    async with load.running():
        await load.answered(50)
    os.kill(pid, signal.SIGCONT)
    await made_good(gateway, load)


def within(file: Path) -> None:
    with file.open("r+b") as raw:
        size = file.stat().st_size
        raw.seek(size // 4)
        raw.write(b"x" * (size // 2))


def at_its_head(file: Path) -> None:
    with file.open("r+b") as raw:
        raw.write(b"x" * 4096)


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 + 77)


def emptied(file: Path) -> None:
    os.truncate(file, 0)


async def at_rest(gateway: Served, load: Load) -> None:
    """All is stored, deliveries too: nothing more is written, which could hide the damage."""
    await until_stored(gateway.state, load.answers)
    async with asyncio.timeout(60):
        while any(one.delivery == "pending" for one in attempts(gateway.state).values()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def whole(path: Path) -> None:
    """Have all that is in the write-ahead log in the file itself, so that damage to it counts."""
    db = sqlite3.connect(path, timeout=60)
    assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    db.close()


@pytest.mark.parametrize("damage", [within, at_its_head, cut_short, emptied])
async def test_a_store_that_is_damaged_under_the_gateway_is_set_aside_and_made_again(
    gateway: Served, damage: Callable[[Path], None]
) -> None:
    path = gateway.state / "attempts.db"
    load = Load(gateway, callers=CALLERS)
    async with load.running():
        await load.answered(400)
    await at_rest(gateway, load)
    assert list((gateway.state / "journal/archive").glob("*.gz")), "what is archived counts too"
    whole(path)
    damage(path)
    with suppress(StoreError):  # as a page of the site would
        attempts(gateway.state)
    async with load.running():
        await load.answered(100)
    # Of one that is empty nothing could be wanted any more: it is made again, and not set aside.
    await made_good(gateway, load, said=SET_ASIDE if damage is not emptied else "")
    if damage is not emptied:
        await gateway.logged("set aside as")
        assert [one for one in gateway.state.glob("attempts.db.corrupt-*") if one.suffix[-1] == "Z"]


async def test_a_log_of_the_store_that_is_garbage_loses_nothing(gateway: Served) -> None:
    load = Load(gateway, callers=CALLERS)
    async with load.running():
        await load.answered(400)
    await at_rest(gateway, load)
    log = gateway.state / "attempts.db-wal"
    log.write_bytes(os.urandom(log.stat().st_size))
    with suppress(StoreError):
        attempts(gateway.state)
    async with load.running():
        await load.answered(100)
    await until_stored(gateway.state, load.answers)
    # A page that a process knows to be in the log is garbage to it: then the store is made again.
    seen = time.time()
    status = await gateway.until(lambda status: status["ingester"]["status"]["at"] > seen)
    said = status["ingester"]["degraded"]
    assert said == "" or "set aside and made again" in said
    await made_good(gateway, load, said)


def lines(state: Path) -> int:
    """Attempts and deliveries that stand in the journal, archive included."""
    journal = state / "journal"
    texts = [file.read_bytes() for file in journal.glob("*.jsonl")]
    texts += [gzip.decompress(file.read_bytes()) for file in journal.glob("archive/*.gz")]
    records = [decode(line) for text in texts for line in text.splitlines()]
    return sum(isinstance(record, Attempt | DeliveryLine) for record in records)


async def check_counted(gateway: Served, load: Load) -> None:
    """Each line that is in no segment was counted; each answer without a line is one of them."""
    assert right(load.answers)
    assert (load.refused, load.broken) == (0, 0)
    wanted = await gateway.metric("callgate_calls_total")
    assert wanted == len(load.answers)
    # The last callers have gone; that the gateway has seen it may take a turn of its loop.
    wanted += await gateway.until_metric("callgate_deliveries_total", wanted)
    errors = await gateway.metric("callgate_journal_errors_total")
    await gateway.stop()
    ingest(gateway.state)
    # A line that the disk took but for its last byte, the line break, is whole and counted.
    assert errors - (wanted - lines(gateway.state)) in (0, 1)
    missing = lost(load.answers, stored(gateway.state))
    assert 0 < len(missing) <= errors
    ids = [answer.id for answer in load.answers]
    last = max(ids.index(answer.id) for answer in missing)
    assert last < len(ids) - 1, "what came after the trouble is there"


async def until_lost(gateway: Served, load: Load) -> None:
    """Calls are answered until the journal has failed for some of them."""
    while await gateway.metric("callgate_journal_errors_total") < 10:
        await load.answered(20)
    await gateway.logged("the journal failed")


async def test_a_full_disk_loses_what_it_has_no_room_for_and_counts_it() -> None:
    with short_folder() as folder, memory(folder / "small", "4m") as small:
        gateway = Served(folder, state=small / "state", segment_size="64KiB")
        try:
            await gateway.start()
            load = Load(gateway, callers=CALLERS)
            async with load.running():
                await load.answered(50)
                ballast = small / "ballast"
                with ballast.open("wb", buffering=0) as file, suppress(OSError):
                    while True:
                        file.write(bytes(4096))
                await until_lost(gateway, load)
                ballast.unlink()
                await load.answered(50)
            await check_counted(gateway, load)
        finally:
            await gateway.close()


async def test_a_journal_directory_that_is_gone_is_counted_until_it_is_back(
    gateway: Served,
) -> None:
    load = Load(gateway, callers=CALLERS)
    journal, aside = gateway.state / "journal", gateway.state / "moved"
    async with load.running():
        await load.answered(50)
    await until_stored(gateway.state, load.answers)
    await gateway.until_metric("callgate_deliveries_total", len(load.answers))
    journal.rename(aside)
    journal.write_text("in the way")
    async with load.running():
        await until_lost(gateway, load)
    status, reasons = await ready(gateway)
    assert (status, UNWRITTEN in reasons) == ("degraded", True)
    await gateway.until_metric("callgate_deliveries_total", len(load.answers))
    journal.unlink()  # nobody writes now, who could make it before it is back
    aside.rename(journal)
    async with load.running():
        await load.answered(50)
    await check_counted(gateway, load)


async def until_calm(gateway: Served) -> None:
    """Until the last fault is two minutes past and nothing is said of it any more."""
    async with asyncio.timeout(CALM + LONG):
        while (await ready(gateway))[0] != "ok":  # noqa: ASYNC110 - told to whoever asks
            await asyncio.sleep(1)


@pytest.mark.parametrize("seed", quick_and(1))
async def test_a_journal_on_a_readonly_mount_is_counted_until_it_is_writable_again(
    seed: int,
) -> None:
    """The long form waits until nobody is told of it any more."""
    with short_folder() as folder:
        (folder / "state").mkdir(mode=0o700)
        with disk(folder / "state", "journal") as mount:
            gateway = Served(folder, http=True, segment_size="64KiB")
            try:
                await gateway.start()
                load = Load(gateway, callers=CALLERS)
                async with load.running():
                    await load.answered(50)
                await gateway.until_metric("callgate_deliveries_total", len(load.answers))
                await asyncio.to_thread(gateway.client.rotate)  # a file that is open prevents it
                await asyncio.to_thread(mount.make_readonly)
                async with load.running():
                    await until_lost(gateway, load)
                    status, reasons = await ready(gateway)
                    assert (status, UNWRITTEN in reasons) == ("degraded", True)
                    mount.make_writable()
                    await load.answered(50)
                    errors = await gateway.metric("callgate_journal_errors_total")
                    await load.answered(50)
                await gateway.until(lambda status: status["ingester"]["degraded"] == "")
                assert await gateway.metric("callgate_journal_errors_total") == errors
                measured("readonly", answered=len(load.answers), errors=errors)
                if seed:
                    await until_calm(gateway)
                await check_counted(gateway, load)
            finally:
                await gateway.close()
