"""Group commit where no thread can be started: a sync fails at once, and nobody waits for it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.attempts import sync
from gateway.attempts.journal import Journal
from tests.support.attempts import append_many, segments

NEVER = 60.0
"""Seconds that an answer would wait: one that does not is not late."""


@pytest.fixture
def none_can_start(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No thread can be started until this is undone."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(sync, "MAX_WAIT", NEVER)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    return monkeypatch


def opened() -> list[str]:
    """What this process has open."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            found.append(str(each.readlink()))
    return found


async def test_an_answer_does_not_wait_for_a_thread_that_cannot_be_started(
    tmp_path: Path, none_can_start: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, durability="disk")
    append_many(journal, 1)
    first = journal.failed_syncs
    assert first == 1, "the name of the new segment could not be synced"
    for answers in (1, 2, 3):
        append_many(journal, 1)
        await journal.synced()
        assert (journal.failed_syncs - first, journal.late_syncs) == (answers, 0)
    none_can_start.undo()
    none_can_start.setattr(sync, "MAX_WAIT", NEVER)
    synced: list[int] = []
    none_can_start.setattr(os, "fdatasync", synced.append)
    append_many(journal, 1)
    await journal.synced()
    assert (journal.failed_syncs - first, journal.late_syncs) == (3, 0)
    assert len(synced) == 1, "what could not be synced is not synced again and again"
    journal.close()


@pytest.mark.usefixtures("none_can_start")
def test_a_segment_that_cannot_be_synced_is_closed_all_the_same(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=1, durability="disk")
    append_many(journal, 20)
    assert len(segments(tmp_path)) == 20
    assert not [target for target in opened() if target.startswith(str(tmp_path))]
    assert journal.failed_syncs == 40, "each name and each segment"
    journal.close()
