"""Every row of the tables in docs/numbers.md does what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import BadEntry
from gateway.numbers import (
    Kind,
    infer_entry,
    is_emergency,
    read,
    read_number_entry,
    read_prefix_entry,
    read_short_entry,
)
from tests.unit.test_numbers_table import plan_of

PAGE = (Path(__file__).parents[2] / "docs" / "numbers.md").read_text("utf-8")


def rows(table: str) -> list[list[str]]:
    """The cells of the table that follows ``<!-- table -->``, without its two heading lines."""
    body = PAGE.split(f"<!-- {table} -->\n")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in body]


def region_of(cell: str) -> str | None:
    return None if cell == "-" else cell


@pytest.mark.parametrize("row", rows("read"), ids=lambda row: f"{row[0]} {row[1]} {row[2]}")
def test_the_page_tells_how_a_number_is_read(row: list[str]) -> None:
    region, options, raw, kind, digits = row
    number = read(raw, plan_of(region, options))
    assert (number.kind, number.digits) == (Kind(kind), digits)


@pytest.mark.parametrize("row", rows("reach"), ids=lambda row: f"{row[0]} {row[2]}")
def test_the_page_tells_where_an_invalid_number_would_lead(row: list[str]) -> None:
    region, options, raw, reach = row
    number = read(raw, plan_of(region, options))
    assert (number.kind, number.reach) == (Kind.INVALID, reach)


@pytest.mark.parametrize("row", rows("entries"), ids=lambda row: f"{row[0]} {row[1]} {row[2]}")
def test_the_page_tells_what_an_entry_becomes(row: list[str]) -> None:
    region, kind, text, expected = row
    try:
        if kind == "short":
            found = read_short_entry(text)
        else:
            reader = read_number_entry if kind == "number" else read_prefix_entry
            found = reader(text, region_of(region))
    except BadEntry as fault:
        found = str(fault)
    if expected.startswith("refused: "):
        assert expected.removeprefix("refused: ") in found
    else:
        assert found == expected


@pytest.mark.parametrize("row", rows("inferred"), ids=lambda row: row[1])
def test_the_page_tells_what_is_inferred(row: list[str]) -> None:
    region, text, kind, digits, warning = row
    found = infer_entry(text, region_of(region))
    assert (found.kind, found.digits) == (kind, digits)
    assert warning in found.warning
    assert bool(warning) == bool(found.warning)


@pytest.mark.parametrize("row", rows("emergency"), ids=lambda row: f"{row[0]} {row[1]} {row[2]}")
def test_the_page_tells_what_is_a_call_for_help(row: list[str]) -> None:
    region, options, raw, expected = row
    assert is_emergency(raw, plan_of(region, options), frozenset()) is (expected == "yes")
