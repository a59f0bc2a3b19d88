"""The chart of days: each day has its bar, also one without a call, and says what it was."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from gateway.attempts.daily import Day
from gateway.web.chart import HEIGHT, per_day

LAST = date(2026, 3, 2)
DATES = st.dates(min_value=date(2026, 1, 1), max_value=date(2026, 4, 1))


def day(on: date, verdict: str, count: int) -> Day:
    return Day(on.isoformat(), "sale", "inbound", verdict, count)


def test_the_bars_end_with_the_last_day_and_each_week_is_marked() -> None:
    found = [day(LAST, "block", 2), day(date(2026, 2, 28), "allow", 3)]
    chart = per_day(found, LAST, 28)
    assert len(chart.bars) == 28
    assert chart.bars[-1].text == "2026-03-02: 0 allowed, 2 blocked"
    assert chart.bars[-3].text == "2026-02-28: 3 allowed, 0 blocked"
    assert chart.days == ("3 Feb", "10 Feb", "17 Feb", "24 Feb")


@given(st.lists(st.tuples(DATES, st.sampled_from(["allow", "block"]), st.integers(1, 1000))))
def test_every_call_of_these_days_is_in_the_chart_and_no_other(
    found: list[tuple[date, str, int]],
) -> None:
    chart = per_day([day(*one) for one in found], LAST, 28)
    within = [one for one in found if 0 <= (LAST - one[0]).days < 28]
    assert chart.allowed + chart.blocked == sum(count for _, _, count in within)
    assert all(0 <= bar.blocked_y <= HEIGHT for bar in chart.bars)
