"""``make`` on a machine that lacks something says what is missing and how to get it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("python", "python3", *(f"python3.{minor}" for minor in range(11, 15)))


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder that comes first on PATH, where every Python is older than this project wants."""
    for name in NAMES:
        fake(tmp_path / name, "exit 1")
    return tmp_path


def fake(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def make(machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make outside of any make that runs this test: its flags would leak in."""
    environment = {"PATH": f"{machine}:{os.environ['PATH']}", "HOME": str(machine)}
    return subprocess.run(
        ["make", "-C", str(ROOT), f"VENV={machine / 'venv'}", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_without_a_new_enough_python_it_says_so(machine: Path) -> None:
    result = make(machine, "run")
    assert result.returncode != 0
    assert "Callgate needs Python 3.11 or newer, and none was found." in result.stderr


def test_the_missing_system_package_is_named(machine: Path) -> None:
    fake(machine / "python3", 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac')
    result = make(machine, "run")
    assert result.returncode != 0
    assert "sudo apt install python3-venv" in result.stderr
    assert not (machine / "venv").exists()


@pytest.mark.parametrize("wrong", ["/nowhere/python3", "python3.12"])
def test_a_python_that_was_asked_for_is_not_replaced_by_another(machine: Path, wrong: str) -> None:
    fake(machine / "python3", f'exec {sys.executable} "$@"')
    result = make(machine, f"PYTHON={wrong}", str(machine / "venv/bin/python"))
    assert result.returncode != 0
    assert f"PYTHON={wrong} is no Python 3.11 or newer." in result.stderr
    assert not (machine / "venv").exists()


def test_a_python_that_cannot_make_environments_is_passed_over(machine: Path) -> None:
    fake(machine / "python3", 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac')
    fake(machine / "python3.12", f'exec {sys.executable} "$@"')
    result = make(machine, str(machine / "venv/bin/python"))
    assert result.returncode == 0, result.stderr
    assert (machine / "venv/bin/python").exists()


def test_help_lists_every_target_that_people_use(machine: Path) -> None:
    listed = make(machine, "help").stdout
    for target in ("run", "test", "check", "lock", "clean"):
        assert f"make {target} " in listed
    lines = [line for line in listed.splitlines() if line.startswith("make ")]
    column = lines[0].index("list the targets")
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in lines)
