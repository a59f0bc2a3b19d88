"""Attempts per day and verdict, from the rollups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from gateway.attempts.daily import Day, daily
from gateway.attempts.store import AttemptStore
from tests.support.attempts import make_attempt
from tests.support.examples import tries


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AttemptStore]:
    store = AttemptStore(tmp_path / "attempts.db")
    yield store
    store.close()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def fill(store: AttemptStore, *attempts: tuple[str, str, str]) -> None:
    store.add(
        [
            make_attempt(str(place), at(moment), campaign=campaign, verdict=verdict)
            for place, (moment, campaign, verdict) in enumerate(attempts)
        ],
        [],
    )


def test_attempts_are_counted_by_day_campaign_and_verdict(store: AttemptStore) -> None:
    fill(
        store,
        ("2026-01-31T10:00", "spring", "block"),
        ("2026-01-31T23:59:59", "spring", "block"),
        ("2026-02-01T00:00", "spring", "allow"),
        ("2026-02-01T00:00", "autumn", "allow"),
    )
    assert daily(store, 0, 1e11, campaign="spring") == [
        Day("2026-01-31", "spring", "inbound", "block", 2),
        Day("2026-02-01", "spring", "inbound", "allow", 1),
    ]
    assert [day.campaign for day in daily(store, 0, 1e11)] == ["spring", "autumn", "spring"]
    assert daily(store, at("2026-02-01"), 1e11, campaign="autumn")[0].count == 1
    assert daily(store, 0, at("2026-01-31T10:00"), campaign="spring") == []


def test_a_day_is_one_of_the_time_zone(store: AttemptStore) -> None:
    fill(
        store,
        ("2026-06-30T18:14:59", "", "allow"),
        ("2026-06-30T18:15", "", "allow"),
        ("2026-06-30T22:00", "", "block"),
    )
    assert [day.date for day in daily(store, 0, 1e11)] == ["2026-06-30", "2026-06-30"]
    paris = daily(store, 0, 1e11, timezone="Europe/Paris")
    assert [(day.date, day.count) for day in paris] == [("2026-06-30", 2), ("2026-07-01", 1)]
    kathmandu = daily(store, 0, 1e11, timezone="Asia/Kathmandu")
    assert [(day.date, day.count) for day in kathmandu] == [
        ("2026-06-30", 1),
        ("2026-07-01", 1),
        ("2026-07-01", 1),
    ]


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=30))
@tries(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_attempt_is_lost_in_the_days(store: AttemptStore, moments: list[int]) -> None:
    store.clear()
    store.add([make_attempt(f"a{moment}", float(moment)) for moment in moments], [])
    days = daily(store, 0, 1e11, timezone="America/St_Johns")
    assert sum(day.count for day in days) == len(moments)
