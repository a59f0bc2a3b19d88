"""Calls per minute as bars, drawn as SVG: allowed from the ground up, blocked on top of them.

Rule 1: the two differ in lightness and in texture, not in colour alone, and every bar says in words
what it is.
Rule 2: the drawing is stretched to the width that there is, so no text stands in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.attempts.store import Rollup

WIDTH, HEIGHT = 720, 160
MARKED = 15
"""Minutes between two times below the bars."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute (UTC seconds): where it stands, how high its parts are, and what they say."""

    at: float
    x: float
    width: float
    allowed_y: float
    allowed_height: float
    blocked_y: float
    blocked_height: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars; counts at their left, the greatest first; times below as UTC seconds."""

    bars: tuple[Bar, ...]
    scale: tuple[int, ...]
    times: tuple[float, ...]
    allowed: int
    blocked: int
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
    most = _round_up(max((sum(pair) for pair in counts.values()), default=0))
    unit = HEIGHT / most
    step = WIDTH / minutes
    bars = [
        _bar(place * step, step, unit, start, *counts[start]) for place, start in enumerate(starts)
    ]
    return Chart(
        bars=tuple(bars),
        scale=(most, most // 2, 0),
        times=tuple(float(start) for start in starts[::MARKED]),
        allowed=sum(pair[0] for pair in counts.values()),
        blocked=sum(pair[1] for pair in counts.values()),
    )


def _bar(x: float, step: float, unit: float, start: int, allowed: int, blocked: int) -> Bar:
    at = datetime.fromtimestamp(start, UTC).strftime("%H:%M")
    return Bar(
        at=float(start),
        x=round(x + step * 0.12, 2),
        width=round(step * 0.76, 2),
        allowed_y=round(HEIGHT - allowed * unit, 2),
        allowed_height=round(allowed * unit, 2),
        blocked_y=round(HEIGHT - (allowed + blocked) * unit, 2),
        blocked_height=round(blocked * unit, 2),
        text=f"{at} UTC: {allowed} allowed, {blocked} blocked",
    )


def _round_up(count: int) -> int:
    """An even number a little above, with few digits that differ from 0."""
    unit = 2
    while unit * 5 < count:
        unit *= 10 if str(unit)[0] == "2" and unit * 10 <= count else 2
    return max(2, -(-count // unit) * unit)
