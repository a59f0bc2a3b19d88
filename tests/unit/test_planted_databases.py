"""A link that somebody planted where a database of ours is to be: nothing is written through it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.attempts.store import AttemptStore
from gateway.entries.database import open_database
from gateway.errors import StoreError


@pytest.mark.parametrize("made", [AttemptStore, open_database], ids=["attempts", "entries"])
def test_no_database_is_made_behind_a_planted_link(
    tmp_path: Path, made: Callable[[Path], object]
) -> None:
    foreign = tmp_path / "foreign"
    foreign.touch()
    planted = tmp_path / "own.db"
    planted.symlink_to(foreign)
    with pytest.raises(StoreError, match="symbolic links"):
        made(planted)
    assert foreign.stat().st_size == 0
    planted.unlink()
    made(planted).close()  # type: ignore[attr-defined]
    assert planted.stat().st_mode & 0o777 == 0o600
