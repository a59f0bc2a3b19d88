"""When an entry ends."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.expiry import parse_expiry

PARIS = ZoneInfo("Europe/Paris")


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-31", at(2027, 1, 31, 23)),
        ("2027-07-31", at(2027, 7, 31, 22)),
        ("2028-02-29", at(2028, 2, 29, 23)),
        ("2026-12-31", at(2026, 12, 31, 23)),
        ("2027-01-31T18:00", at(2027, 1, 31, 17)),
        ("2027-01-31 18:00:30", at(2027, 1, 31, 17, 0, 30)),
        ("2027-01-31T18:00Z", at(2027, 1, 31, 18)),
        ("2027-01-31 18:00 +02:00", at(2027, 1, 31, 16)),
        ("2027-01-31T18:00-0500", at(2027, 1, 31, 23)),
        ("1960-01-01", 1),
    ],
)
def test_a_day_ends_at_24_and_a_moment_is_that_of_the_zone(text: str, seconds: int) -> None:
    assert parse_expiry(text, PARIS) == seconds


def test_the_day_of_a_clock_change_ends_at_its_own_midnight() -> None:
    assert parse_expiry("2027-03-28", PARIS) - parse_expiry("2027-03-27", PARIS) == 23 * 3600


@pytest.mark.parametrize(
    "text", ["", "soon", "2027-1-31", "31/01/2027", "20270131", "2027-W01-1", "18:00", "٢٠٢٧-01-31"]
)
def test_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a day such as 2027-01-31"):
        parse_expiry(text, PARIS)


@pytest.mark.parametrize("text", ["2027-02-30", "9999-12-31", "0000-01-01", "2027-01-31T25:00"])
def test_what_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="in the calendar"):
        parse_expiry(text, PARIS)


def test_an_expiry_that_no_index_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="before 2106"):
        parse_expiry("2106-06-01", PARIS)


@given(st.text(alphabet="0123456789-T:Z+ ", max_size=26))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    try:
        seconds = parse_expiry(text, PARIS)
    except ValueError:
        return
    assert 1 <= seconds < 2**32
