"""Ids, lines and the journal: what append() returned from is on a segment, whole."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attempts import sync
from gateway.attempts.ids import IdMaker, base36, new_boot, time_of
from gateway.attempts.journal import Journal
from gateway.attempts.lines import MAX_LINE, DeliveryLine, EndLine, Line, decode, encode, encode_all
from gateway.attempts.model import Attempt, Delivery, Shadow
from gateway.attempts.segments import is_abandoned
from gateway.errors import JournalError
from tests.support.attempts import NOON, append_many, make_attempt, segments


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal"


def lines_of(path: Path) -> list[Line | None]:
    return [decode(line) for line in path.read_bytes().split(b"\n") if line]


@given(st.lists(st.floats(min_value=0, max_value=4e9), min_size=1, max_size=50))
def test_ids_of_a_worker_rise_whatever_its_clock_does(times: list[float]) -> None:
    maker = IdMaker(new_boot(), 3)
    ids = [maker.next(at) for at in times]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"[0-9a-z-]{1,40}", one) for one in ids)


def test_an_id_carries_its_time() -> None:
    assert time_of(IdMaker(new_boot(), 0).next(NOON + 0.125)) == NOON + 0.125
    assert time_of("short") is None
    assert time_of("not an id at all") is None


def test_ids_of_workers_and_starts_differ_in_the_same_millisecond() -> None:
    makers = [IdMaker(boot, worker) for boot in (new_boot(), new_boot()) for worker in range(40)]
    ids = {maker.next(NOON) for maker in makers}
    assert len(ids) == len(makers)


def test_a_full_counter_moves_the_time_on() -> None:
    maker = IdMaker("boot", 0)
    first = maker.next(NOON)
    maker._counter = 36**4 - 1
    later = maker.next(NOON)
    assert time_of(later) == NOON + 0.001
    assert first < later < maker.next(NOON)


@given(st.integers(min_value=0, max_value=10**18))
def test_base_36_reads_back(number: int) -> None:
    assert int(base36(number), 36) == number


@given(st.text(), st.text(), st.booleans())
def test_a_line_reads_back_and_is_one_line(caller: str, name: str, shadow: bool) -> None:
    would = Shadow(verdict="allow", reason="list", list="partners") if shadow else None
    attempt = make_attempt("x", caller=caller, caller_name=name, shadow=would)
    line = encode(attempt)
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == attempt


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_line_with_one_changed_byte_is_bad(place: int, change: int) -> None:
    line = bytearray(encode(make_attempt("x"))[:-1])
    line[place % len(line)] ^= change
    # Only the case of a hexadecimal digit of the CRC may change without being noticed.
    assert (
        decode(bytes(line)) is None or bytes(line).lower() == encode(make_attempt("x"))[:-1].lower()
    )


@given(st.binary())
def test_any_bytes_are_a_bad_line_at_worst(junk: bytes) -> None:
    assert decode(junk) is None


def test_text_that_is_no_utf8_is_escaped_and_not_lost() -> None:
    found = decode(encode(make_attempt("x", caller="+33\udcff1"))[:-1])
    assert isinstance(found, Attempt)
    assert found.caller == "+33\\udcff1"


def test_text_that_is_far_too_long_is_cut_and_not_lost() -> None:
    line = encode(make_attempt("x", caller="\x00" * 10**6, caller_name="n" * 10**6))
    found = decode(line[:-1])
    assert len(line) <= MAX_LINE
    assert isinstance(found, Attempt)
    assert found.id == "x"
    assert found.caller == "\x00" * 1024


@pytest.mark.parametrize("odd", ["", "\udcff", "\x00" * 10**6])
def test_lines_of_many_records_are_those_of_each(odd: str) -> None:
    records: list[Line] = [
        make_attempt("x"),
        DeliveryLine("sent", "x", 1.0),
        make_attempt("y", caller=odd),
        EndLine(3),
    ]
    assert encode_all(records) == [encode(record) for record in records]


def test_a_line_is_in_the_file_when_append_returns(directory: Path) -> None:
    journal = Journal(directory)
    attempt = append_many(journal, 1)[0]
    journal.delivery(attempt.id, Delivery.CONFIRMED, NOON + 1)
    (path,) = segments(directory)
    assert lines_of(path) == [attempt, DeliveryLine("confirmed", attempt.id, NOON + 1)]
    journal.close()
    assert lines_of(path)[-1] == EndLine(2)


def test_only_the_owner_can_read_the_journal(directory: Path) -> None:
    journal = Journal(directory)
    append_many(journal, 1)
    journal.close()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert segments(directory)[0].stat().st_mode & 0o777 == 0o600


def test_nothing_is_made_before_the_first_line(directory: Path) -> None:
    Journal(directory).close()
    assert not directory.exists()


def test_a_full_segment_is_closed_and_the_next_one_begun(directory: Path) -> None:
    journal = Journal(directory, segment_bytes=1000)
    attempts = append_many(journal, 20)
    journal.close()
    files = segments(directory)
    found = [line for path in files for line in lines_of(path)]
    assert len(files) > 3
    assert [line for line in found if isinstance(line, Attempt)] == attempts
    assert all(isinstance(lines_of(path)[-1], EndLine) for path in files)


def test_an_old_segment_ends_with_its_next_line(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(directory)
    append_many(journal, 2)
    monkeypatch.setattr("gateway.attempts.journal.SEGMENT_SECONDS", -1.0)
    append_many(journal, 1, NOON + 10)
    journal.close()
    assert [len(lines_of(path)) for path in segments(directory)] == [3, 2]


def test_a_segment_can_be_ended_at_any_time(directory: Path) -> None:
    journal = Journal(directory)
    journal.rotate()
    append_many(journal, 1)
    journal.rotate()
    journal.rotate()
    append_many(journal, 1)
    assert len(segments(directory)) == 2
    journal.close()


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_late_line_after_the_close_is_written(directory: Path, durability: str) -> None:
    journal = Journal(directory, durability=durability)
    append_many(journal, 1)
    journal.close()
    attempts = append_many(journal, 1)
    assert lines_of(segments(directory)[-1]) == attempts
    journal.close()


def test_two_starts_of_a_worker_share_no_segment(directory: Path) -> None:
    for _ in range(3):
        journal = Journal(directory)
        append_many(journal, 1)
        journal.close()
    assert len(segments(directory)) == 3


def test_a_segment_is_abandoned_once_its_writer_left_it(directory: Path) -> None:
    journal = Journal(directory)
    append_many(journal, 1)
    (path,) = segments(directory)
    with path.open("rb") as file:
        assert not is_abandoned(file.fileno())
        journal.close()
        assert is_abandoned(file.fileno())


def test_a_directory_that_was_removed_is_made_again(directory: Path) -> None:
    journal = Journal(directory)
    append_many(journal, 1)
    segments(directory)[0].unlink()
    directory.rmdir()
    attempts = append_many(journal, 1)
    assert lines_of(segments(directory)[0]) == attempts
    journal.close()


def test_a_journal_that_cannot_be_made_is_a_journal_error_until_it_can(directory: Path) -> None:
    directory.parent.mkdir()
    directory.write_text("in the way")
    journal = Journal(directory)
    with pytest.raises(JournalError, match="journal"):
        append_many(journal, 1)
    directory.unlink()
    append_many(journal, 1)
    assert len(segments(directory)) == 1
    journal.close()


class Disk:
    """An ``os.write`` that takes only so many bytes and then fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.error = errno.ENOSPC
        self._write = os.write
        monkeypatch.setattr("gateway.attempts.journal.os.write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.room is None:
            return self._write(descriptor, data)
        if not self.room:
            raise OSError(self.error, os.strerror(self.error))
        taken = self._write(descriptor, data[: self.room])
        self.room -= taken
        return taken


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.mark.parametrize("room", range(0, 300, 7))
def test_a_line_after_a_torn_one_stands_on_its_own(directory: Path, disk: Disk, room: int) -> None:
    journal = Journal(directory)
    (first,) = append_many(journal, 1)
    disk.room = room
    with pytest.raises(JournalError, match="No space left"):
        append_many(journal, 2, NOON + 10)
    disk.room = None
    (last,) = append_many(journal, 1, NOON + 20)
    journal.close()
    (path,) = segments(directory)
    found = [line for line in lines_of(path) if isinstance(line, Attempt)]
    assert found[0] == first
    assert found[-1] == last


def test_a_write_that_is_cut_short_is_finished(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr("gateway.attempts.journal.os.write", lambda fd, data: write(fd, data[:10]))
    journal = Journal(directory)
    attempts = append_many(journal, 2)
    assert lines_of(segments(directory)[0]) == attempts
    journal.close()


def test_a_full_disk_leaves_no_trail_of_empty_segments(directory: Path, disk: Disk) -> None:
    journal = Journal(directory)
    append_many(journal, 1)
    disk.room = 0
    for _ in range(5):
        with pytest.raises(JournalError):
            append_many(journal, 1)
    journal.close()
    assert len(segments(directory)) == 1


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS, errno.EFBIG])
def test_after_a_failed_disk_the_next_line_goes_to_a_new_segment(
    directory: Path, disk: Disk, error: int
) -> None:
    journal = Journal(directory)
    append_many(journal, 1)
    disk.room, disk.error = 0, error
    for _ in range(3):
        with pytest.raises(JournalError, match=os.strerror(error)):
            append_many(journal, 1)
    disk.room = None
    append_many(journal, 1)
    journal.close()
    assert len(segments(directory)) == 2


def test_what_is_held_is_in_the_file_when_flush_returns_by_one_write(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sizes = os.write, list[int]()

    def counted(descriptor: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr("gateway.attempts.journal.os.write", counted)
    journal = Journal(directory)
    journal.hold()
    attempts = append_many(journal, 3)
    journal.delivery(attempts[0].id, Delivery.CONFIRMED, NOON + 1)
    assert not segments(directory)
    journal.flush()
    (path,) = segments(directory)
    assert lines_of(path) == [*attempts, DeliveryLine("confirmed", attempts[0].id, NOON + 1)]
    assert sizes == [path.stat().st_size]
    journal.flush()
    (late,) = append_many(journal, 1)
    assert lines_of(path)[-1] == late, "without hold a line is written at once"
    journal.close()
    assert lines_of(path)[-1] == EndLine(5)


@pytest.mark.parametrize("in_its_place", ["nothing", "a folder", "a file", "another segment"])
def test_a_segment_that_was_moved_is_left_at_the_next_look(
    directory: Path, in_its_place: str, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(directory)
    append_many(journal, 1)
    journal.look()
    assert journal.lost_segments == 0
    (name,) = (path.name for path in segments(directory))
    directory.rename(directory.with_name("moved"))
    if in_its_place == "a file":
        directory.write_text("in the way")
    elif in_its_place != "nothing":
        directory.mkdir()
        if in_its_place == "another segment":
            (directory / name).write_text("")
    journal.look()
    journal.look()
    assert journal.lost_segments == 1
    assert [f"{name} was moved or removed" in text for text in caplog.messages] == [True]
    if in_its_place == "a file":
        directory.unlink()
    append_many(journal, 1)
    journal.look()
    journal.close()
    (fresh,) = (path for path in segments(directory) if path.name != name)
    assert isinstance(lines_of(fresh)[0], Attempt)
    assert journal.lost_segments == 1


def test_a_segment_that_cannot_be_looked_at_is_not_left(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    journal = Journal(directory)
    append_many(journal, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refuse)
        journal.look()
    append_many(journal, 1)
    journal.close()
    assert (journal.lost_segments, len(segments(directory))) == (0, 1)


def test_what_is_held_goes_to_a_new_file_when_somebody_removed_the_old(directory: Path) -> None:
    journal = Journal(directory)
    append_many(journal, 1)
    segments(directory)[0].unlink()
    journal.hold()
    attempts = append_many(journal, 3)
    journal.flush()
    assert lines_of(segments(directory)[0]) == attempts
    journal.close()


def test_a_turn_ends_a_segment_that_it_filled(directory: Path) -> None:
    journal = Journal(directory, segment_bytes=1000)
    kept = []
    for turn in range(4):
        journal.hold()
        kept += append_many(journal, 10, NOON + 100 * turn)
        journal.flush()
    journal.close()
    found = [lines_of(path) for path in segments(directory)]
    assert [line for lines in found for line in lines if isinstance(line, Attempt)] == kept
    assert [lines[-1] for lines in found] == [EndLine(10)] * 4


def test_a_journal_that_is_closed_with_lines_held_writes_them(
    directory: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(directory)
    journal.hold()
    attempts = append_many(journal, 2)
    journal.close()
    assert lines_of(segments(directory)[0]) == [*attempts, EndLine(2)]
    journal.hold()
    append_many(journal, 2)
    disk.room = 0
    journal.close()
    assert "2 of 2 lines lost" in caplog.text


@pytest.mark.parametrize("room", range(0, 1100, 37))
def test_of_held_lines_every_one_is_in_the_file_or_counted(
    directory: Path, disk: Disk, room: int
) -> None:
    journal = Journal(directory)
    first = append_many(journal, 1)
    disk.room = room
    journal.hold()
    held = append_many(journal, 4, NOON + 10)
    with pytest.raises(JournalError, match="No space left") as caught:
        journal.flush()
    disk.room = None
    last = append_many(journal, 1, NOON + 20)
    journal.close()
    (path,) = segments(directory)
    found = [line for line in lines_of(path) if line is not None]
    kept = held[: len(held) - caught.value.lost]
    assert found == [*first, *kept, *last, EndLine(2 + len(kept))]


@pytest.mark.parametrize("room", range(0, 1100, 37))
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_held_lines_of_a_write_that_failed_once_are_all_in_the_journal(
    directory: Path, monkeypatch: pytest.MonkeyPatch, room: int, error: int
) -> None:
    write, left = os.write, [room, 0]

    def once(descriptor: int, data: bytes) -> int:
        if left:
            size = left.pop(0)
            if not size:
                left.clear()
                raise OSError(error, os.strerror(error))
            return write(descriptor, data[:size])
        return write(descriptor, data)

    journal = Journal(directory)
    first = append_many(journal, 1)
    monkeypatch.setattr("gateway.attempts.journal.os.write", once)
    journal.hold()
    held = append_many(journal, 4, NOON + 10)
    journal.flush()
    journal.close()
    files = segments(directory)
    found = [line for path in files for line in lines_of(path)]
    assert [line for line in found if isinstance(line, Attempt)] == [*first, *held]
    assert len(files) == (1 if error == errno.ENOSPC else 2)
    assert all(b"\n\n" not in path.read_bytes() for path in files)


LIMITED = """
import resource, sys
from pathlib import Path
from gateway.attempts.journal import Journal
from gateway.errors import JournalError
from tests.support.attempts import append_many
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
journal = Journal(Path(sys.argv[1]))
failed = 0
for n in range(20):
    try:
        append_many(journal, 1, 1e9 + n)
    except JournalError:
        failed += 1
print(failed)
"""


def test_a_real_limit_on_the_size_of_files_is_survived(directory: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(directory)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    failed = int(run.stdout)
    found = [line for path in segments(directory) for line in lines_of(path)]
    assert failed
    assert len([line for line in found if isinstance(line, Attempt)]) == 20 - failed


async def test_without_disk_durability_there_is_nothing_to_wait_for(directory: Path) -> None:
    journal = Journal(directory)
    append_many(journal, 1)
    assert journal.pending_sync() is None
    await journal.synced()
    journal.close()


async def test_answers_of_a_moment_share_a_sync(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    monkeypatch.setattr(sync, "MAX_WAIT", 30.0)
    journal = Journal(directory, durability="disk")

    async def call() -> None:
        append_many(journal, 1)
        await journal.synced()

    await asyncio.gather(*(call() for _ in range(100)))
    assert 1 <= len(synced) <= 3
    assert (journal.late_syncs, journal.failed_syncs) == (0, 0)
    journal.close()


async def test_a_disk_that_hangs_holds_no_answer_for_long(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda _: hang.wait(30))
    journal = Journal(directory, durability="disk")
    append_many(journal, 1)
    await journal.synced()
    assert journal.late_syncs == 1
    hang.set()
    journal.close()


async def test_a_sync_that_fails_is_counted_and_lets_the_answer_go(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fdatasync", fail)
    journal = Journal(directory, durability="disk")
    append_many(journal, 1)
    await journal.synced()
    assert journal.failed_syncs == 1
    journal.close()


async def test_segments_turn_over_under_disk_durability(directory: Path) -> None:
    journal = Journal(directory, segment_bytes=500, durability="disk")
    for n in range(20):
        append_many(journal, 1, NOON + n)
        await journal.synced()
    journal.close()
    found = [line for path in segments(directory) for line in lines_of(path)]
    assert len([line for line in found if isinstance(line, Attempt)]) == 20
    assert journal.failed_syncs == 0
