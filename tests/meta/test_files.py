"""Files stay short enough to read in one sitting, and each says what its rule is."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 320
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_source_files_are_short() -> None:
    long = [path for path in SOURCES if len(path.read_text().splitlines()) > LIMIT]
    assert names(long) == []


def test_every_file_opens_with_its_rule() -> None:
    without = [path for path in SOURCES + TESTS if not _has_docstring(path)]
    assert names(without) == []


def _has_docstring(path: Path) -> bool:
    text = path.read_text()
    if not text.strip() and path.name == "__init__.py":
        return True
    return bool(ast.get_docstring(ast.parse(text)))


def test_nothing_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")
    marked = [path for path in SOURCES + TESTS if any(mark in path.read_text() for mark in marks)]
    assert names(marked) == []


def test_the_top_level_is_what_it_was_meant_to_be() -> None:
    """Beside these, what git ignores: state, builds, and what begins with a dot."""
    meant = {
        *("gateway", "config", "dialplan", "tests", "docs", "bench", "deploy"),
        *("state", "dist", "build"),
        *("docker-compose.yml", "pyproject.toml", "README.md", "Makefile", "LICENSE"),
        *("CHANGELOG.md", "SECURITY.md", "requirements.lock", "requirements-dev.lock"),
    }
    assert {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} <= meant
