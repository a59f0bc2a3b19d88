"""Calls per minute or day as bars of an SVG: allowed from the ground up, blocked on top of them.

Rule 1: the two differ in lightness and in texture, not in colour alone, and every bar says in words
what it is.
Rule 2: the drawing is stretched to the width that there is, so no text stands in it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from gateway.attempts.daily import Day
from gateway.attempts.store import Rollup

K = TypeVar("K", bound=Hashable)

WIDTH, HEIGHT = 720, 160
MARKED = 15
"""Minutes between two times below the bars."""
WEEK = 7
"""Days between two dates below them."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute (UTC seconds) or day (2026-01-31): where it stands, its parts, what they say."""

    x: float
    width: float
    allowed_y: float
    allowed_height: float
    blocked_y: float
    blocked_height: float
    allowed: int
    blocked: int
    text: str = ""
    at: float = 0.0
    day: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars; counts at their left, the greatest first; times below as UTC seconds, or as days."""

    bars: tuple[Bar, ...]
    scale: tuple[int, ...]
    allowed: int
    blocked: int
    times: tuple[float, ...] = ()
    days: tuple[str, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT


def per_minute(rollups: Iterable[Rollup], until: float, minutes: int = 60) -> Chart:
    """A chart of the ``minutes`` that end with the one of ``until`` (UTC seconds)."""
    last = int(until // 60) * 60
    starts = range(last - (minutes - 1) * 60, last + 60, 60)
    counts = {start: [0, 0] for start in starts}
    for row in rollups:
        if row.minute in counts:
            counts[row.minute][row.verdict == "block"] += row.count
    chart = _chart(starts, counts, _minute)
    return replace(chart, times=tuple(float(start) for start in starts[::MARKED]))


def per_day(days: Iterable[Day], last: date, length: int) -> Chart:
    """A chart of the ``length`` days that end with ``last``."""
    dates = [(last - timedelta(days=back)).isoformat() for back in reversed(range(length))]
    counts = {day: [0, 0] for day in dates}
    for found in days:
        if found.date in counts:
            counts[found.date][found.verdict == "block"] += found.count
    marked = tuple(date.fromisoformat(day).strftime("%-d %b") for day in dates[::WEEK])
    return replace(_chart(dates, counts, _day), days=marked)


def _chart(keys: Sequence[K], counts: dict[K, list[int]], named: Callable[[K, Bar], Bar]) -> Chart:
    """Bars in the order of their keys, of allowed and blocked calls each."""
    most = _round_up(max((sum(pair) for pair in counts.values()), default=0))
    step = WIDTH / len(keys)
    bars = [
        named(key, _bar(place * step, step, HEIGHT / most, *counts[key]))
        for place, key in enumerate(keys)
    ]
    return Chart(
        bars=tuple(bars),
        scale=(most, most // 2, 0),
        allowed=sum(pair[0] for pair in counts.values()),
        blocked=sum(pair[1] for pair in counts.values()),
    )


def _minute(start: int, bar: Bar) -> Bar:
    at = datetime.fromtimestamp(start, UTC).strftime("%H:%M")
    return replace(bar, at=float(start), text=f"{at} UTC: {_words(bar)}")


def _day(day: str, bar: Bar) -> Bar:
    return replace(bar, day=day, text=f"{day}: {_words(bar)}")


def _words(bar: Bar) -> str:
    return f"{bar.allowed} allowed, {bar.blocked} blocked"


def _bar(x: float, step: float, unit: float, allowed: int, blocked: int) -> Bar:
    return Bar(
        x=round(x + step * 0.12, 2),
        width=round(step * 0.76, 2),
        allowed_y=round(HEIGHT - allowed * unit, 2),
        allowed_height=round(allowed * unit, 2),
        blocked_y=round(HEIGHT - (allowed + blocked) * unit, 2),
        blocked_height=round(blocked * unit, 2),
        allowed=allowed,
        blocked=blocked,
    )


def _round_up(count: int) -> int:
    """An even number a little above, with few digits that differ from 0."""
    unit = 2
    while unit * 5 < count:
        unit *= 10 if str(unit)[0] == "2" and unit * 10 <= count else 2
    return max(2, -(-count // unit) * unit)
