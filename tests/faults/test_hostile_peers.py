"""Under attack on every listener at once, real calls are all answered and nothing is left behind.

What one hostile peer gets is told in tests/frontends and tests/http; here there are many, they go
on, and it is those beside them who are looked at.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support.figures import measured
from tests.support.hostile import ATTACKS, attacked
from tests.support.inside import ask
from tests.support.load import Load, ingest, lost, right, stored
from tests.support.served import LONG, Served, served, short_folder
from tests.support.soak import quick_and

CALLS, ROUNDS = 120, 25
"""Answers that are awaited under attack, and connections of attackers to each listener."""
LONGER = 10
MEMORY = 48 * 2**20
"""Bytes that a process may have grown by, at most."""
SLACK = 8
"""Descriptors that the threads of a pool may keep once they have worked: none is an attacker's."""
THREADS = 40
"""Threads of such pools that may have begun, whatever the number of processors."""
DEADLINE = "20s"
"""Of a call: far more than any takes, so that a busy machine cuts none off."""
TURNS, TURN = 100_000, 20.0
"""Turns of the loop with work in them, and the milliseconds of CPU that one may take."""
BOUND = 1200
"""Seconds after which the long form has hung."""
NETWORK = ("agi", "esl", "http")
_BAD = re.compile(r"Traceback|never retrieved|was destroyed|Exception in|CRITICAL")


class Process:
    """What one process of the gateway holds."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def threads(self) -> int:
        return self._status("Threads")

    @property
    def memory(self) -> int:
        return self._status("VmRSS") * 1024

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(rf"^{name}:\s+(\d+)", text, re.MULTILINE)[0])


def processes(gateway: Served) -> list[Process]:
    """The gateway, and its HTTP side."""
    children = Path(f"/proc/{gateway.pid}/task").glob("*/children")
    pids = [int(pid) for each in children for pid in each.read_text().split()]
    http = [pid for pid in pids if b"gateway.web" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(http) == 1
    return [Process(gateway.pid), Process(http[0])]


async def at_rest(gateway: Served, files: list[int]) -> None:
    """Wait until nobody is connected and each process has as many files open as it had."""
    await gateway.until(lambda status: status["connections"] == 0)
    async with asyncio.timeout(LONG):
        while any(  # noqa: ASYNC110 - another process, which has no event
            process.files > before + SLACK
            for process, before in zip(processes(gateway), files, strict=True)
        ):
            await asyncio.sleep(0.05)


async def calm(gateway: Served) -> list[Process]:
    """Some calls and requests in peace: what is made once is made."""
    load = Load(gateway, callers=4)
    async with load.running():
        await load.answered(40)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.http)
    writer.write(b"GET /docs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert await reader.read()
    writer.close()
    await gateway.status()
    await gateway.until(lambda status: status["connections"] == 0)
    return processes(gateway)


async def stopped_clean(gateway: Served, load: Load) -> None:
    """It ends as ever, its log holds no failure of ours, and every answer has its attempt."""
    await gateway.stop()
    assert not _BAD.search(gateway.log), gateway.log
    ingest(gateway.state)
    assert lost(load.answers, stored(gateway.state)) == []


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("seed", quick_and(2))
async def test_under_attack_every_real_call_is_answered_and_nothing_stays(
    attack: str, seed: int
) -> None:
    times = LONGER if seed else 1
    async with served(http=True, deadline=DEADLINE) as gateway:
        before = await calm(gateway)
        files, memory = [each.files for each in before], [each.memory for each in before]
        threads = [each.threads for each in before]
        load = Load(gateway, callers=4, seed=seed)
        async with attacked(gateway, ATTACKS[attack], seed=seed) as under, load.running():
            await load.answered(CALLS * times)
            await under.done(ROUNDS * times)
        await at_rest(gateway, files)
        after = processes(gateway)
        assert [each.pid for each in after] == [each.pid for each in before]
        grown = [each.memory - was for each, was in zip(after, memory, strict=True)]
        assert max(grown) < MEMORY
        assert all(each.threads <= was + THREADS for each, was in zip(after, threads, strict=True))
        assert right(load.answers)
        assert (load.refused, load.broken) == (0, 0)
        await stopped_clean(gateway, load)
    measured(
        attack,
        calls=len(load.answers),
        attacks=sum(under.rounds.values()),
        slowest=load.slowest,
        grown_mib=max(grown) / 2**20,
    )


@pytest.mark.soak(minutes=5)
@pytest.mark.parametrize("attack", ATTACKS)
async def test_no_turn_under_attack_takes_the_loop_long(attack: str) -> None:
    """CPU, not time: a busy machine makes it no longer. One of a thousand turns may take longer."""
    signal.alarm(BOUND)
    with short_folder() as folder:
        probe = folder / "probe"
        program = (sys.executable, "-m", "tests.support.inside", str(probe), sys.executable)
        async with served(http=True, deadline=DEADLINE, program=program) as gateway:
            await calm(gateway)
            load = Load(gateway, callers=4)
            told: dict[str, float] = {"turns": 0}
            async with attacked(gateway, ATTACKS[attack]) as under, load.running():
                await load.answered(CALLS)
                ask(probe, "turns")
                while told["turns"] < TURNS:
                    await load.answered(CALLS)
                    told = await asyncio.to_thread(ask, probe, "turned")
            measured(f"{attack}, ms of CPU", **told, attacks=sum(under.rounds.values()))
            assert right(load.answers)
            assert (load.refused, load.broken) == (0, 0)
            assert told["p999"] < TURN


async def test_a_flood_of_strangers_takes_no_room_from_real_calls() -> None:
    async with served(http=True, deadline=DEADLINE, allow=["127.0.0.1"]) as gateway:
        before = await calm(gateway)
        files = [each.files for each in before]
        load = Load(gateway, callers=4)
        flood = attacked(
            gateway, ATTACKS["silence"], peers=40, source="127.0.0.2", listeners=NETWORK
        )
        async with flood as under, load.running():
            await load.answered(CALLS)
            await under.done(100)
        await at_rest(gateway, files)
        assert right(load.answers)
        assert (load.refused, load.broken) == (0, 0)
        await gateway.until_metric("callgate_unanswered_total", 100)
        await stopped_clean(gateway, load)


async def test_after_a_flood_past_the_cap_there_is_room_again() -> None:
    cap = 20
    async with served(http=True, deadline="2s", max_connections=cap) as gateway:
        files = [each.files for each in await calm(gateway)]
        flood = attacked(gateway, ATTACKS["silence"], peers=3 * cap, listeners=NETWORK)
        async with flood as under:
            await gateway.until_metric("callgate_unanswered_total", cap)
            await under.done(3 * cap)
        await at_rest(gateway, files)
        load = Load(gateway, callers=4)
        async with load.running():
            await load.answered(CALLS)
        assert right(load.answers)
        await stopped_clean(gateway, load)
