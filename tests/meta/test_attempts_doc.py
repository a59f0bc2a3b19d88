"""docs/attempts.md says what every field of the record and of the status means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.attempts.ingest import Status
from gateway.attempts.journal import SEGMENT_BYTES
from gateway.attempts.lines import MAX_LINE, MAX_TEXT, DeliveryLine, EndLine, decode
from gateway.attempts.model import Attempt, Delivery, Shadow
from gateway.attempts.sync import MAX_WAIT

DOCUMENT = (Path(__file__).parents[2] / "docs" / "attempts.md").read_text()


def section(title: str) -> str:
    return DOCUMENT.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(text: str) -> list[str]:
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_every_field_of_the_record_is_documented_in_its_order() -> None:
    fields, deliveries = section("The record").split("`shadow` has", 1)
    assert first_cells(fields) == list(Attempt.__struct_fields__)
    assert first_cells(deliveries) == ["delivery", *Delivery]


@pytest.mark.parametrize("field", Shadow.__struct_fields__)
def test_every_field_of_the_shadow_verdict_is_documented(field: str) -> None:
    sentence = section("The record").split("`shadow` has", 1)[1].split(".", 1)[0]
    assert f"`{field}`" in sentence


def test_every_field_of_the_status_is_documented() -> None:
    assert set(first_cells(section("The store"))) == set(Status.__struct_fields__)


def test_the_figures_are_those_of_the_program() -> None:
    assert f"{SEGMENT_BYTES // 2**20} MiB" in DOCUMENT
    assert f"{MAX_LINE // 1024} KiB" in DOCUMENT
    assert f"{MAX_TEXT:,} characters" in DOCUMENT
    assert f"{MAX_WAIT * 1000:.0f} ms at most" in DOCUMENT


def test_the_example_lines_of_the_journal_are_good() -> None:
    shown = re.findall(r"^[0-9a-f]{8} {.*}$", DOCUMENT, re.MULTILINE)
    found = [type(decode(line.encode())) for line in shown]
    assert found == [Attempt, DeliveryLine, EndLine]
