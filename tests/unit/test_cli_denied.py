"""Commands in a state folder of somebody else: no trace, and as whom to try again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.control import AS_WHOM
from tests.support.closed import closed_to_us

POLICY = "numbering: {region: FR}\nlists: {blacklist: {action: block, prefixes: ['+33162']}}\n"
COMMANDS = [
    "check +33162",
    "explain +33162",
    "lint",
    "reload",
    "status",
    "metrics",
    "add +33163",
    "edit +33163 --reason x",
    "remove +33163",
    "undo",
    "undo 1",
    "list",
    "export",
    "import FOLDER/numbers.txt",
    "import FOLDER/numbers.txt --dry-run",
    "attempts",
    "attempts --json",
    "attempts --id x",
    "erase +33162001122",
    "erase +33162001122 --dry-run",
    "replay --policy FOLDER/policy.yaml",
    "scrub FOLDER/numbers.txt",
    "token create ops",
    "token list",
    "token revoke ops",
    "dialplan --emergency",
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Settings and policy that everybody may read, and a state folder."""
    with tempfile.TemporaryDirectory(prefix="cg") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "callgate.yaml").write_text("state: state\n")
        (folder / "policy.yaml").write_text(POLICY)
        (folder / "numbers.txt").write_text("+33162001122\n")
        (folder / "state").mkdir(mode=0o700)
        for path in folder.glob("*.*"):
            path.chmod(0o644)
        yield folder


def run(folder: Path, command: str) -> Result:
    words = command.replace("FOLDER", str(folder)).split()
    return CliRunner().invoke(main, ["--config", str(folder / "callgate.yaml"), *words])


@pytest.mark.parametrize("command", COMMANDS)
def test_who_may_not_read_the_state_is_told_who_may(folder: Path, command: str) -> None:
    run(folder, command)
    with closed_to_us(folder / "state"):
        result = run(folder, command)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2)
    assert result.stderr.endswith(f": Permission denied; {AS_WHOM}\n")
    assert result.stderr.count(AS_WHOM) == 1


def test_who_may_not_follow_is_told_who_may(folder: Path) -> None:
    run(folder, "attempts --prefix +33")
    with closed_to_us(folder / "state"):
        result = run(folder, "attempts --prefix +33 --follow")
    assert result.exit_code == 1
    assert result.stderr.endswith(f"attempts.db: Permission denied; {AS_WHOM}\n")


def test_a_state_folder_that_cannot_be_made_is_an_error(folder: Path) -> None:
    (folder / "callgate.yaml").write_text("state: /proc/callgate/state\n")
    result = run(folder, "add +33163")
    assert result.exit_code == 1
    assert result.stderr == "error: /proc/callgate/state: No such file or directory\n"
