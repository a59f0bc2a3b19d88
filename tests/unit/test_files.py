"""Names are made durable in one place, and no path is trusted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.app.state import load_emergencies, owned, save_emergencies
from gateway.errors import ConfigError
from gateway.files import MOST, Unreadable, open_own, read_file, sync_directory
from gateway.policy.loader import load
from gateway.policy.stamps import stamp, stamps_of
from gateway.settings import Settings

PACKAGE = Path(__file__).parents[2] / "gateway"


def test_a_directory_is_synced_and_a_file_is_not(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(OSError, match=path.name):
            sync_directory(path)


def test_there_is_one_way_to_sync_a_directory() -> None:
    texts = [(path.name, path.read_text()) for path in PACKAGE.rglob("*.py")]
    found = [name for name, text in texts if "O_DIRECTORY" in text and "sync(" in text]
    assert found == ["files.py"]


def fifo(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return str(folder / "pipe")


def sparse(folder: Path) -> str:
    with (folder / "sparse").open("wb") as file:
        file.truncate(3 * 2**30)
    return str(folder / "sparse")


def zero(_: Path) -> str:
    return "/dev/zero"


def kmsg(_: Path) -> str:
    """It says that it is a file, is empty, and never ends."""
    return "/proc/kmsg"


SPECIAL = pytest.mark.parametrize("special", [fifo, sparse, zero, kmsg])


@SPECIAL
def test_a_special_file_as_settings_is_a_fault(
    tmp_path: Path, special: Callable[[Path], str]
) -> None:
    path = Path(special(tmp_path))
    if special is kmsg:
        assert len(read_or_nothing(path)) == 0
        return
    with pytest.raises(ConfigError, match=r"is not a file|has more than"):
        Settings.load(path, {})


def read_or_nothing(path: Path) -> bytes:
    try:
        return read_file(path)
    except Unreadable:
        return b""


@SPECIAL
def test_a_special_file_as_secret_is_a_fault(
    tmp_path: Path, special: Callable[[Path], str]
) -> None:
    text = f"agi: {{secret_file: {special(tmp_path)}}}".encode()
    with pytest.raises(ConfigError, match=r"agi\.secret_file: "):
        Settings.parse(text, tmp_path / "c.yaml", {})


@SPECIAL
def test_a_special_file_as_list_or_policy_is_a_fault(
    tmp_path: Path, special: Callable[[Path], str]
) -> None:
    path = special(tmp_path)
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"lists: {{a: {{action: block, files: ['{path}']}}}}\n")
    with pytest.raises(ConfigError):
        load(policy)
    assert [Path(item.path).name for item in stamps_of(policy)] == ["policy.yaml", Path(path).name]
    if special is not kmsg:
        assert stamp(path).sha256 == ""
        with pytest.raises(ConfigError, match=r"is not a file|has more than"):
            load(Path(path))
        assert len(stamps_of(Path(path))) == 1


def test_as_many_bytes_as_are_allowed_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_file(tmp_path / "file", 5) == b"12345"
    with pytest.raises(Unreadable, match="has more than 4 bytes"):
        read_file(tmp_path / "file", 4)
    with pytest.raises(Unreadable, match="is no path"):
        read_file("a\0b")
    assert MOST > 2**20


@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_a_link_planted_in_the_state_directory_destroys_nothing(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state = tmp_path / "state"
    state.mkdir()
    plant(victim, state / "emergencies.json.new")
    save_emergencies(state, {"carrier": 5.0})
    assert load_emergencies(state) == {"carrier": 5.0}
    plant(victim, state / "gateway.lock")
    with pytest.raises(ConfigError, match="cannot be used"), owned(state):
        pass
    assert victim.read_text() == "precious"


def test_a_private_file_of_another_user_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    os.close(open_own(tmp_path / "file", os.O_RDWR))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PermissionError, match="is not a file of ours"):
        open_own(tmp_path / "pipe", os.O_RDWR)
    if os.geteuid() == 0:
        os.chown(tmp_path / "file", 12345, -1)
        with pytest.raises(PermissionError, match="is not a file of ours"):
            open_own(tmp_path / "file", os.O_RDWR)
