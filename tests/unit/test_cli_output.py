"""What a terminal shows is never cut; what cannot be written is said in one line."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.attempts.store import AttemptStore
from gateway.cli.output import _lines
from tests.unit.test_cli_attempts import attempt

ROOT = Path(__file__).parents[2]
LONG = {
    "caller_e164": "+331620000000012",
    "callee_e164": "+331400000000034",
    "list": "a-list-with-a-rather-long-name",
    "entry": "+33163999",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "callgate.yaml").write_text("state: state\n")
    (tmp_path / "policy.yaml").write_text("numbering: {region: FR}\n")
    (tmp_path / "state").mkdir()
    store = AttemptStore(tmp_path / "state/attempts.db")
    store.add([attempt(1, **LONG), attempt(2, **LONG, trunk="main", reason="config")], [])
    store.close()
    return tmp_path / "callgate.yaml"


def command(config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway", "--config", str(config), *arguments]


def on_terminal(columns: int, *asked: str) -> str:
    """What a command shows on a terminal of a width."""
    shown, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "xterm"}
    with subprocess.Popen(asked, cwd=ROOT, env=environment, stdout=terminal) as process:
        os.close(terminal)
        data = b""
        try:
            while part := os.read(shown, 65536):
                data += part
        except OSError:  # Linux: the other side is closed
            pass
        os.close(shown)
    assert process.returncode == 0
    return data.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [20, 40, 80, 110, 140, 200])
def test_numbers_are_whole_on_a_terminal_of_any_width(config: Path, columns: int) -> None:
    shown = on_terminal(columns, *command(config, "attempts"))
    for number in (LONG["caller_e164"], LONG["callee_e164"], LONG["entry"]):
        assert shown.count(number) == 2, shown
    longest = max(map(len, shown.splitlines()))
    assert longest <= max(columns, len(LONG["list"]) + 5)


def test_a_wide_terminal_has_a_table_and_a_narrow_one_a_block_for_each_attempt(
    config: Path,
) -> None:
    assert on_terminal(180, *command(config, "attempts")).startswith("time ")
    narrow = on_terminal(80, *command(config, "attempts")).splitlines()
    assert " block inbound +331620000000012 → +331400000000034" in narrow[0]
    assert narrow[1].startswith("    config: trunk main, list a-list-with-a-rather-long-name, ")


def test_other_tables_give_a_line_to_each_cell_where_they_do_not_fit(config: Path) -> None:
    adding = command(config, "add", "+33199004242", "--reason", "x" * 60)
    subprocess.run(adding, cwd=ROOT, check=True, capture_output=True)
    shown = on_terminal(60, *command(config, "list")).splitlines()
    assert shown[0] == "id       1"
    assert "entry    +33199004242" in shown
    assert f"reason   {'x' * 60}" in shown


def test_a_block_leaves_out_what_is_empty() -> None:
    assert _lines(("id", "reason"), ("1", "")) == "id      1\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("attempts",), ("attempts", "--json"), ("--help",)])
def test_an_output_that_cannot_be_written_is_one_line(
    config: Path, arguments: tuple[str, ...], unbuffered: str
) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command(config, *arguments),
            cwd=ROOT,
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == 1
    assert result.stderr == ("error: standard output cannot be written: No space left on device\n")


def test_a_reader_that_went_away_is_no_matter(config: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        command(config, "attempts"), cwd=ROOT, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert result.stderr == b""


def test_a_closed_output_is_no_fault(config: Path) -> None:
    asked = ["sh", "-c", 'exec "$@" >&-', "sh", *command(config, "attempts")]
    result = subprocess.run(asked, cwd=ROOT, stderr=subprocess.PIPE)
    assert (result.returncode, result.stderr) == (0, b"")
