"""Every row of tests/vectors/numbers.tsv reads as it says.

Columns: region (``-`` none), options of the plan (``name=value,value``; ``inbound`` reads without
extensions), raw text with Python escapes, kind, digits, reach, comment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.numbers import Kind, NumberPlan, read

TABLE = Path(__file__).parents[1] / "vectors" / "numbers.tsv"
ROWS = [line.split("\t") for line in TABLE.read_text("utf-8").splitlines()[1:]]


def plan_of(region: str, options: str) -> NumberPlan:
    known: dict[str, Any] = {}
    for option in options.replace("inbound", "").split():
        name, _, value = option.partition("=")
        known[name] = value if name == "format" else [item for item in value.split(",") if item]
    return NumberPlan.build(region=None if region == "-" else region, **known)


def raw_of(text: str) -> str:
    if "\\" not in text:
        return text
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]} {row[2]}".strip())
def test_a_number_reads_as_its_row_says(row: list[str]) -> None:
    region, options, raw, kind, digits, reach, _comment = row
    number = read(
        raw_of(raw), plan_of(region, options), extensions="inbound" not in options.split()
    )
    assert (number.kind, number.digits, number.reach) == (Kind(kind), digits, reach)
    assert number.raw == raw_of(raw)
    assert number.e164 == ("+" + digits if kind == "e164" else "")


def test_internal_is_what_matches_an_extension_pattern_and_nothing_else() -> None:
    plan = NumberPlan.build(region="FR", extensions=["[1-8]xxx"], strip=["9", "*67"])
    assert read("2001", plan).internal
    assert read("*672001", plan).internal
    assert not read("2001", plan, extensions=False).internal
    assert not read("15", plan).internal
    assert not read("0123456789", plan).internal
