"""Room for open files: raised as far as it goes, and said when it is not enough."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.app.limits import SPARE, needed_files
from gateway.settings import Settings

SCRIPT = """
import logging, resource, sys
from gateway.app.limits import allow_files
logging.basicConfig(format="%(message)s")
soft, hard, needed = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
enough = allow_files(needed)
print(enough, *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limited(soft: int, hard: int, needed: int) -> tuple[str, str]:
    """What a process of its own with these limits prints and logs."""
    command = [sys.executable, "-c", SCRIPT, *map(str, (soft, hard, needed))]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr


def test_the_soft_limit_is_raised_to_what_is_needed() -> None:
    assert limited(64, 900, 700) == ("True 700 900", "")


def test_a_limit_that_is_high_enough_is_left_alone() -> None:
    assert limited(800, 900, 700) == ("True 800 900", "")


def test_a_hard_limit_in_the_way_is_taken_and_said() -> None:
    printed, said = limited(64, 300, 700)
    assert printed == "False 300 300"
    assert "at most 300 files may be open, the connections may need 700" in said


@pytest.mark.parametrize(
    ("listeners", "connections"),
    [
        ("agi: {max_connections: 300}\nesl: {max_connections: 40}\n", 340),
        ("agi: {max_connections: 300, listen: off}\nesl: {max_connections: 40}\n", 40),
    ],
)
def test_every_listener_that_is_on_needs_its_connections(
    tmp_path: Path, listeners: str, connections: int
) -> None:
    (tmp_path / "callgate.yaml").write_text(listeners)
    assert needed_files(Settings.load(tmp_path / "callgate.yaml", {})) == connections + SPARE
