"""The SQLite file of the managed entries: its schema, and how it is opened and written.

WAL lets readers and a writer work at once; FULL makes a change survive a power cut before it is
acknowledged. A file of an older schema is brought up to date where it is, in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import StoreError
from gateway.files import enter_wal
from gateway.ownership import make_private

BUSY_SECONDS = 10.0
CACHE_KIB = 32 * 1024
"""Room for the pages of the indexes that a large import goes to and fro in."""
CHECKPOINT_PAGES = 4000
"""Pages of 4 KiB in the WAL before they are moved: what many changes touched moves only once."""

_FIRST = """
CREATE TABLE changes (
    rev INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    source TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op IN ('add', 'remove', 'edit', 'undo')),
    before TEXT,
    after TEXT,
    undoes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    list TEXT NOT NULL,
    kind TEXT NOT NULL,
    digits TEXT NOT NULL,
    reason TEXT NOT NULL,
    expires INTEGER NOT NULL,
    who TEXT NOT NULL,
    at REAL NOT NULL,
    UNIQUE (list, kind, digits)
) STRICT;
"""
_COVERED_AND_SEARCH = """
ALTER TABLE changes ADD COLUMN covered TEXT NOT NULL DEFAULT '';
ALTER TABLE changes ADD COLUMN list TEXT
    GENERATED ALWAYS AS (json_extract(COALESCE(after, before), '$.list')) VIRTUAL;
ALTER TABLE changes ADD COLUMN digits TEXT
    GENERATED ALWAYS AS (json_extract(COALESCE(after, before), '$.digits')) VIRTUAL;
CREATE INDEX changes_who ON changes (who);
CREATE INDEX changes_op ON changes (op);
CREATE INDEX changes_list ON changes (list);
CREATE INDEX changes_digits ON changes (digits);
CREATE INDEX entries_digits ON entries (digits);
"""
_STEPS = (_FIRST, _COVERED_AND_SEARCH)
"""What leads from each version of the schema to the next; 0 is an empty file."""
SCHEMA_VERSION = len(_STEPS)

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class StoreCorrupt(StoreError):
    """The file is no database any more. It may hold what must not be called: nobody removes it."""


def open_database(path: Path, *, check: bool = False) -> sqlite3.Connection:
    """Open or create it, 0600. StoreError when that fails or a newer program wrote it.

    ``check`` reads it from end to end. SQLite gives its -wal and -shm files the mode and
    owner of the database, so that is made first.
    """
    try:
        make_private(path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    with translated():
        db = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            enter_wal(db, BUSY_SECONDS)
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            _migrate(db, path)
            if check and (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise StoreCorrupt(f"managed entries: {' '.join(found.split())}")
        except BaseException:
            db.close()
            raise
        return db


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    with immediate(db):
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreError(f"{path} was written by a newer version of this program")
        for step in _STEPS[version:]:
            for statement in step.split(";"):
                db.execute(statement)
        if version < SCHEMA_VERSION:
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextmanager
def immediate(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A transaction that holds the write lock from its start; any exception takes it back."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


@contextmanager
def translated() -> Iterator[None]:
    """Errors of SQLite leave as StoreError, or StoreCorrupt."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code
        kind = StoreCorrupt if code in _CORRUPT else StoreError
        raise kind(f"managed entries: {error}") from error
