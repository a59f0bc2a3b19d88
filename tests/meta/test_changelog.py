"""The changelog keeps its form, and knows the version that the project has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CHANGELOG.md").read_text()
RELEASES = re.findall(r"^## \[(.+?)\](.*)$", TEXT, re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return str(project["project"]["version"])


def test_what_is_not_released_comes_first() -> None:
    assert RELEASES[0] == ("Unreleased", "")


def test_a_release_has_a_version_and_a_date() -> None:
    for name, rest in RELEASES[1:]:
        assert re.fullmatch(r"\d+\.\d+\.\d+", name)
        assert re.fullmatch(r" - \d{4}-\d{2}-\d{2}", rest)


def test_releases_stand_newest_first() -> None:
    versions = [tuple(map(int, name.split("."))) for name, _ in RELEASES[1:]]
    assert versions == sorted(versions, reverse=True)


def test_the_newest_release_is_not_ahead_of_the_project() -> None:
    released = [name for name, _ in RELEASES[1:]]
    assert not released or released[0] == version()


def test_every_section_has_a_known_kind_and_something_in_it() -> None:
    sections = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]
    assert sections
    for section in sections:
        kind, _, body = section.partition("\n")
        assert kind in KINDS
        assert re.search(r"^- \S", body, re.MULTILINE)
