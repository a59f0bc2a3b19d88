"""Taking one number out of the files of the journal and out of the store.

Only whoever holds ``ingest.lock`` may call what is here.
Rule 1: an archived segment is replaced whole: private, on the disk, its time of change kept.
Rule 2: SQLite leaves what was deleted in free pages and in its WAL, so the store is vacuumed and
its WAL cut to nothing before the number counts as erased.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from gateway.attempts.archive import archive_path
from gateway.attempts.database import BUSY_SECONDS, translated
from gateway.attempts.erasure import ERASED, TEXTS, changes, erased_line
from gateway.attempts.lines import MAX_LINE
from gateway.errors import StoreError
from gateway.files import sync_directory
from gateway.numbers.spellings import Spellings

ROWS = 5_000
"""Rows of the store that are looked at in one go."""
_LEVEL = 3
_STEPS = 50_000
"""Steps of SQLite's machine between two questions whether to stop: some milliseconds."""
_LOOKED_AT = ("caller", "caller_e164", "callee", "callee_e164", *TEXTS, "shadow")


def holding(file: BinaryIO | gzip.GzipFile, number: Spellings) -> int:
    """How many lines of a segment hold the number."""
    return sum(line is not None for _, line in _lines(file, number))


def expunge_segment(journal: Path, name: str, number: Spellings) -> int:
    """Rewrite an archived segment without the number; how many lines held it.

    Raises OSError, EOFError and zlib.error for one that cannot be read; it stays as it is then.
    """
    path = archive_path(journal, name)
    with gzip.open(path, "rb") as file:
        found = holding(file, number)
    if found:
        _rewrite(path, number)
    return found


def sweep_archive(journal: Path) -> None:
    """Remove what was left half written by a process that was killed."""
    for path in (journal / "archive").glob(".*.tmp"):
        path.unlink(missing_ok=True)


def _rewrite(path: Path, number: Spellings) -> None:
    fresh = path.with_name(f".{path.name.removesuffix('.gz')}.tmp")
    fresh.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with gzip.open(path, "rb") as old, os.fdopen(os.open(fresh, flags, 0o600), "wb") as raw:
        was = path.stat()
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_LEVEL, filename="") as packed:
            for line, better in _lines(old, number):
                packed.write(line if better is None else better)
        raw.flush()
        os.utime(raw.fileno(), ns=(was.st_mtime_ns, was.st_mtime_ns))
        os.fsync(raw.fileno())
    os.replace(fresh, path)
    sync_directory(path.parent)


def _lines(
    file: BinaryIO | gzip.GzipFile, number: Spellings
) -> Iterator[tuple[bytes, bytes | None]]:
    """Every line as it is, and as it is to be where the number is in it."""
    while line := file.readline(2 * MAX_LINE):
        bare = line.removesuffix(b"\n")
        better = erased_line(bare, number)
        yield line, None if better is None else better + line[len(bare) :]


class StoreExpunger:
    """A connection to the store besides that of whoever moves the journal in this process."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Raises StoreError. The file is there.

        Opened by SQLite alone: who closes a descriptor of its own on the file drops the locks
        that this process has on it.
        """
        self._path = path
        with translated(path):
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
            )
            self._db.execute(f"PRAGMA query_only = {'ON' if readonly else 'OFF'}")
            self._db.execute("PRAGMA secure_delete = ON")

    def close(self) -> None:
        self._db.close()

    def holding(self, number: Spellings) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        """The rows that hold the number, by ``seq``, and what to change; part by part."""
        place = 0
        while True:
            with translated(self._path):
                rows = self._db.execute(
                    f"SELECT seq, {', '.join(_LOOKED_AT)} FROM attempts WHERE seq > ?"
                    " ORDER BY seq LIMIT ?",
                    (place, ROWS),
                ).fetchall()
            if not rows:
                return
            place = rows[-1][0]
            yield [(row[0], found) for row in rows if (found := _changes(row[1:], number))]

    def change(self, rows: Sequence[tuple[int, dict[str, Any]]]) -> None:
        """Put into each row what it is to have."""
        with translated(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                for seq, found in rows:
                    names = ", ".join(f"{name} = ?" for name in found)
                    values = [_stored(value) for value in found.values()]
                    self._db.execute(
                        f"UPDATE attempts SET {names} WHERE seq = ?",
                        (*values, seq),
                    )

    def entries(self, number: Spellings) -> list[str]:
        """The entries of the counts per minute that are the number."""
        with translated(self._path):
            rows = self._db.execute("SELECT DISTINCT entry FROM rollups WHERE entry != ''")
            return [entry for (entry,) in rows.fetchall() if number.stands_in(entry)]

    def merge_counts(self, entries: Sequence[str]) -> int:
        """Count what these entries decided under ``erased``; how many minutes had them."""
        with translated(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                return sum(self._merge(entry) for entry in entries)

    def _merge(self, entry: str) -> int:
        self._db.execute(
            "INSERT INTO rollups (minute, direction, campaign, verdict, reason, list, entry, count)"
            " SELECT minute, direction, campaign, verdict, reason, list, ?, count FROM rollups"
            " WHERE entry = ? ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (ERASED, entry),
        )
        return self._db.execute("DELETE FROM rollups WHERE entry = ?", (entry,)).rowcount

    def vacuum(self, stop: Callable[[], bool]) -> bool:
        """Write the file anew without anything deleted; False when ``stop`` ended it."""
        self._db.set_progress_handler(stop, _STEPS)
        try:
            with translated(self._path):
                self._db.execute("VACUUM")
        except StoreError:
            if stop():
                return False
            raise
        finally:
            self._db.set_progress_handler(None, 0)
        return True

    def cut_wal(self) -> bool:
        """Move the WAL into the file and empty it; False while a reader is in the way."""
        with translated(self._path):
            busy: int = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy


def _changes(row: Sequence[Any], number: Spellings) -> dict[str, Any]:
    text = " ".join(filter(None, row))
    if not number.may_stand_in(text.encode("utf-8", "surrogateescape")):
        return {}
    record = dict(zip(_LOOKED_AT, row, strict=True))
    if record["shadow"]:
        record["shadow"] = msgspec.json.decode(record["shadow"])
    return changes(record, number)


def _stored(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else value
