"""Times on the command line: ISO 8601, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from gateway.cli.moments import Moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31)),
        ("2026-01-31T18:00", datetime(2026, 1, 31, 18)),
        ("2026-01-31T18:00+00:00", datetime(2026, 1, 31, 18, tzinfo=UTC)),
    ],
)
def test_a_time_is_iso_8601_and_without_an_offset_of_no_zone(text: str, moment: datetime) -> None:
    found = Moment().convert(text, None, None)
    assert (found, found.tzinfo) == (moment, moment.tzinfo)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
    ],
)
def test_a_time_may_be_how_long_ago(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    found = Moment().convert(text, None, None)
    assert before - ago <= found <= datetime.now(UTC) - ago


@pytest.mark.parametrize("text", ["", "yesterday", "24", "-1h", "999999d", "٣h"])
def test_other_text_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither a time"):
        Moment().convert(text, None, None)
