"""Files stay short enough to read in one sitting, and each says what its rule is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 320
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_source_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LIMIT


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=name)
def test_a_file_opens_with_its_rule(path: Path) -> None:
    text = path.read_text()
    if not text.strip() and path.name == "__init__.py":
        return
    assert ast.get_docstring(ast.parse(text)), f"{name(path)} has no docstring"


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=name)
def test_nothing_is_left_for_later(path: Path) -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")
    found = [mark for mark in marks if mark in path.read_text()]
    assert not found


def test_the_top_level_is_what_it_was_meant_to_be() -> None:
    """Beside these, what git ignores: state, builds, and what begins with a dot."""
    meant = {
        *("gateway", "config", "dialplan", "tests", "docs", "bench", "deploy"),
        *("state", "dist", "build"),
        *("docker-compose.yml", "pyproject.toml", "README.md", "Makefile", "LICENSE"),
        *("CHANGELOG.md", "SECURITY.md", "requirements.lock", "requirements-dev.lock"),
    }
    assert {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} <= meant
