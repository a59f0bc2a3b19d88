"""Erasing a number: what holds it loses it, what counts stays, whoever dies on the way."""

from __future__ import annotations

import gzip
import importlib
import os
import stat
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.attempts import erasing
from gateway.attempts.archive import archive_path, archived_segments
from gateway.attempts.erasing import Erasing, carry_out, count
from gateway.attempts.journal import Journal
from gateway.attempts.model import Attempt, Delivery
from gateway.attempts.move import Mover, rebuild
from gateway.attempts.orders import erasures, orders, place
from gateway.attempts.segments import live_segments
from gateway.attempts.store import AttemptStore
from gateway.errors import StoreError
from tests.support.attempts import NOON, make_attempt
from tests.support.erasure import MINE, SPELLED, bare


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def everything(state: Path) -> dict[str, bytes]:
    """Every byte below a folder, packed ones unpacked, by the name of the file."""
    found = {}
    for path in state.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found[str(path.relative_to(state))] = (
                gzip.decompress(data) if path.suffix == ".gz" else data
            )
    return found


def remains(state: Path) -> list[str]:
    """Files in which digits of the number stand."""
    return [name for name, data in everything(state).items() if b"612345678" in data]


def filled(state: Path) -> int:
    """A journal with the number in it in many ways, and its store; how many lines have it."""
    journal = Journal(state / "journal", segment_bytes=8_000)
    lines = 0
    for n in range(120):
        at = NOON + n
        attempt = make_attempt(journal.next_id(at), at)
        if n % 3 == 0:
            text = SPELLED[n % 11]
            facts = {"caller": text, "caller_e164": "+33612345678", "entry": "+33612345678"}
            attempt = Attempt(**(bare(attempt) | facts))
            lines += 1
        journal.append(attempt)
        journal.delivery(attempt.id, Delivery.SENT, at)
    journal.close()
    return lines


def ingested(state: Path) -> None:
    with closing(AttemptStore(state / "attempts.db")) as store:
        Mover(state / "journal", store).run()


def order(state: Path) -> None:
    place(state, MINE, at=NOON, who="pat", source="cli")


def facts(state: Path) -> dict[str, Any]:
    """What is counted: it must not change."""
    with closing(AttemptStore(state / "attempts.db", readonly=True)) as store:
        rolled: dict[int, int] = {}
        for item in store.rollups(0, NOON * 2):
            rolled[item.minute] = rolled.get(item.minute, 0) + item.count
        return {
            "ids": sorted((item.id, item.delivery, item.list) for item in store.query(limit=999)),
            "rolled": rolled,
        }


def test_the_number_is_nowhere_any_more_and_every_count_is_the_same(state: Path) -> None:
    lines = filled(state)
    ingested(state)
    before = facts(state)
    assert remains(state)
    order(state)
    assert carry_out(state, 0)
    assert not remains(state)
    assert facts(state) == before
    assert not list(orders(state))
    (done,) = erasures(state)
    assert (done.who, done.lines, done.attempts) == ("pat", lines, lines)
    assert done.rollups > 0
    assert not done.unreadable


def test_a_store_made_again_from_the_journal_does_not_have_it(state: Path) -> None:
    filled(state)
    ingested(state)
    before = facts(state)
    order(state)
    assert carry_out(state, 0)
    with closing(AttemptStore(state / "attempts.db")) as store:
        rebuild(store, state / "journal")
    assert facts(state) == before
    assert not remains(state)


def test_rows_that_were_deleted_before_leave_no_bytes_behind(state: Path) -> None:
    filled(state)
    ingested(state)
    with closing(AttemptStore(state / "attempts.db")) as store:
        store.purge(NOON + 100)
    assert remains(state)
    order(state)
    assert carry_out(state, 0)
    assert not remains(state)


def test_archives_keep_their_mode_their_time_and_their_length(state: Path) -> None:
    filled(state)
    ingested(state)
    journal = state / "journal"
    paths = [archive_path(journal, name) for name in archived_segments(journal)]
    assert len(paths) > 3
    for path in paths:
        os.utime(path, (NOON, NOON))
    sizes = {path: len(gzip.decompress(path.read_bytes())) for path in paths}
    order(state)
    assert carry_out(state, 0)
    for path in paths:
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert found.st_mtime == NOON
        assert len(gzip.decompress(path.read_bytes())) == sizes[path]
    assert not list((journal / "archive").glob(".*"))


def test_what_is_written_of_an_erasure_is_private_and_does_not_name_the_number(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(state)
    order(state)
    (path,) = (state / "erase").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    caplog.set_level("DEBUG")
    assert carry_out(state, 0)
    assert stat.S_IMODE((state / "erasures.jsonl").stat().st_mode) == 0o600
    assert not MINE.stands_in(caplog.text)


INTERRUPTIONS = (
    ("gateway.attempts.expunge", "os.replace"),
    ("gateway.attempts.expunge", "os.fsync"),
    ("gateway.attempts.expunge", "sync_directory"),
    ("gateway.attempts.expunge", "StoreExpunger.change"),
    ("gateway.attempts.expunge", "StoreExpunger.merge_counts"),
    ("gateway.attempts.expunge", "StoreExpunger.vacuum"),
    ("gateway.attempts.expunge", "StoreExpunger.cut_wal"),
    ("gateway.attempts.erasing", "conclude"),
)


@pytest.mark.parametrize(("module", "name"), INTERRUPTIONS)
def test_an_erasure_that_was_cut_off_anywhere_ends_the_same_when_it_is_begun_anew(
    state: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    filled(state)
    ingested(state)
    before = facts(state)
    order(state)
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.{name}", _dying(module, name))
        with suppress(_Killed):
            carry_out(state, 0)
    assert list(orders(state))
    assert carry_out(state, 0)
    assert not remains(state)
    assert facts(state) == before
    assert len(erasures(state)) == 1


class _Killed(BaseException):
    pass


def _dying(module: str, name: str) -> Callable[..., Any]:
    """What does its work at most once, and then dies."""
    target: Any = importlib.import_module(module)
    for part in name.split("."):
        target = getattr(target, part)
    calls = [0]

    def dying(*arguments: Any, **rest: Any) -> Any:
        calls[0] += 1
        if calls[0] > once:
            raise _Killed
        return target(*arguments, **rest)

    once = name.startswith(("os.", "sync"))
    return dying


def test_a_segment_that_is_still_written_is_waited_for(state: Path) -> None:
    journal = Journal(state / "journal")
    journal.append(make_attempt("a", caller="+33612345678", caller_e164="+33612345678"))
    order(state)
    assert not carry_out(state, 0)
    assert list(orders(state))
    assert remains(state)
    journal.rotate()
    journal.append(make_attempt("b"))
    assert carry_out(state, 0)
    assert len(live_segments(state / "journal")) == 1
    assert not remains(state)
    journal.close()


def test_a_reader_that_holds_the_wal_is_waited_for(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.attempts.expunge.BUSY_SECONDS", 0.05)
    filled(state)
    ingested(state)
    order(state)
    with closing(AttemptStore(state / "attempts.db", readonly=True)) as reader:
        walk = reader._db.execute("SELECT * FROM attempts")
        walk.fetchone()
        assert not carry_out(state, 0)
        assert list(orders(state))
        walk.close()
    assert carry_out(state, 0)
    assert not remains(state)


def test_an_archive_that_cannot_be_read_is_named(state: Path) -> None:
    filled(state)
    ingested(state)
    journal = state / "journal"
    name = archived_segments(journal)[1]
    path = archive_path(journal, name)
    path.write_bytes(path.read_bytes()[:-9])
    order(state)
    assert carry_out(state, 0)
    (done,) = erasures(state)
    assert done.unreadable == [name]
    assert count(state, MINE).unreadable == [name]


def test_a_store_that_was_set_aside_is_named(state: Path) -> None:
    filled(state)
    (state / "attempts.db.corrupt-20261122T000000Z").write_bytes(b"+33612345678")
    order(state)
    assert carry_out(state, 0)
    assert erasures(state)[0].aside == ["attempts.db.corrupt-20261122T000000Z"]


def test_counting_finds_what_erasing_would_and_writes_nothing(state: Path) -> None:
    lines = filled(state)
    ingested(state)
    journal = Journal(state / "journal")
    journal.append(make_attempt("z", caller="+33612345678", caller_e164="+33612345678"))
    before = everything(state)
    found = count(state, MINE)
    assert (found.lines, found.attempts) == (lines + 1, lines)
    after = everything(state)
    assert {name: data for name, data in after.items() if "attempts.db" not in name} == {
        name: data for name, data in before.items() if "attempts.db" not in name
    }
    assert after["attempts.db"] == before["attempts.db"]
    journal.close()


def test_nobody_else_may_move_the_journal_meanwhile(state: Path) -> None:
    filled(state)
    order(state)
    with erasing._locked(state, 0), pytest.raises(StoreError, match="another process"):
        carry_out(state, 0)
    assert carry_out(state, 0)


def test_a_vacuum_that_is_asked_to_stop_is_done_again(state: Path) -> None:
    filled(state)
    ingested(state)
    order(state)
    work = Erasing(state)
    answers = iter([True] * 3)
    for _ in range(200):
        work.step(lambda: next(answers, False))
        if not list(orders(state)):
            break
    assert not remains(state)
