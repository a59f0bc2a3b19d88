"""Counting a campaign's labels: once for many who ask, and given out however long it took."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.policy.model import Campaign, Policy
from gateway.review.scrub import Scrub
from gateway.web import tallies as module
from gateway.web.tallies import FRESH, Tallies
from tests.support.policies import make_list, make_policy, number

LONG = 60.0
"""Seconds: more than any count here takes."""
CAMPAIGN = Campaign("spring")


@pytest.fixture
def policy() -> Policy:
    campaigns = {CAMPAIGN.name: CAMPAIGN}
    return make_policy([make_list("spam")], [number("spam", "33123456789")], campaigns=campaigns)


@pytest.fixture
def contacts(tmp_path: Path) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_text("phone\n+33123456789\n+33140000001\n")
    return path


@pytest.fixture
def tallies() -> Iterator[Tallies]:
    tallies = Tallies()
    yield tallies
    tallies.close()


class Clock:
    """The monotonic clock of the module."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Held:
    """Counts that have begun do not end before they may."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held()
    pieces = Scrub.pieces

    def slow(self: Scrub) -> Iterator[bytes]:
        held.begun.set()
        assert held.may_end.wait(LONG)
        yield from pieces(self)

    monkeypatch.setattr(Scrub, "pieces", slow)
    yield held
    held.may_end.set()


async def test_a_count_that_took_longer_than_it_stays_fresh_is_given_out(
    tallies: Tallies, policy: Policy, contacts: Path, clock: Clock, held: Held
) -> None:
    begun = await tallies.count(contacts, CAMPAIGN, policy, 0.0)
    assert not begun.done
    clock.now += 2 * FRESH
    held.may_end.set()
    assert begun.task is not None
    await begun.task
    found = await tallies.count(contacts, CAMPAIGN, policy, LONG)
    assert found is begun
    assert found.summary.kinds == {"blacklisted": 1, "clear": 1}


async def test_a_count_is_made_anew_when_it_is_no_longer_fresh(
    tallies: Tallies, policy: Policy, contacts: Path, clock: Clock
) -> None:
    first = await tallies.count(contacts, CAMPAIGN, policy, LONG)
    clock.now += FRESH / 2
    assert await tallies.count(contacts, CAMPAIGN, policy, LONG) is first
    clock.now += FRESH
    assert await tallies.count(contacts, CAMPAIGN, policy, LONG) is not first


async def test_a_count_that_nobody_waits_for_ends_when_the_policy_is_another(
    tallies: Tallies, policy: Policy, contacts: Path, held: Held
) -> None:
    first = await tallies.count(contacts, CAMPAIGN, policy, 0.0)
    second = await tallies.count(contacts, CAMPAIGN, replace(policy, revision="0+1"), 0.0)
    assert second is not first
    held.may_end.set()
    assert first.task is not None
    assert second.task is not None
    await asyncio.wait({first.task, second.task})
    assert first.summary.rows == 0
    assert second.summary.rows == 2
    assert await tallies.count(contacts, CAMPAIGN, policy, LONG) is not first


async def test_a_count_that_somebody_waits_for_goes_on(
    tallies: Tallies, policy: Policy, contacts: Path, held: Held
) -> None:
    waiting = asyncio.create_task(tallies.count(contacts, CAMPAIGN, policy, LONG))
    assert await asyncio.to_thread(held.begun.wait, LONG)
    await tallies.count(contacts, CAMPAIGN, replace(policy, revision="0+1"), 0.0)
    held.may_end.set()
    first = await waiting
    assert first.done
    assert first.summary.rows == 2
