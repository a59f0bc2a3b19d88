"""The chart: every call is in one bar, no bar leaves the picture, and each says what it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attempts.store import Rollup
from gateway.web.chart import HEIGHT, WIDTH, per_minute

NOW = 1_800_000_030.0
LAST = 1_800_000_000
"""The minute of NOW."""

COUNTS = st.lists(
    st.tuples(st.integers(0, 70), st.sampled_from(["allow", "block"]), st.integers(1, 10**6)),
    max_size=80,
)


def rollup(minutes_ago: int, verdict: str, count: int) -> Rollup:
    return Rollup(
        minute=LAST - 60 * minutes_ago,
        direction="inbound",
        campaign="",
        verdict=verdict,
        reason="list",
        list="",
        entry="",
        count=count,
    )


def test_nothing_is_a_chart_too() -> None:
    chart = per_minute([], NOW)
    assert len(chart.bars) == 60
    assert (chart.allowed, chart.blocked) == (0, 0)
    assert all(bar.allowed_height == bar.blocked_height == 0 for bar in chart.bars)
    assert chart.scale == (2, 1, 0)


def test_the_bars_end_with_the_minute_of_the_time() -> None:
    chart = per_minute([rollup(0, "block", 1)], NOW, minutes=5)
    assert [bar.blocked_height > 0 for bar in chart.bars] == [False] * 4 + [True]
    assert chart.bars[-1].text == "08:00 UTC: 0 allowed, 1 blocked"
    assert chart.times == (LAST - 4 * 60.0,)
    assert [bar.at for bar in chart.bars] == [LAST - 60.0 * ago for ago in (4, 3, 2, 1, 0)]


def test_blocked_stands_on_allowed() -> None:
    [bar] = per_minute([rollup(0, "block", 1), rollup(0, "allow", 3)], NOW, minutes=1).bars
    assert bar.blocked_y + bar.blocked_height == pytest.approx(bar.allowed_y)
    assert bar.allowed_height == pytest.approx(3 * bar.blocked_height)


@given(counts=COUNTS, minutes=st.sampled_from([1, 30, 60]))
def test_every_call_of_these_minutes_is_in_the_chart_and_no_other(
    counts: list[tuple[int, str, int]], minutes: int
) -> None:
    chart = per_minute([rollup(*one) for one in counts], NOW, minutes)
    seen = [one for one in counts if one[0] < minutes]
    assert chart.allowed == sum(count for _, verdict, count in seen if verdict == "allow")
    assert chart.blocked == sum(count for _, verdict, count in seen if verdict == "block")
    said = [re.findall(r"(\d+) (?:allowed|blocked)", bar.text) for bar in chart.bars]
    assert sum(int(pair[0]) for pair in said) == chart.allowed
    assert sum(int(pair[1]) for pair in said) == chart.blocked


@given(counts=COUNTS)
def test_no_bar_leaves_the_picture_nor_touches_the_next(
    counts: list[tuple[int, str, int]],
) -> None:
    chart = per_minute([rollup(*one) for one in counts], NOW)
    ends = [0.0]
    for bar in chart.bars:
        assert 0 <= bar.blocked_y <= bar.allowed_y <= HEIGHT
        assert bar.allowed_y + bar.allowed_height == pytest.approx(HEIGHT, abs=0.02)
        assert bar.x > ends[-1]
        ends.append(bar.x + bar.width)
    assert ends[-1] <= WIDTH


@given(count=st.integers(0, 10**12))
def test_the_scale_is_a_little_above_the_highest_bar_and_easily_read(count: int) -> None:
    high, middle, low = per_minute([rollup(0, "allow", count)], NOW).scale
    assert low == 0
    assert 2 * middle == high
    assert count <= high <= max(2, 2 * count)
    assert len(str(high).rstrip("0")) <= 2
