"""docs/reliability.md names tests that exist, and every row has its figure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "docs/reliability.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| promise |")
]


def test_there_are_rows() -> None:
    assert len(ROWS) > 15


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:60])
def test_every_row_names_tests_that_exist_and_a_figure(row: str) -> None:
    promise, done, tests, measured = (cell.strip() for cell in row.strip("|").split(" | "))
    assert promise
    assert done
    assert measured
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)
    assert len(named) == tests.count("`") // 2 > 0
    for file, test in named:
        text = (ROOT / file).read_text()
        assert re.search(rf"^ *(async )?def {test}\(", text, re.MULTILINE), test
