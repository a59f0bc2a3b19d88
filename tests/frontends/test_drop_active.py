"""Live calls are decided anew, as of now, when a number is added to a list that drops them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from gateway.calls import Call, Direction
from gateway.frontends.guard import Guard
from gateway.policy.model import Entry, Policy
from tests.fakes.ami import FakeAsterisk, fake_asterisk
from tests.support.asteriskguards import guard_of, live_call
from tests.support.guards import LISTS, Bench, policy
from tests.support.policies import make_list, make_policy, number, prefix

CALLEE, CALLER = "0612000001", "+15550001111"
ARMED = frozenset({"dropping"})
HOUR = 3600.0


@pytest.fixture
async def bench() -> Bench:
    return Bench()


def policy_of(*entries: Entry) -> Policy:
    """With a list that allows, besides."""
    lists = (*LISTS, make_list("friends", "allow", order=3))
    old = policy()
    return make_policy(lists, entries, plan=old.plan, trunks=old.trunks)


def begun(ago: float, channel: str = "5.0") -> Call:
    return replace(live_call(channel, CALLEE), at=time.time() - ago)


def callback(channel: str = "5.0") -> Call:
    call = replace(begun(HOUR, channel), direction=Direction.INBOUND)
    return replace(call, caller=CALLER, callee="0140000000")


@asynccontextmanager
async def watched(bench: Bench) -> AsyncIterator[tuple[Guard, FakeAsterisk]]:
    async with fake_asterisk() as asterisk:
        guard = guard_of(bench, asterisk)
        async with bench.watching(guard):
            yield guard, asterisk


@pytest.mark.parametrize("left", [-1.0, HOUR], ids=["has ended since", "holds"])
async def test_an_exception_protects_a_live_call_as_long_as_it_holds(
    bench: Bench, left: float
) -> None:
    exception = number("friends", "33612000001", expires=int(time.time() + left))
    async with watched(bench) as (guard, asterisk):
        bench.screener.screen(begun(HOUR), "agi")
        bench.policies.current = policy_of(exception, prefix("dropping", "336120000"))
        await guard.drop(ARMED)
        hung_up = [action["Channel"] for action in asterisk.told("Hangup")]
    assert hung_up == (["5.0"] if left < 0 else [])
    assert len(bench.attempts) == 1 + len(hung_up)


async def test_an_entry_that_has_ended_since_hangs_up_nothing_and_leaves_no_attempt(
    bench: Bench,
) -> None:
    async with watched(bench) as (guard, asterisk):
        bench.screener.screen(begun(HOUR), "agi")
        bench.policies.current = policy_of(
            number("dropping", "33612000001", expires=int(time.time()) - 1)
        )
        await guard.drop(ARMED)
        assert asterisk.told("Hangup") == []
    assert len(bench.attempts) == 1


async def test_a_call_back_after_an_emergency_call_stays_one(bench: Bench) -> None:
    """Even when its window has passed: the call is the answer to the emergency call."""
    async with watched(bench) as (guard, asterisk):
        call = callback()
        bench.screener.emergencies["carrier"] = call.at - 10
        assert not bench.screener.screen(call, "agi").verdict.blocked
        bench.policies.current = policy_of(number("dropping", CALLER.removeprefix("+")))
        await guard.drop(ARMED)
        assert asterisk.told("Hangup") == []
    assert [attempt.reason for attempt in bench.attempts] == ["emergency_callback"]


async def test_a_call_that_an_emergency_call_has_made_urgent_is_left_up(bench: Bench) -> None:
    async with watched(bench) as (guard, asterisk):
        bench.screener.screen(callback(), "agi")
        bench.policies.current = policy_of(number("dropping", CALLER.removeprefix("+")))
        bench.screener.screen(replace(begun(0, "5.1"), callee="112"), "agi")
        await guard.drop(ARMED)
        assert asterisk.told("Hangup") == []
    last = bench.attempts[-1]
    assert (last.verdict, last.reason) == ("allow", "emergency_callback")
    assert last.delivery == "reported"


async def test_a_guard_that_is_closed_hangs_up_nothing(bench: Bench) -> None:
    async with watched(bench) as (guard, asterisk):
        bench.screener.screen(begun(0), "agi")
        bench.add(number("dropping", "33612000001"))
        await guard.close()
        await guard.drop(ARMED)
        assert asterisk.told("Hangup") == []
    assert len(bench.attempts) == 1


async def test_a_channel_that_is_a_pattern_of_many_is_not_hung_up(bench: Bench) -> None:
    """Asterisk's Hangup takes /.*/ for every channel; whoever asks over HTTP writes the id."""
    async with watched(bench) as (guard, asterisk):
        bench.screener.screen(begun(0, "/.*/"), "http")
        bench.add(number("dropping", "33612000001"))
        await guard.drop(ARMED)
        assert asterisk.told("Hangup") == []
    assert [attempt.delivery for attempt in bench.attempts] == ["pending", "lost"]
