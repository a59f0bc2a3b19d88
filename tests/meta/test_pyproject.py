"""What the project claims about itself is what its files and its tests show."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLAIM = "Programming Language :: Python :: 3."
LOCKS = ("requirements.lock", "requirements-dev.lock")


def claimed() -> list[tuple[int, int]]:
    classifiers = PROJECT["project"]["classifiers"]
    return [(3, int(line.removeprefix(CLAIM))) for line in classifiers if line.startswith(CLAIM)]


def normal(requirement: str) -> str:
    """The name of a requirement as package indexes compare it (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def locked(lock: str) -> set[str]:
    lines = (ROOT / lock).read_text().splitlines()
    return {normal(line) for line in lines if re.match(r"[a-z0-9].*==", line)}


def test_the_python_that_runs_the_tests_is_one_that_is_claimed() -> None:
    assert sys.version_info[:2] in claimed()


def test_the_lowest_claimed_python_is_the_lowest_allowed_one() -> None:
    lowest = ".".join(map(str, min(claimed())))
    assert PROJECT["project"]["requires-python"] == f">={lowest}"
    assert PROJECT["tool"]["mypy"]["python_version"] == lowest
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + lowest.replace(".", "")


def test_the_command_exists() -> None:
    module, _, function = PROJECT["project"]["scripts"]["callgate"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_locked(lock: str) -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    wanted += extras["fast"] + extras["ami"] + (extras["dev"] if "dev" in lock else [])
    assert {normal(requirement) for requirement in wanted} <= locked(lock)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_names_no_host_and_hashes_everything(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    pins = re.findall(r"^[a-z0-9].*==.*$", text, re.MULTILINE)
    assert pins
    assert all(pin.endswith("\\") for pin in pins)


def test_both_lock_files_pin_the_same_versions() -> None:
    pins = [
        dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in LOCKS
    ]
    assert pins[0].items() <= pins[1].items()
