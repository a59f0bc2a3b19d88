"""The clock of the machine is set, forward and back: verdicts follow it, nothing else does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app.gateway import Gateway
from gateway.app.notify import Notifier
from gateway.app.state import owned
from gateway.attempts.ids import time_of
from gateway.attempts.lines import decode
from gateway.attempts.model import Attempt
from gateway.entries import NewChange, Op
from gateway.pbx.asterisk import screen_path
from gateway.policy.expiry import parse_expiry
from gateway.settings import Settings
from tests.fakes.asterisk import agi_call
from tests.support.served import short_folder

HOUR = 3600.0
STEPS = [HOUR, -2 * HOUR, 30 * 24 * HOUR, -30 * 24 * HOUR, 0.5, -0.5, -HOUR, 2 * HOUR]
ZONES = [
    *("Europe/Paris", "America/New_York", "Europe/London", "Australia/Lord_Howe"),
    *("Africa/Cairo", "America/Havana", "Atlantic/Azores", "Asia/Beirut", "Asia/Kolkata", "UTC"),
]
"""Some change at midnight, one by half an hour, some never."""


class Clock:
    """``time.time``, which tests set. Real time goes on in it."""

    def __init__(self) -> None:
        self._real = time.time
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._real() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def settings() -> Iterator[Settings]:
    with short_folder() as folder:
        config = folder / "config" / "callgate.yaml"
        config.parent.mkdir()
        config.write_text('agi: {listen: "127.0.0.1:0"}\nesl: {listen: off}\nhttp: {listen: off}\n')
        policy = "lists: {nuisance: {action: block, may_be_empty: true}}\n"
        (config.parent / "policy.yaml").write_text(policy)
        yield Settings.load(config, {})


@asynccontextmanager
async def embedded(settings: Settings) -> AsyncIterator[Gateway]:
    with owned(settings.state_dir):
        gateway = Gateway(settings, Notifier({}))
        try:
            await gateway.start()
            yield gateway
        finally:
            await gateway.stop()


def address(gateway: Gateway) -> tuple[str, int]:
    host, _, port = gateway.listeners()["agi"].rpartition(":")
    return host, int(port)


async def verdict(gateway: Gateway, caller: str) -> str:
    path = screen_path("inbound", "", "", caller, "+33140000000")
    variables, _ = await agi_call(*address(gateway), path)
    return variables["CALLGATE_VERDICT"]


def journaled(journal: Path) -> list[Attempt]:
    """Attempts in the order in which they were written, by the only worker of one start."""
    [segment] = journal.glob("*.jsonl")
    records = [decode(line) for line in segment.read_bytes().splitlines()]
    return [record for record in records if isinstance(record, Attempt)]


async def test_a_clock_that_is_set_moves_expiries_and_no_deadline_and_no_order(
    settings: Settings, clock: Clock
) -> None:
    """A peer that has said nothing stays: its deadline of some seconds is not of that clock."""
    async with embedded(settings) as gateway:
        until = int(clock()) + 24 * 3600
        add = NewChange(op=Op.ADD, who="ops", source="cli", digits="33162000000", expires=until)
        await gateway.policies.apply_changes([add])
        reader, writer = await asyncio.open_connection(*address(gateway))
        for step in STEPS:
            clock.ahead += step
            for _ in range(5):
                expected = "allow" if clock() >= until else "block"
                assert await verdict(gateway, "+33162000000") == expected
        assert not reader.at_eof()
        writer.close()
        written = journaled(settings.journal_dir)
        assert len(written) == 5 * len(STEPS)
        ids = [attempt.id for attempt in written]
        assert ids == sorted(set(ids))
        times = [attempt.at for attempt in written]
        assert times != sorted(times), "the record has the clock's time, right or wrong"
        highest = max(times)
        assert max(time_of(one) or 0 for one in ids) == pytest.approx(highest, abs=0.01)


@pytest.mark.parametrize(
    ("ahead", "expected"), [(-0.001, "block"), (0.0, "allow"), (0.001, "allow")]
)
async def test_an_entry_ends_at_the_very_second(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, ahead: float, expected: str
) -> None:
    until = int(time.time()) + 1000
    text = "lists: {nuisance: {action: block, prefixes: [{prefix: +33163, expires: '%s'}]}}\n"
    shown = datetime.fromtimestamp(until, ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")
    settings.policy_path.write_text(text % shown)
    async with embedded(settings) as gateway:
        add = NewChange(op=Op.ADD, who="ops", source="cli", digits="33162000000", expires=until)
        await gateway.policies.apply_changes([add])
        monkeypatch.setattr(time, "time", lambda: until + ahead)
        assert await verdict(gateway, "+33162000000") == expected, "a managed entry"
        assert await verdict(gateway, "+33163000000") == expected, "an entry of the file"


@given(
    day=st.dates(min_value=date(2026, 1, 1), max_value=date(2036, 12, 31)),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
)
def test_a_day_ends_when_the_next_one_begins_where_it_is(day: date, zone: ZoneInfo) -> None:
    end = parse_expiry(day.isoformat(), zone)
    assert datetime.fromtimestamp(end - 1, zone).date() == day
    assert datetime.fromtimestamp(end, zone).date() == day + timedelta(days=1)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Paris", "2027-03-28", 23),
        ("Europe/Paris", "2027-10-31", 25),
        ("America/New_York", "2027-03-14", 23),
        ("America/New_York", "2027-11-07", 25),
    ],
)
def test_a_day_of_a_clock_change_is_as_long_as_it_is(zone: str, day: str, hours: int) -> None:
    before = (date.fromisoformat(day) - timedelta(days=1)).isoformat()
    ends = [parse_expiry(text, ZoneInfo(zone)) for text in (before, day)]
    assert ends[1] - ends[0] == hours * 3600
