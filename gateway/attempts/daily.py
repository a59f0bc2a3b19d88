"""Attempts per day and verdict, from the rollups of the store.

A day is one of a time zone, with 23 or 25 hours where clocks change. Every zone is a whole number
of quarters of an hour from UTC, so the store sums up those and this file puts them into days.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.attempts.store import AttemptStore


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """How many attempts a day (``2026-01-31``) had in one campaign, direction and verdict."""

    date: str
    campaign: str
    direction: str
    verdict: str
    count: int


def daily(
    store: AttemptStore, since: float, until: float, *, campaign: str = "", timezone: str = "UTC"
) -> list[Day]:
    """The days of the minutes that begin in ``[since, until)``, UTC seconds, in order.

    An empty ``campaign`` means all, each by itself. ``timezone`` is a name as in a policy. Raises
    StoreError.
    """
    zone = ZoneInfo(timezone)
    days: Counter[tuple[str, str, str, str]] = Counter()
    for quarter, *kind, count in store.quarters(since, until, campaign=campaign):
        date = datetime.fromtimestamp(quarter, zone).date().isoformat()
        days[date, kind[0], kind[1], kind[2]] += count
    return [Day(*key, count) for key, count in sorted(days.items())]
