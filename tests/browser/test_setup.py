"""setup.sh: complete or not there, and an honest no where it cannot work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.browser.chromium import SETUP, UNAVAILABLE, Unavailable, set_up

NONE_ON_PATH = ("sh", "dirname", "cat", "sed", "sort", "mkdir", "flock", "sha256sum", "cut")


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SETUP)], env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with neither a browser nor apt."""
    path = tmp_path / "bin"
    path.mkdir()
    for tool in NONE_ON_PATH:
        (path / tool).symlink_to(shutil.which(tool) or "")
    return path


def browser(path: Path, version: str) -> Path:
    """A program that says it is this."""
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)
    return path


def test_a_second_run_finds_the_same(chromium: Path) -> None:
    before = chromium.stat()
    assert set_up() == chromium
    assert chromium.stat() == before


def test_the_one_that_is_named_is_taken_whatever_it_is(tmp_path: Path) -> None:
    named = browser(tmp_path / "mine", "Mine 1.0")
    assert run(CALLGATE_CHROMIUM=str(named)).stdout.strip() == str(named)


def test_a_named_one_that_is_not_there_is_no_reason_to_skip(tmp_path: Path) -> None:
    done = run(CALLGATE_CHROMIUM=str(tmp_path / "none"))
    assert done.returncode not in (0, UNAVAILABLE)
    assert "is no program" in done.stderr


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
@pytest.mark.parametrize(
    "version", ["Chromium 156.0.8078.79 built on Debian", "Google Chrome 123.0.1"]
)
def test_one_on_the_path_is_taken(bare: Path, name: str, version: str) -> None:
    found = browser(bare / name, version)
    assert run(PATH=str(bare), CALLGATE_CHROMIUM="").stdout.strip() == str(found)


@pytest.mark.parametrize("version", ["Chromium 122.0.1", "Chromium 156.0.1 snap", "", "chromium"])
def test_one_that_is_too_old_or_a_snap_is_passed_over(
    bare: Path, tmp_path: Path, version: str
) -> None:
    browser(bare / "chromium", version)
    own = str(tmp_path / "own")
    done = run(PATH=str(bare), CALLGATE_CHROMIUM="", CALLGATE_CHROMIUM_DIR=own)
    assert done.returncode == UNAVAILABLE
    assert "no apt-get" in done.stderr


def test_without_a_debian_mirror_it_says_so_and_makes_nothing(bare: Path, tmp_path: Path) -> None:
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        browser(bare / tool, "")
    own = tmp_path / "own"
    done = run(PATH=str(bare), CALLGATE_CHROMIUM="", CALLGATE_CHROMIUM_DIR=str(own))
    assert done.returncode == UNAVAILABLE
    assert re.search("no Debian mirror|debian-archive-keyring", done.stderr)
    assert not own.exists()


def test_a_machine_that_cannot_have_one_is_told_apart(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(bare))
    monkeypatch.delenv("CALLGATE_CHROMIUM", raising=False)
    monkeypatch.setenv("CALLGATE_CHROMIUM_DIR", str(tmp_path / "own"))
    with pytest.raises(Unavailable, match="no apt-get"):
        set_up()
