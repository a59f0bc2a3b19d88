"""The SQLite file of the attempt store: how it is opened and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.errors import StoreError
from gateway.files import enter_wal
from gateway.ownership import make_private

BUSY_SECONDS = 5.0
"""How long SQLite waits for another connection's lock."""
CACHE_KIB = 32 * 1024
"""Memory of the writer for index pages: numbers fall on them at random."""

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class StoreCorrupt(StoreError):
    """The file is no database any more: it has to be made again from the journal."""


def mark_of(path: Path) -> Path:
    """The file that tells the ingester to look at the store (``check``)."""
    return path.with_name(f"{path.name}.suspect")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system raise into StoreError and StoreCorrupt.

    Whoever meets what is corrupt has the ingester look at it.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code
        if code in _CORRUPT:
            with suppress(OSError):
                make_private(mark_of(path))
            raise StoreCorrupt(f"{path}: {error}") from error
        raise StoreError(f"{path}: {error}") from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def connect(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """Open the file; unless ``readonly`` make it, for its owner alone. Raises sqlite3.Error."""
    if not readonly:
        # SQLite gives its -wal and -shm files the mode and owner of the file itself.
        make_private(path)
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
    try:
        if readonly:
            db.execute("PRAGMA query_only = ON")
        else:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            enter_wal(db, BUSY_SECONDS)
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except BaseException:
        db.close()
        raise
    return db
