"""Moving segments into the store: every good line once, whatever lies between them."""

from __future__ import annotations

import fcntl
import gzip
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.attempts import ingest, move
from gateway.attempts.archive import archived_segments
from gateway.attempts.ingest import Ingester, Status, ingest_once, main, read_status, rebuild
from gateway.attempts.journal import Journal
from gateway.attempts.lines import MAX_LINE, encode
from gateway.attempts.model import Attempt, Delivery
from gateway.attempts.move import Mover
from gateway.attempts.segments import create_segment
from gateway.attempts.store import AttemptStore
from gateway.errors import StoreError
from tests.support.attempts import NOON, append_many, make_attempt, segments


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def directory(state: Path) -> Path:
    path = state / "journal"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AttemptStore]:
    store = AttemptStore(tmp_path / "attempts.db")
    yield store
    store.close()


def ids(store: AttemptStore) -> list[str]:
    return sorted(attempt.id for attempt in store.query(limit=10_000))


def names(attempts: list[Attempt]) -> list[str]:
    return sorted(attempt.id for attempt in attempts)


def never() -> bool:
    return False


@pytest.mark.parametrize("before", [False, True], ids=["from the start", "later"])
def test_a_journal_that_is_no_directory_is_told_until_it_is_one(
    state: Path, directory: Path, *, before: bool
) -> None:
    journal = Journal(directory)
    append_many(journal, 3)
    journal.close()
    ingester = Ingester(state, None)
    if before:
        ingester.step(never)
    directory.rename(state / "aside")
    directory.write_text("in the way")
    ingester.step(never)
    ingester.tell(now=True)
    status = read_status(state)
    assert status
    assert "Not a directory" in status.error
    directory.unlink()
    (state / "aside").rename(directory)
    ingester.step(never)
    ingester.tell(now=True)
    status = read_status(state)
    assert status
    assert (status.error, status.attempts) == ("", 3)
    ingester.close()


def empty_archive(directory: Path) -> None:
    for path in (directory / "archive").iterdir():
        path.unlink()


class Writer:
    """A segment with a live writer, written byte by byte."""

    def __init__(self, directory: Path, name: str = "boot-0-1.jsonl") -> None:
        self.descriptor = create_segment(directory, name)

    def write(self, data: bytes) -> None:
        os.write(self.descriptor, data)

    def die(self) -> None:
        os.close(self.descriptor)


def test_lines_are_moved_while_their_writer_lives(directory: Path, store: AttemptStore) -> None:
    journal = Journal(directory)
    first = append_many(journal, 3)
    assert ingest_once(directory, store) == 3
    assert ingest_once(directory, store) == 0
    more = append_many(journal, 2)
    journal.delivery(first[0].id, Delivery.LOST, NOON)
    assert ingest_once(directory, store) == 2
    assert ids(store) == names(first + more)
    found = store.get(first[0].id)
    assert found is not None
    assert found.delivery == "lost"
    journal.close()


def test_a_journal_cut_at_any_byte_is_read_and_completed(
    directory: Path, store: AttemptStore
) -> None:
    lines = [encode(make_attempt(f"{n}", caller="é")) for n in range(3)]
    data = b"".join(lines)
    ends = [sum(map(len, lines[: n + 1])) for n in range(3)]
    for cut in range(len(data) + 1):
        store.clear()
        writer = Writer(directory, f"boot-0-{cut + 1}.jsonl")
        writer.write(data[:cut])
        mover = Mover(directory, store)
        assert mover.run().bad == 0
        assert store.count() == sum(end <= cut for end in ends)
        writer.write(data[cut:])
        mover.run()
        assert ids(store) == ["0", "1", "2"]
        writer.die()
        assert mover.run().archived == 1
        empty_archive(directory)


def test_a_dead_journal_cut_at_any_byte_gives_every_whole_line(
    directory: Path, store: AttemptStore
) -> None:
    lines = [encode(make_attempt(f"{n}")) for n in range(2)]
    data = b"".join(lines)
    for cut in range(len(data) + 1):
        store.clear()
        (directory / f"boot-0-{cut + 1}.jsonl").write_bytes(data[:cut])
        moved = Mover(directory, store).run()
        # A line that lacks nothing but its line break is whole.
        assert store.count() == (cut >= len(lines[0]) - 1) + (cut >= len(data) - 1)
        assert moved.lines == store.count() + moved.bad
        assert moved.bad <= 1
        assert not segments(directory)
        empty_archive(directory)


def test_a_bad_line_is_counted_and_stops_nothing(directory: Path, store: AttemptStore) -> None:
    good = [encode(make_attempt(f"{n}")) for n in range(3)]
    spoilt = good[0].replace(b"inbound", b"outbound")
    junk = [spoilt, b"\n", b"junk\n", b"\xff\x00\n", b'00000000 {"id":1}\n']
    data = good[0] + b"".join(junk) + good[1] + b"00000000" + b"\n" + good[2]
    (directory / "boot-0-1.jsonl").write_bytes(data)
    moved = Mover(directory, store).run()
    assert ids(store) == ["0", "1", "2"]
    assert moved.bad == 5
    assert store.progress()["boot-0-1.jsonl"].bad == 5


def test_a_hole_of_zeros_stops_nothing(directory: Path, store: AttemptStore) -> None:
    hole = bytes(3 * move.CHUNK + 17)
    data = encode(make_attempt("0")) + hole + b"\n" + encode(make_attempt("1"))
    writer = Writer(directory)
    writer.write(data)
    assert Mover(directory, store).run().bad
    assert ids(store) == ["0", "1"]
    writer.die()


def test_the_longest_line_is_moved(directory: Path, store: AttemptStore) -> None:
    name = "n" * (MAX_LINE - 500)
    writer = Writer(directory)
    writer.write(b"".join(encode(make_attempt(f"{n}", caller_name=name)) for n in range(5)))
    assert ingest_once(directory, store) == 5
    writer.die()


def test_a_segment_that_is_larger_than_a_transaction_is_moved_whole(
    directory: Path, store: AttemptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "CHUNK", 700)
    journal = Journal(directory)
    attempts = append_many(journal, 50)
    assert ingest_once(directory, store) == 50
    assert ids(store) == names(attempts)
    journal.close()


def test_a_finished_segment_is_archived_and_a_live_one_is_not(
    directory: Path, store: AttemptStore
) -> None:
    journal = Journal(directory, segment_bytes=1000)
    append_many(journal, 10)
    before = {path.name: path.read_bytes() for path in segments(directory)}
    live = segments(directory)[-1].name
    ingest_once(directory, store)
    assert [path.name for path in segments(directory)] == [live]
    archived = archived_segments(directory)
    assert sorted([*archived, live]) == sorted(before)
    for name in archived:
        packed = directory / "archive" / f"{name}.gz"
        assert gzip.decompress(packed.read_bytes()) == before[name]
        assert packed.stat().st_mode & 0o777 == 0o600
    assert (directory / "archive").stat().st_mode & 0o777 == 0o700
    journal.close()


def test_an_archive_that_fails_keeps_the_segment(directory: Path, store: AttemptStore) -> None:
    (directory / "archive").write_text("in the way")
    journal = Journal(directory)
    append_many(journal, 2)
    journal.close()
    mover = Mover(directory, store)
    moved = mover.run()
    assert (moved.attempts, moved.archived, moved.errors) == (2, 0, 1)
    assert mover.run().errors == 0  # not tried again at once
    assert len(segments(directory)) == 1
    (directory / "archive").unlink()
    assert Mover(directory, store).run().archived == 1


def test_a_store_is_made_again_from_archive_and_segments(
    directory: Path, store: AttemptStore
) -> None:
    journal = Journal(directory, segment_bytes=1000)
    attempts = append_many(journal, 10)
    journal.delivery(attempts[0].id, Delivery.SENT, NOON)
    ingest_once(directory, store)
    before = store.query(), store.rollups(0, 1e11)
    assert rebuild(store, directory) == 10
    assert (store.query(), store.rollups(0, 1e11)) == before
    journal.close()


def test_a_rebuild_that_was_cut_off_goes_on(
    directory: Path, store: AttemptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(directory)
    attempts = append_many(journal, 20)
    journal.close()
    ingest_once(directory, store)
    monkeypatch.setattr(move, "CHUNK", 700)
    store.clear()
    asked = iter([False] * 5 + [True] * 100)
    Mover(directory, store).run(lambda: next(asked))
    done = store.count()
    assert 0 < done < 20
    assert ingest_once(directory, store) == 20 - done
    assert ids(store) == names(attempts)


def test_a_broken_archive_stops_nothing(directory: Path, store: AttemptStore) -> None:
    (directory / "archive").mkdir()
    packed = gzip.compress(encode(make_attempt("0")) * 100)
    for number, data in enumerate([b"junk", packed[:-20], packed[:5]], 1):
        (directory / "archive" / f"boot-0-{number}.jsonl.gz").write_bytes(data)
    journal = Journal(directory)
    append_many(journal, 2)
    moved = Mover(directory, store).run()
    assert moved.errors == 3
    assert store.count() >= 2
    journal.close()


def test_the_archive_is_kept_as_long_as_attempts_are(directory: Path, store: AttemptStore) -> None:
    journal = Journal(directory)
    append_many(journal, 2)
    journal.close()
    mover = Mover(directory, store)
    mover.run()
    (name,) = archived_segments(directory)
    written = (directory / "archive" / f"{name}.gz").stat().st_mtime
    assert mover.purge_archive(written) == 0
    assert mover.purge_archive(written + 1) == 1
    assert archived_segments(directory) == []
    assert store.progress() == {}


def test_what_is_left_of_an_unborn_segment_is_swept(directory: Path, store: AttemptStore) -> None:
    old, fresh = directory / ".boot-0-1.jsonl.new", directory / ".boot-0-2.jsonl.new"
    old.touch()
    fresh.touch()
    os.utime(old, (NOON - 1e9, NOON - 1e9))
    ingest_once(directory, store)
    assert (old.exists(), fresh.exists()) == (False, True)


def test_the_backlog_is_what_is_not_in_the_store(directory: Path, store: AttemptStore) -> None:
    journal = Journal(directory)
    append_many(journal, 2)
    mover = Mover(directory, store)
    assert mover.backlog() == segments(directory)[0].stat().st_size
    mover.run()
    assert mover.backlog() == 0
    journal.close()


def test_a_locked_store_is_tried_again_and_loses_nothing(
    state: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.attempts.database.BUSY_SECONDS", 0.01)
    journal = Journal(directory)
    append_many(journal, 1)
    ingester = Ingester(state, None)
    ingester.step(never)
    other = sqlite3.connect(state / "attempts.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    append_many(journal, 2, NOON + 10)
    first, second = ingester.step(never), ingester.step(never)
    assert first < second
    assert "locked" in ingester.status.error
    other.execute("ROLLBACK")
    other.close()
    ingester.step(never)
    assert (ingester.status.error, ingester.status.attempts) == ("", 3)
    ingester.close()
    journal.close()


def test_a_journal_that_cannot_be_listed_is_tried_again(
    state: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> list[str]:
        raise PermissionError(13, "Permission denied")

    journal = Journal(directory)
    append_many(journal, 2)
    ingester = Ingester(state, None)
    with monkeypatch.context() as patch:
        patch.setattr(move, "live_segments", fail)
        ingester.step(never)
        assert "Permission denied" in ingester.status.error
        ingester.tell(now=True)
    ingester.step(never)
    assert (ingester.status.error, ingester.status.attempts) == ("", 2)
    ingester.close()
    journal.close()


def test_a_full_disk_is_tried_again_and_loses_nothing(state: Path, directory: Path) -> None:
    journal = Journal(directory)
    ingester = Ingester(state, None)
    ingester.step(never)
    db = ingester._store._db  # type: ignore[union-attr]
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    attempts = append_many(journal, 500)
    ingester.step(never)
    assert "full" in ingester.status.error
    db.execute("PRAGMA max_page_count = 1000000").fetchall()
    ingester.step(never)
    assert ingester.status.attempts == 500
    assert ids(ingester._store) == names(attempts)  # type: ignore[arg-type]
    ingester.close()
    journal.close()


class OnePass(ingest._Stop):
    """Stops after the first pass, and needs no signals."""

    def __init__(self) -> None:
        self._over = False

    def __call__(self) -> bool:
        return self._over

    def pause(self, seconds: float) -> None:
        del seconds
        self._over = True


def test_a_pass_that_takes_long_is_not_silent(
    state: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time flies by the minute, and a chunk is small: the status is written between them."""
    journal = Journal(directory, segment_bytes=10**6)
    append_many(journal, 50)
    journal.close()
    size = sum(path.stat().st_size for path in segments(directory))
    told: list[int] = []

    def noted(state: Path, status: Status) -> None:
        del state
        told.append(status.backlog)

    monkeypatch.setattr(move, "CHUNK", size // 10)
    monkeypatch.setattr(ingest, "STATUS_PAUSE", 0)
    monkeypatch.setattr(ingest, "HEARTBEAT", 0)
    monkeypatch.setattr(ingest, "write_status", noted)
    ingester = Ingester(state, None)
    ingest._serve(ingester, OnePass())
    ingester.close()
    during = [backlog for backlog in told if 0 < backlog < size]
    assert len(during) >= 5
    assert during == sorted(during, reverse=True)


@pytest.mark.parametrize("damage", ["no database", "broken pages", "removed", "replaced"])
def test_a_broken_store_is_set_aside_and_made_again(
    state: Path, directory: Path, damage: str
) -> None:
    journal = Journal(directory, segment_bytes=20_000)
    attempts = append_many(journal, 300)
    ingester = Ingester(state, None)
    ingester.step(never)
    path = state / "attempts.db"
    if damage == "removed":
        path.unlink()
    elif damage == "replaced":
        os.replace(path, state / "gone.db")
        path.write_bytes(b"nothing of ours\n" * 1000)
    else:
        ingester.close()
        size = path.stat().st_size
        path.write_bytes(
            b"x" * size
            if damage == "no database"
            else path.read_bytes()[:4096] + b"x" * (size - 4096)
        )
    attempts += append_many(journal, 3, NOON + 1000)
    for _ in range(3):
        ingester.step(never)
    reader = AttemptStore(path, readonly=True)
    assert ids(reader) == names(attempts)
    assert sum(rollup.count for rollup in reader.rollups(0, 1e11)) == 303
    reader.close()
    asides = [
        p for p in state.glob("attempts.db.corrupt-*") if not p.name.endswith(("-wal", "-shm"))
    ]
    assert len(asides) == ingester.status.corruptions == (damage != "removed")
    ingester.close()
    journal.close()


def test_what_is_older_than_keep_is_purged(state: Path, directory: Path) -> None:
    journal = Journal(directory)
    now = time.time()
    old = [make_attempt(journal.next_id(at), at) for at in (now - 1000, now - 900)]
    for attempt in [*old, make_attempt("new", now)]:
        journal.append(attempt)
    ingester = Ingester(state, 500.0)
    ingester.step(never)
    assert ingester.status.purged == 2
    assert ids(ingester._store) == ["new"]  # type: ignore[arg-type]
    ingester.close()
    journal.close()


class Process:
    """An ingester in a process of its own."""

    def __init__(self, state: Path, *options: str) -> None:
        command = [sys.executable, "-m", "gateway.attempts.ingest", str(state), *options]
        self.popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self) -> tuple[int, str]:
        out, err = self.popen.communicate(timeout=30)
        return self.popen.returncode, out + err


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def stored(state: Path) -> int:
    try:
        store = AttemptStore(state / "attempts.db", readonly=True)
    except StoreError:
        return 0
    try:
        return store.count()
    except StoreError:
        return 0
    finally:
        store.close()


def test_the_process_follows_the_journal_and_ends_with_a_last_pass(
    state: Path, directory: Path
) -> None:
    journal = Journal(directory)
    append_many(journal, 2)
    process = Process(state)
    wait_until(lambda: stored(state) == 2)
    append_many(journal, 2, NOON + 10)
    process.popen.send_signal(signal.SIGTERM)
    code, _ = process.finish()
    assert (code, stored(state)) == (0, 4)
    status = read_status(state)
    assert status is not None
    assert (status.attempts, status.backlog, status.error) == (4, 0, "")
    journal.close()


@pytest.mark.usefixtures("directory")
def test_a_second_ingester_says_who_is_in_its_way(state: Path) -> None:
    lock = os.open(state / "ingest.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    code, text = Process(state, "--wait", "0").finish()
    os.close(lock)
    assert code == 75
    assert "another ingester holds" in text


def test_the_ingester_dies_with_its_parent(state: Path, directory: Path) -> None:
    journal = Journal(directory)
    append_many(journal, 2)
    parent = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); "
    command = [sys.executable, "-m", "gateway.attempts.ingest", str(state)]
    wait = "sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", parent + wait, *command], stdin=subprocess.PIPE
    )
    wait_until(lambda: stored(state) == 2)
    process.kill()
    process.communicate()
    lock = os.open(state / "ingest.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)  # waits until the ingester has gone
    os.close(lock)
    journal.close()


def test_the_more_a_pass_moved_the_longer_it_waits_for_company(
    state: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "FULL_PASS", 20)
    journal = Journal(directory)
    ingester = Ingester(state, None)
    pauses = []
    for count in (1, 10, 100, 0):
        append_many(journal, count)
        pauses.append(ingester.step(never))
    ingester.close()
    journal.close()
    busy = ingest.BUSY_PAUSE
    assert pauses == pytest.approx([busy, 5 * busy, 10 * busy, ingest.IDLE_PAUSE])


def test_the_command_rebuilds_a_store(
    state: Path, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(directory)
    append_many(journal, 5)
    journal.close()
    for option in ("--once", "--rebuild"):
        code, text = Process(state, option).finish()
        assert (code, text) == (0, "5 attempts\n")
    with pytest.raises(SystemExit):
        main([str(state), "--keep", "soon"])
    assert "no duration" in capsys.readouterr().err


def test_there_is_no_status_before_the_first(state: Path) -> None:
    assert read_status(state) is None
