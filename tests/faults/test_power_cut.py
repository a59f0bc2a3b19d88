"""The power is cut under calls: what was synced is there, what was not is bounded.

The state is on an ext4 of its own, which is shut down without a flush (``FS_IOC_SHUTDOWN``) and
mounted again. That drops what the kernel had not written; it is no model of a drive that lies.

Rule: only an answer that its caller read before the cut counts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.entries import Asked
from gateway.pbx.asterisk import screen_path
from tests.fakes.asterisk import agi_call
from tests.support.figures import measured
from tests.support.load import Answer, Load, ingest, lost, right, stored, until_stored
from tests.support.mounts import Disk, disk
from tests.support.served import Served, short_folder
from tests.support.soak import quick_and

CUTS = 3
RELOADS = 2
GOOD = "numbering: {region: FR}\nlists: {nuisance: {action: block, prefixes: [%s]}}\n"
BLOCKS = ("+33611", "+33162")
CALLERS = 6


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


async def cut_and_mount(gateway: Served, power: Disk) -> None:
    """The machine goes and comes back; the gateway is not started."""
    await gateway.kill()
    await asyncio.to_thread(power.unmount)
    power.mount()


async def add(gateway: Served, number: str) -> str:
    [answer] = await asyncio.to_thread(gateway.client.add, [Asked(number=number)])
    assert answer["rev"]
    return number


@pytest.mark.parametrize("seed", quick_and(7))
async def test_with_durability_disk_no_answer_is_lost_and_no_entry(seed: int, folder: Path) -> None:
    chance, before, late, entries = random.Random(seed), list[Answer](), 0.0, list[str]()
    with disk(folder) as power:
        state = power.path / "state"
        gateway = Served(folder, state=state, durability="disk", segment_size="64KiB")
        try:
            for cut in range(CUTS):
                await gateway.start()
                load = Load(gateway, callers=CALLERS, seed=chance.randrange(10**6))
                async with load.running():
                    await load.answered(chance.choice([10, 50, 200]))
                    entries.append(await add(gateway, f"+3370000{seed:02d}{cut:02d}"))
                    await load.answered(chance.choice([1, 5, 30]))
                    before += load.answers
                    power.cut()
                    await load.answered(30)
                    # Told with the look that counts the late ones, and only once the disk is gone.
                    await gateway.until_metric("callgate_journal_sync_failures_total", 1)
                    late += await gateway.metric("callgate_journal_sync_timeouts_total")
                    assert load.broken == 0, "a disk that is gone is no reason to give no verdict"
                assert right(load.answers)
                await cut_and_mount(gateway, power)
            await gateway.start()
            known = await asyncio.to_thread(lambda: list(gateway.client.list()))
            await gateway.stop()
            await asyncio.to_thread(ingest, state)
            missing = lost(before, stored(state))
            measured("disk", cuts=CUTS, answered=len(before), lost=len(missing), late=late)
            assert len(missing) <= late, "only what left after 50 ms without its sync may be gone"
            assert {number[1:] for number in entries} <= {entry["digits"] for entry in known}
        finally:
            await gateway.close()


async def test_with_durability_process_what_the_store_had_is_not_lost(
    folder: Path,
) -> None:
    with disk(folder) as power:
        state = power.path / "state"
        gateway = Served(folder, state=state)
        try:
            await gateway.start()
            load = Load(gateway, callers=CALLERS)
            async with load.running():
                await load.answered(200)
            await until_stored(gateway.state, load.answers)
            kept = list(load.answers)
            async with load.running():
                await load.answered(300)
                at, before = time.monotonic(), list(load.answers)
                power.cut()
                await load.answered(30)
            assert right(load.answers)
            await cut_and_mount(gateway, power)
            await gateway.start()
            await gateway.stop()
            await asyncio.to_thread(ingest, state)
            found = stored(state)
            assert lost(kept, found) == []
            missing = lost(before, found)
            seconds = at - min((answer.at for answer in missing), default=at)
            measured("process", answered=len(before), lost=len(missing), seconds=seconds)
        finally:
            await gateway.close()


async def verdict(gateway: Served, caller: str) -> str:
    path = screen_path("inbound", "", "", caller, "+33140000000")
    variables, _ = await agi_call("127.0.0.1", gateway.agi, path)
    return variables["CALLGATE_VERDICT"]


@pytest.mark.parametrize("seed", quick_and(5))
async def test_a_cut_in_the_middle_of_a_reload_leaves_a_whole_last_good_policy(
    seed: int, folder: Path
) -> None:
    """The YAML is broken when it starts again: it runs what it ran before, or was loading."""
    chance = random.Random(seed)
    with disk(folder) as power:
        gateway = Served(folder, state=power.path / "state")
        try:
            await gateway.start()
            for cut in range(RELOADS):
                gateway.policy.write_text(GOOD % BLOCKS[cut % 2])
                reload = asyncio.create_task(asyncio.to_thread(gateway.client.reload))
                await asyncio.sleep(chance.random() / 2)
                power.cut()
                await cut_and_mount(gateway, power)
                await asyncio.gather(reload, return_exceptions=True)
                gateway.policy.write_text("surprise: 1\n")
                await gateway.start()
                status = await gateway.status()
                assert "the last good one runs" in status["policy"]["degraded"]
                verdicts = [await verdict(gateway, f"{prefix}000000") for prefix in BLOCKS]
                assert sorted(verdicts) == ["allow", "block"]
        finally:
            await gateway.close()
