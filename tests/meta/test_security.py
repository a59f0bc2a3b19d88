"""SECURITY.md names the test that tries each attack, and each of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[^`]*)`", TEXT)))
PROTOCOLS = {
    "AGI": "tests/frontends/test_fastagi.py",
    "ESL": "tests/frontends/test_esl_outbound.py",
    "HTTP": "tests/http/test_attacks.py",
}


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_exists(name: str) -> None:
    file, found, test = name.partition("::")
    assert found, f"{name} names a file and no test"
    tree = ast.parse((ROOT / file).read_text())
    functions = [
        item for item in tree.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert test in {item.name for item in functions}


def test_every_attack_of_a_table_names_its_test() -> None:
    rows = re.findall(r"^\| (?!attack|---)[^|]+\|[^|]+\|[^|]+\|$", TEXT, re.M)
    assert len(rows) > 40
    without = [row for row in rows if "`tests/" not in row]
    assert not without


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_is_attacked(protocol: str) -> None:
    assert any(name.startswith(PROTOCOLS[protocol]) for name in NAMED)


def test_every_section_says_what_is_not_protected() -> None:
    sections = re.split(r"^## ", TEXT, flags=re.M)[1:]
    silent = [
        section.splitlines()[0] for section in sections
        if "| attack" in section and "**Not protected:**" not in section
    ]  # fmt: skip
    assert silent == ["Dialplan arguments", "Control socket"]
