"""Rounds of kill -9 and of orderly ends of a gateway with two workers, under FastAGI and ESL calls.

Rule: an orderly end of a worker costs no call, since the parent keeps its sockets; a kill costs
the connections that it had accepted, and no answer that anybody read.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.support.figures import measured
from tests.support.load import Load, ingest, lost, right, stored
from tests.support.served import Served, served
from tests.support.soak import quick_and

ROUNDS = 5
"""Of each kind in a long part; ten of them are 50."""
CALLERS = 6
WORKERS = 2


async def serving(gateway: Served) -> dict[int, int]:
    """The process of each worker, once all of them accept calls."""
    status = await gateway.until(lambda status: status["workers"]["serving"] == WORKERS)
    return {int(number): facts["pid"] for number, facts in status["workers"]["each"].items()}


async def end_worker(gateway: Served, chance: random.Random, how: signal.Signals) -> None:
    """End one of the workers, and wait for its successor."""
    number, pid = chance.choice(sorted((await serving(gateway)).items()))
    os.kill(pid, how)
    key = str(number)
    await gateway.until(
        lambda status: (
            status["workers"]["each"][key]["pid"] != pid
            and status["workers"]["each"][key]["serving"]
        )
    )


async def kill_worker(gateway: Served, chance: random.Random) -> None:
    await end_worker(gateway, chance, signal.SIGKILL)


async def kill_ingester(gateway: Served, _: random.Random) -> None:
    await gateway.kill_ingester()


async def kill_parent(gateway: Served, _: random.Random) -> None:
    """Its workers let their calls end, and then end."""
    await gateway.kill()
    await gateway.start()


async def kill_all(gateway: Served, _: random.Random) -> None:
    """Whatever runs of it, at once."""
    status = await gateway.status()
    pids = [facts["pid"] for facts in status["workers"]["each"].values()]
    for pid in [gateway.pid, *pids, status["ingester"]["pid"]]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await gateway.kill()
    await gateway.start()


async def restart(gateway: Served, _: random.Random) -> None:
    await gateway.stop()
    await gateway.start()


End = Callable[[Served, random.Random], Awaitable[None]]
ENDS: list[End] = [kill_worker, kill_ingester, kill_worker, kill_parent, kill_all, restart]
"""Workers twice: each of the two has its turn in nearly every part."""


async def rounds_of(ends: list[End], rounds: int, seed: int, gateway: Served) -> Load:
    """Rounds of these ends under calls; what the callers read is right, and stored once."""
    chance = random.Random(seed)
    load = Load(gateway, callers=CALLERS, seed=seed)
    async with load.running():
        for _ in range(rounds):
            for end in ends:
                await load.answered(chance.choice([1, 5, 40]))
                await asyncio.sleep(chance.random() / 50)
                await end(gateway, chance)
        await load.answered(40)
    await gateway.stop()
    await asyncio.to_thread(ingest, gateway.state)
    found = stored(gateway.state)
    missing = lost(load.answers, found)
    measured(
        "+".join(end.__name__ for end in ends),
        rounds=rounds,
        answered=len(load.answers),
        stored=len(found),
        lost=len(missing),
        refused=load.refused,
        broken=load.broken,
        slowest=load.slowest,
    )
    assert right(load.answers)
    assert len({answer.id for answer in load.answers}) == len(load.answers)
    assert {answer.frontend for answer in load.answers} == {"agi", "esl"}
    assert missing == []
    # What nobody read: at most what each caller was waiting for at each end.
    assert len(found) - len(load.answers) <= CALLERS * rounds * len(ends)
    return load


@pytest.mark.parametrize("seed", quick_and(10))
async def test_what_callers_of_two_workers_read_outlives_every_kill_and_is_stored_once(
    seed: int,
) -> None:
    async with served(workers=WORKERS) as gateway:
        await rounds_of(ENDS, ROUNDS if seed else 1, seed, gateway)


async def drain_worker(gateway: Served, chance: random.Random) -> None:
    await end_worker(gateway, chance, signal.SIGTERM)


@pytest.mark.parametrize("seed", quick_and(10))
async def test_an_orderly_end_of_a_worker_costs_no_call(seed: int) -> None:
    """One after the other they are replaced, as ``kill -TERM`` of each would do it."""
    async with served(workers=WORKERS) as gateway:
        load = await rounds_of([drain_worker], ROUNDS if seed else 2, seed, gateway)
        assert (load.refused, load.broken) == (0, 0), "somebody was left without a verdict"
        assert "are cut off" not in gateway.log
