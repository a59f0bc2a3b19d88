"""Names are made durable in one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.files import sync_directory

PACKAGE = Path(__file__).parents[2] / "gateway"


def test_a_directory_is_synced_and_a_file_is_not(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(OSError, match=path.name):
            sync_directory(path)


def test_there_is_one_way_to_sync_a_directory() -> None:
    found = [path.name for path in PACKAGE.rglob("*.py") if "O_DIRECTORY" in path.read_text()]
    assert found == ["files.py"]
