"""More calls than can be served: each is answered rightly or refused, none hangs, none is left.

How fast each is and how many are answered is measured by ``bench/overload.py``; here nothing
depends on how fast the machine is. A refused call is one that ended unheard: its dialplan goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from bench.corpus import corpus
from bench.fastagi import load_for
from bench.measure import OURS
from gateway.pbx.asterisk import screen_path
from tests.fakes.asterisk import agi_call
from tests.fakes.freeswitch import channel_data, esl_call
from tests.support.figures import measured
from tests.support.load import BLOCKED, CALLEE, Load, right
from tests.support.served import LONG, Served, served

CAP = 10
"""Connections that a listener serves at a time."""
BURST = 80
"""Calls that begin at once on each listener."""
SLACK = 8
"""Descriptors that the threads of a pool may keep once they have worked: none is a caller's."""
FRONTENDS = ("agi", "esl")
ENTRIES = 1000
CALLS, FASTER = 40_000, (2, 5)
"""Of the long form: calls that find the peak, and the multiples of it that are placed."""
SECONDS = 5

Call = Callable[[Served, str], Awaitable[Mapping[str, str]]]


async def by_agi(gateway: Served, caller: str) -> Mapping[str, str]:
    path = screen_path("inbound", "", "", caller, CALLEE)
    variables, _ = await agi_call("127.0.0.1", gateway.agi, path)
    return variables


async def by_esl(gateway: Served, caller: str) -> Mapping[str, str]:
    said = {"direction": "inbound", "caller": caller, "callee": CALLEE}
    data = channel_data("normal", {f"callgate_{name}": text for name, text in said.items()})
    channel = await esl_call("127.0.0.1", gateway.esl, data=data)
    return channel.variables


async def verdict(call: Call, gateway: Served, caller: str) -> str:
    """Empty: refused. TimeoutError when the call hangs."""
    async with asyncio.timeout(LONG):
        try:
            return (await call(gateway, caller)).get("CALLGATE_VERDICT", "")
        except ConnectionError:
            return ""


async def burst(gateway: Served, seed: int) -> tuple[int, int]:
    """Many calls at once over each protocol; how many were answered and how many refused."""
    chance = random.Random(seed)
    asked = [
        (call, f"{chance.choice([BLOCKED, '+33611'])}{chance.randrange(10**6):06d}")
        for call in (by_agi, by_esl)
        for _ in range(BURST)
    ]
    found = await asyncio.gather(*(verdict(call, gateway, caller) for call, caller in asked))
    for (_, caller), said in zip(asked, found, strict=True):
        assert said in ("", "block" if caller.startswith(BLOCKED) else "allow")
    return sum(map(bool, found)), found.count("")


@asynccontextmanager
async def full(gateway: Served) -> AsyncIterator[None]:
    """Each listener has as many silent peers as it serves."""
    writers = []
    for port in (gateway.agi, gateway.esl):
        for _ in range(CAP):
            writers.append((await asyncio.open_connection("127.0.0.1", port))[1])
    await gateway.until(lambda status: status["connections"] == CAP * len(FRONTENDS))
    try:
        yield
    finally:
        for writer in writers:
            writer.close()
        await gateway.until(lambda status: status["connections"] == 0)


def files(gateway: Served) -> int:
    return len(list(Path(f"/proc/{gateway.pid}/fd").iterdir()))


async def well(gateway: Served) -> None:
    """Nobody is connected, and every call of a few is answered."""
    await gateway.until(lambda status: status["connections"] == 0)
    load = Load(gateway, callers=4)
    async with load.running():
        await load.answered(40)
    assert right(load.answers)
    assert (load.refused, load.broken) == (0, 0)
    await gateway.until(lambda status: status["connections"] == 0)


async def over_limit(gateway: Served) -> int:
    """Calls that were turned away; none is without an answer for another cause."""
    found = await gateway.metrics()
    causes = {key: value for key, value in found.items() if "callgate_unanswered_total{" in key}
    assert all('cause="over_limit"' in key for key, value in causes.items() if value), causes
    return int(sum(causes.values()))


async def until_files(gateway: Served, most: int) -> None:
    async with asyncio.timeout(LONG):
        while files(gateway) > most + SLACK:  # noqa: ASYNC110 - another process, which has no event
            await asyncio.sleep(0.05)


async def test_a_burst_past_the_cap_is_answered_or_refused_and_leaves_nothing() -> None:
    async with served(deadline="60s", max_connections=CAP) as gateway:
        await gateway.ingester()
        await well(gateway)
        await gateway.status()
        before = files(gateway)
        refused = 0
        for seed in range(3):
            answered, turned_away = await burst(gateway, seed)
            assert answered >= CAP
            refused += turned_away
        assert await over_limit(gateway) == refused
        await well(gateway)
        await until_files(gateway, before)
        await gateway.stop()


async def test_every_call_past_the_cap_is_refused_and_counted_and_there_is_room_again() -> None:
    async with served(deadline="60s", max_connections=CAP) as gateway:
        await gateway.ingester()
        await well(gateway)
        before = files(gateway)
        async with full(gateway):
            assert await burst(gateway, 0) == (0, len(FRONTENDS) * BURST)
            assert await over_limit(gateway) == len(FRONTENDS) * BURST
        await well(gateway)
        await until_files(gateway, before)
        await gateway.stop()


@pytest.mark.soak
async def test_more_calls_than_can_be_served_are_answered_or_refused_for_as_long_as_they_come() -> (
    None
):
    """At 2 and 5 times the peak; every verdict is compared by the load."""
    async with served() as gateway:
        gateway.policy.write_text(
            "numbering: {region: FR}\nlists: {nuisance: {action: block, files: "
            f"[{corpus(ENTRIES) / 'block.txt'}]}}}}\n"
        )
        await asyncio.to_thread(gateway.client.reload)
        load = load_for(OURS, ENTRIES)
        peak = await asyncio.to_thread(partial(load.run, gateway.agi, CALLS, strict=False))
        assert not peak["failures"], peak
        before = files(gateway)
        rate = CALLS / peak["seconds"]
        for factor in FASTER:
            due = int(rate * factor * SECONDS)
            run = partial(load.run, gateway.agi, due, strict=False, rate=rate * factor)
            told = await asyncio.to_thread(run)
            assert told["failures"] == told["refused"] < due, told
            measured(f"overload {factor}x", **{k: v for k, v in told.items() if k != "why"})
        await gateway.until(lambda status: status["connections"] == 0)
        await until_files(gateway, before)
