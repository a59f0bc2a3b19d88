"""More and more calls through a real Asterisk, with the shipped dialplan and a real gateway.

Whatever breaks at whatever rate: every call that Asterisk takes ends, as the gateway decided or as
the outage branch says, and nothing of it stays. Nothing here depends on how fast the machine is: a
ramp goes on until enough calls of each kind have been seen. sipp tells what a call was answered,
the store what the gateway decided; the two are compared call by call.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.attempts.model import Attempt, Delivery
from tests.asterisk import conftest
from tests.asterisk.pbx import Programs
from tests.support.figures import measured
from tests.support.load import BLOCKED, ingest, stored
from tests.support.ramp import (
    ALL_OVER,
    NOBODY,
    OUTAGE,
    REFUSALS,
    REJECTED,
    Ramp,
    RampPbx,
    Told,
    answering,
    until,
)
from tests.support.served import LONG, Served, served, short_folder

pytestmark = pytest.mark.asterisk
programs = conftest.programs

POLICY = f"""\
numbering: {{region: FR, trunks: {{carrier: {{}}}}}}
lists: {{nuisance: {{action: block, response: {REJECTED}, prefixes: ["{BLOCKED}"]}}}}
"""
DEADLINE, SHIPPED_DEADLINE = "CALLGATE_DEADLINE_MS", "1500"
CAP = 4
"""Connections that the gateway serves at a time in the form that has too few."""
STEP = 30
"""Calls a second by which the rate rises each second."""
QUICK = pytest.param(1, 15, 60, id="quick")
LONGER = pytest.param(5, 300, 300, id="soak", marks=pytest.mark.soak(minutes=4))
"""How often there is trouble, how many calls of each kind are seen before and in it, and the rate
that the ramp rises to."""
HIGHEST = 1500
"""Of the ramp that goes past what Asterisk can take."""
SLACK = 8
"""Descriptors that Asterisk may keep once it has worked: none is a call's."""


@dataclass
class Stand:
    """A gateway, an Asterisk that asks it, and who calls and is called."""

    gateway: Served
    pbx: RampPbx
    ramp: Ramp

    async def decided(self, more: int) -> None:
        """Until so many calls more were put through and so many rejected, by verdict."""
        before = self.ramp.told.counts()

        def enough() -> bool:
            counts = self.ramp.told.counts()
            return all(counts[status] >= before[status] + more for status in (200, REJECTED))

        await until(enough, f"{more} calls decided")

    async def unheard(self, more: int) -> None:
        """Until the outage branch has had so many calls more."""
        enough = self.pbx.outages() + more
        await until(lambda: self.pbx.outages() >= enough, f"{more} outages")

    async def check(self, before: int) -> dict[str, Attempt]:
        """That all calls are over and nothing of them is left; their attempts by caller."""
        told = self.ramp.told
        assert told.hung == set()
        assert told.status.keys() | told.ignored == told.over == told.began
        await until(lambda: self.pbx.channels() == 0, "no channel", ALL_OVER)
        await until(lambda: self.pbx.files() <= before + SLACK, "no descriptor", ALL_OVER)
        await self.gateway.until(lambda status: status["connections"] == 0)
        await self.gateway.stop()
        await asyncio.to_thread(ingest, self.gateway.state)
        attempts = stored(self.gateway.state).values()
        found = {attempt.caller: attempt for attempt in attempts}
        assert len(found) == len(attempts), "a call is two attempts"
        assert found.keys() <= told.began
        return found


@asynccontextmanager
async def stand(programs: Programs, outage: str, **settings: Any) -> AsyncIterator[Stand]:
    """``outage`` is what the outage branch does; ``settings`` are those of the gateway."""
    with short_folder() as folder:
        for name in ("pbx", "calls"):
            (folder / name).mkdir()
        async with answering(programs, folder / "calls") as callee, served(**settings) as gateway:
            pbx = RampPbx(programs, folder / "pbx", callee, outage)
            await asyncio.to_thread(pbx.start)
            try:
                gateway.policy.write_text(POLICY)
                await asyncio.to_thread(gateway.client.reload)
                await pbx.until_set("CALLGATE_ADDRESS", f"127.0.0.1:{gateway.agi}")
                yield Stand(gateway, pbx, Ramp(programs, folder / "calls", pbx))
            finally:
                await asyncio.to_thread(pbx.stop)


def agree(told: Told, attempts: dict[str, Attempt], reached: list[str], outages: int) -> None:
    """What each caller was told is what the gateway decided, or what the outage branch does."""
    confirmed = {
        caller: attempt
        for caller, attempt in attempts.items()
        if attempt.delivery == Delivery.CONFIRMED
    }
    for caller, attempt in attempts.items():
        assert attempt.verdict == ("block" if caller.startswith(BLOCKED) else "allow")
    for caller in told.by(REJECTED):
        assert attempts[caller].verdict == "block"
    heard = {True: told.by(REJECTED), False: told.by(200, NOBODY)}
    for caller, attempt in confirmed.items():
        assert caller in heard[attempt.verdict == "block"] | told.ignored, attempt
    assert told.by(200) <= set(reached)
    assert not told.by(REJECTED, OUTAGE, *REFUSALS) & set(reached)
    asked = told.by(200, REJECTED, OUTAGE, NOBODY)
    assert len(asked - attempts.keys()) <= outages <= len(told.began - confirmed.keys())


def blocking_outage(told: Told, attempts: dict[str, Attempt], outages: int) -> None:
    """With the outage branch that blocks, the status alone says who decided."""
    assert not any(caller.startswith(BLOCKED) for caller in told.by(200, NOBODY))
    for caller in told.by(200):
        assert attempts[caller].verdict == "allow"
    assert len(told.by(OUTAGE)) <= outages <= len(told.by(OUTAGE) | told.ignored)


async def without_room(stand: Stand, more: int) -> None:
    """Silent peers take every place as it becomes free, until so many calls had none."""
    enough = stand.pbx.outages() + more
    silent: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        async with asyncio.timeout(LONG):
            while stand.pbx.outages() < enough:
                silent.append(await asyncio.open_connection("127.0.0.1", stand.gateway.agi))
                await asyncio.sleep(0.02)
                for refused in [peer for peer in silent if peer[0].at_eof()]:
                    silent.remove(refused)
                    refused[1].close()
    finally:
        for _, writer in silent:
            writer.close()


async def killed(stand: Stand, more: int) -> None:
    """It is gone for so many calls, then another is there on the same state."""
    await stand.gateway.kill()
    await stand.unheard(more)
    await stand.gateway.start()
    await stand.pbx.until_set("CALLGATE_ADDRESS", f"127.0.0.1:{stand.gateway.agi}")


async def frozen(stand: Stand, more: int) -> None:
    """It takes calls and says nothing to so many of them, whom a short deadline ends."""
    await stand.pbx.until_set(DEADLINE, "500")
    os.kill(stand.gateway.pid, signal.SIGSTOP)
    await stand.unheard(more)
    os.kill(stand.gateway.pid, signal.SIGCONT)
    await stand.pbx.until_set(DEADLINE, "10000")


def tell(what: str, stand: Stand, attempts: dict[str, Attempt]) -> None:
    told = stand.ramp.told
    counts = told.counts()
    measured(
        f"ramp {what}",
        highest_rate=stand.ramp.highest("CallRate(P)"),
        highest_unrepeated=stand.ramp.highest("CallRate(P)", unrepeated=True),
        calls=len(told.began),
        answered=counts[200],
        rejected=counts[REJECTED],
        outages=stand.pbx.outages(),
        nobody=counts[NOBODY],
        refused=sum(counts[status] for status in REFUSALS),
        ignored=len(told.ignored),
        attempts=len(attempts),
        channels=stand.pbx.channels(),
        files=stand.pbx.files(),
    )


@pytest.mark.parametrize(("rounds", "enough", "most"), [QUICK, LONGER])
async def test_calls_that_find_no_room_are_let_in_by_the_outage_branch_and_nothing_hangs(
    programs: Programs, rounds: int, enough: int, most: int
) -> None:
    """The outage branch that is shipped: who is blocked is let in only when nobody decided."""
    async with stand(programs, "allow", deadline="60s", max_connections=CAP) as stood:
        before = stood.pbx.files()
        async with stood.ramp.calling(STEP, most):
            for _ in range(rounds):
                await stood.decided(enough)
                await without_room(stood, enough)
            await stood.decided(enough)
        attempts = await stood.check(before)
        told = stood.ramp.told
        agree(told, attempts, stood.ramp.reached, stood.pbx.outages())
        assert told.by(200) - attempts.keys(), "the gateway heard of every call"
        tell("with few places", stood, attempts)


@pytest.mark.parametrize(("rounds", "enough", "most"), [QUICK, LONGER])
async def test_while_the_gateway_is_killed_or_frozen_nobody_is_let_in_undecided_and_nothing_hangs(
    programs: Programs, rounds: int, enough: int, most: int
) -> None:
    """The outage branch that blocks."""
    async with stand(programs, "block") as stood:
        before = stood.pbx.files()
        async with stood.ramp.calling(STEP, most):
            for _ in range(rounds):
                for trouble in (killed, frozen):
                    await stood.decided(enough)
                    await trouble(stood, enough)
            await stood.decided(enough)
        attempts = await stood.check(before)
        told, outages = stood.ramp.told, stood.pbx.outages()
        agree(told, attempts, stood.ramp.reached, outages)
        blocking_outage(told, attempts, outages)
        tell("with a gateway killed and frozen", stood, attempts)


@pytest.mark.soak(minutes=4)
async def test_more_calls_than_asterisk_can_take_end_and_leave_nothing(programs: Programs) -> None:
    async with stand(programs, "block") as stood:
        await stood.pbx.until_set(DEADLINE, SHIPPED_DEADLINE)
        before = stood.pbx.files()
        async with stood.ramp.calling(2 * STEP, HIGHEST):
            await until(
                lambda: stood.ramp.highest("TargetRate") >= HIGHEST, "the highest rate", ALL_OVER
            )
        attempts = await stood.check(before)
        told, outages = stood.ramp.told, stood.pbx.outages()
        agree(told, attempts, stood.ramp.reached, outages)
        blocking_outage(told, attempts, outages)
        tell("to the end", stood, attempts)
