"""setup.sh: complete or not there, and an honest no where it cannot work."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.asterisk.pbx import SETUP, UNAVAILABLE, Programs, Unavailable, set_up


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SETUP)], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_a_second_run_finds_what_the_first_made(programs: Programs) -> None:
    before = (programs.root / "version").stat()
    assert set_up(programs.root.name.partition("-")[2]).root == programs.root
    assert (programs.root / "version").stat() == before


def test_what_it_made_says_what_it_is(programs: Programs) -> None:
    assert (programs.root / "version").read_text().startswith("Asterisk ")


def test_without_a_debian_mirror_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "apt.conf"
    config.write_text('Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "/dev/null";')
    done = run(APT_CONFIG=str(config), CALLGATE_ASTERISK_DIR=str(tmp_path / "asterisk"))
    assert done.returncode == UNAVAILABLE
    assert "no Debian mirror" in done.stderr
    assert not (tmp_path / "asterisk").exists()


def test_without_apt_it_says_so(tmp_path: Path) -> None:
    for tool in ("sh", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    done = run(PATH=str(tmp_path), CALLGATE_ASTERISK_DIR=str(tmp_path / "asterisk"))
    assert done.returncode == UNAVAILABLE
    assert "no apt-get" in done.stderr


def test_a_machine_that_cannot_have_it_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("sh", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="no apt-get"):
        set_up()
