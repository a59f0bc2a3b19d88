"""The store is looked at with fresh eyes: when it is opened, daily, and when a reader complains."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.attempts import check
from gateway.attempts.check import Check
from gateway.attempts.database import StoreCorrupt, mark_of
from gateway.attempts.store import AttemptStore
from tests.support.attempts import NOON, make_attempt

PAGE = 4096


def never() -> bool:
    return False


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that is closed, of many pages."""
    path = tmp_path / "attempts.db"
    store = AttemptStore(path)
    store.add([make_attempt(f"a-{n:05d}", NOON + n) for n in range(1500)], [])
    store.close()
    assert path.stat().st_size > 64 * PAGE
    return path


def damage(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(b"x" * PAGE)


def test_a_sound_store_is_looked_at_once(path: Path) -> None:
    look = Check(path)
    assert look.is_due
    look.run(never)
    assert not look.is_due


def test_a_day_later_it_is_looked_at_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PAUSE", 0.0)
    look = Check(path)
    look.run(never)
    assert look.is_due


def test_one_broken_page_among_many_is_found(path: Path) -> None:
    pages = path.stat().st_size // PAGE
    damage(path, pages - 3)
    with pytest.raises(StoreCorrupt, match=r"attempts\.db: .*[Pp]age|malformed"):
        Check(path).run(never)


def test_a_reader_that_meets_what_is_broken_has_it_looked_at(path: Path) -> None:
    look = Check(path)
    look.run(never)
    reader = AttemptStore(path, readonly=True)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StoreCorrupt):
        reader.query(limit=10**6)
    reader.close()
    assert look.is_due


def test_a_complaint_about_a_sound_store_is_forgotten(path: Path) -> None:
    look = Check(path)
    look.run(never)
    mark_of(path).touch()
    assert look.is_due
    look.run(never)
    assert not look.is_due


def test_a_look_that_is_stopped_says_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "STEPS", 1)
    damage(path, path.stat().st_size // PAGE - 3)
    Check(path).run(lambda: True)
