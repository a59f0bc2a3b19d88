"""What root makes in the state folder belongs to the gateway's user; nothing else is given away."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway import ownership
from gateway.attempts.database import mark_of
from gateway.attempts.ingest import main as ingest
from gateway.attempts.journal import Journal
from gateway.attempts.store import AttemptStore
from gateway.cli import main
from gateway.entries import EntryStore
from tests.support.attempts import make_attempt
from tests.support.closed import NOBODY, AsRoot

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> AsRoot:
    root = AsRoot()
    monkeypatch.setattr(ownership, "os", root)
    return root


@pytest.mark.parametrize("store", [EntryStore, AttemptStore])
def test_a_database_that_root_makes_is_given_away(
    root: AsRoot, tmp_path: Path, store: Callable[[Path], Any]
) -> None:
    store(tmp_path / "some.db").close()
    assert root.given == [("some.db", tmp_path.stat().st_uid)]


def test_folders_that_root_makes_are_given_away(root: AsRoot, tmp_path: Path) -> None:
    ownership.make_directory(tmp_path / "a/b")
    ownership.make_directory(tmp_path / "a/b")
    assert [name for name, _ in root.given] == ["a", "b"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_a_file_with_another_name_elsewhere_is_not_given_away(root: AsRoot, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    os.link(tmp_path / "precious", tmp_path / "entries.db")
    ownership.make_private(tmp_path / "entries.db")
    assert root.given == []


def test_a_link_is_not_followed(root: AsRoot, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    (tmp_path / "entries.db").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        ownership.make_private(tmp_path / "entries.db")
    assert root.given == []


def test_what_is_in_the_way_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(FileExistsError):
        ownership.make_directory(tmp_path / "state")


@pytest.fixture
def state() -> Iterator[Path]:
    """The state folder of another user, with a gateway's settings beside it."""
    with tempfile.TemporaryDirectory(prefix="cg") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "callgate.yaml").write_text("state: state\n")
        (folder / "policy.yaml").write_text(
            "numbering: {region: FR}\nlists: {blacklist: {action: block}}\n"
        )
        (folder / "numbers.txt").write_text("+33162001122\n")
        (folder / "state").mkdir(mode=0o700)
        os.chown(folder / "state", NOBODY, NOBODY)
        yield folder / "state"


def owners(state: Path) -> dict[str, int]:
    return {str(path.relative_to(state)): path.lstat().st_uid for path in state.rglob("*")}


@as_root
@pytest.mark.parametrize(
    "command",
    [
        "add +33162",
        "import NUMBERS",
        "token create ops",
        "erase +33162001122",
        "undo 1",
        "attempts",
        "list",
    ],
)
def test_what_a_command_of_root_makes_is_of_the_gateways_user(state: Path, command: str) -> None:
    words = command.replace("NUMBERS", str(state.parent / "numbers.txt")).split()
    CliRunner().invoke(main, ["--config", str(state.parent / "callgate.yaml"), *words])
    assert set(owners(state).values()) <= {NOBODY}, owners(state)


@as_root
def test_what_a_store_keeps_beside_it_while_it_is_open_is_of_the_gateways_user(state: Path) -> None:
    with closing(EntryStore(state / "entries.db")) as store, closing(AttemptStore(state / "a.db")):
        assert store.rev == 0
        found = owners(state)
    assert {"entries.db-wal", "entries.db-shm", "a.db-wal"} <= found.keys()
    assert set(found.values()) == {NOBODY}


@as_root
def test_a_store_of_root_is_given_back_when_root_opens_it(state: Path) -> None:
    (state / "entries.db").touch(0o600)
    EntryStore(state / "entries.db").close()
    assert owners(state) == {"entries.db": NOBODY}


@as_root
@pytest.mark.parametrize("how", ["--once", "--rebuild"])
def test_a_store_that_root_makes_again_is_of_the_gateways_user(
    state: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.logs.setup", lambda *_, **__: None)
    journal = Journal(state / "journal")
    journal.append(make_attempt("1", caller="+33612345678"))
    journal.close()
    for path in state.rglob("*"):
        os.chown(path, NOBODY, NOBODY)
    assert ingest([str(state), how]) == 0
    found = owners(state)
    assert {"attempts.db", "ingest.lock", "journal/archive"} <= found.keys()
    assert set(found.values()) == {NOBODY}
    assert os.geteuid() == 0


@as_root
def test_the_mark_of_a_reader_is_of_the_gateways_user(state: Path) -> None:
    ownership.make_private(mark_of(state / "attempts.db"))
    assert owners(state) == {"attempts.db.suspect": NOBODY}
