"""Rounds of kill -9 and of restarts under FastAGI and ESL calls: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from tests.support.figures import measured
from tests.support.load import Load, ingest, lost, right, stored
from tests.support.served import Served, served
from tests.support.soak import quick_and

ROUNDS = 5
"""Of each kind in a long part; ten of them are 50."""
QUICK = 3
CALLERS = 6


async def kill_ingester(gateway: Served) -> None:
    await gateway.kill_ingester()


async def kill_all(gateway: Served) -> None:
    await gateway.kill()
    await gateway.start()


async def restart(gateway: Served) -> None:
    await gateway.stop()
    await gateway.start()


ENDS: list[Callable[[Served], Awaitable[None]]] = [kill_ingester, kill_all, kill_ingester, restart]


@pytest.mark.parametrize("seed", quick_and(10))
async def test_what_callers_read_outlives_every_kill_and_restart_and_is_stored_once(
    seed: int,
) -> None:
    chance, rounds = random.Random(seed), ROUNDS if seed else QUICK
    async with served() as gateway:
        load = Load(gateway, callers=CALLERS, seed=seed)
        async with load.running():
            for _ in range(rounds):
                for end in ENDS:
                    await load.answered(chance.choice([1, 5, 40]))
                    await asyncio.sleep(chance.random() / 50)
                    await end(gateway)
            await load.answered(20)
        await gateway.stop()
        await asyncio.to_thread(ingest, gateway.state)
        found = stored(gateway.state)
        measured("kills", kills=rounds * len(ENDS), answered=len(load.answers), stored=len(found))
        assert right(load.answers)
        assert len({answer.id for answer in load.answers}) == len(load.answers)
        assert lost(load.answers, found) == []
        # What nobody read: at most what each caller was waiting for at each of the kills of all.
        assert len(found) - len(load.answers) <= CALLERS * rounds


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_stop_answers_every_call_that_it_took(workers: int) -> None:
    async with served(workers=workers) as gateway:
        load = Load(gateway, callers=CALLERS)
        async with load.running():
            await load.answered(50)
            await gateway.stop()
        assert load.broken == 0, "a call was taken and not answered"
        await asyncio.to_thread(ingest, gateway.state)
        found = stored(gateway.state)
        assert {answer.id for answer in load.answers} == found.keys()
        assert lost(load.answers, found) == []
