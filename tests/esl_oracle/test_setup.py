"""setup.sh: complete or not there, and it tells a machine that cannot from a build that failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.esl_oracle.oracle import FAILED, SETUP, UNAVAILABLE, Failed, Unavailable, set_up


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SETUP), sys.executable],
        env=os.environ | {"CALLGATE_PYTHON_ESL_DIR": str(folder / "esl")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_second_run_finds_what_the_first_made(site: Path) -> None:
    before = (site / "recipe").stat()
    assert set_up() == site
    assert (site / "recipe").stat() == before


def test_without_a_compiler_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, CXX=str(tmp_path / "c++"))
    assert done.returncode == UNAVAILABLE
    assert "there is no compiler here" in done.stderr
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_without_a_package_index_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert done.returncode == FAILED
    assert "could not install from" in done.stderr
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(("status", "kind"), [(UNAVAILABLE, Unavailable), (FAILED, Failed)])
def test_the_two_reasons_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[Unavailable]
) -> None:
    script = tmp_path / "setup.sh"
    script.write_text(f"#!/bin/sh\necho 'first' >&2\necho 'the reason' >&2\nexit {status}\n")
    script.chmod(0o755)
    monkeypatch.setattr("tests.esl_oracle.oracle.SETUP", script)
    with pytest.raises(Unavailable, match="the reason") as raised:
        set_up()
    assert type(raised.value) is kind
