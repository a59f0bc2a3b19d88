"""The change log of managed entries: one SQLite file that only this program writes.

Rule 1: the log is the truth. ``entries`` is what the log adds up to, kept in the same transaction.
Rule 2: a change begins with BEGIN IMMEDIATE, so what it read cannot change under it: two
processes that write at once lose nothing.
Rule 3: a revision is never reused, not even after its entry is gone (AUTOINCREMENT).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway.entries import rows
from gateway.entries.database import StoreCorrupt, immediate, open_database, translated
from gateway.entries.model import Applied, Change, ManagedEntry, NewChange
from gateway.entries.search import (
    ChangeFilter,
    EntryFilter,
    Page,
    counted,
    find_changes,
    find_entries,
)
from gateway.entries.writing import Writer, check
from gateway.errors import StoreError
from gateway.policy.model import Entry


class EntryStore:
    """The managed entries of one state directory. Every method may be called from any thread.

    Raises StoreError when the file cannot be opened, read or written. A ``patient`` store can be
    made on a broken file too, which is checked throughout, unless ``check`` says else, and never
    touched again: then every method raises, and ``broken`` says why.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        patient: bool = False,
        check: bool = True,
    ) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self.broken = ""
        try:
            self._db = open_database(path, check=patient and check)
        except StoreError as error:
            if not patient:
                raise
            self.broken = str(error)

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()

    @property
    def rev(self) -> int:
        """The revision of the last change, 0 when nothing was ever changed."""
        with self._reading() as db:
            return rows.last_rev(db)

    def entries(self) -> list[Entry]:
        """The current entries as the policy knows them, oldest first."""
        return [item.entry for item in self.managed()]

    def managed(
        self, *, list_name: str = "", after: int = 0, limit: int | None = None
    ) -> list[ManagedEntry]:
        """Current entries with who and when, by id; ``after`` and ``limit`` page through them."""
        sql = f"SELECT {rows.ENTRY} FROM entries WHERE id > ? AND (? = '' OR list = ?)"
        sql += " ORDER BY id LIMIT ?"
        with self._reading() as db:
            found = db.execute(sql, (after, list_name, list_name, -1 if limit is None else limit))
            return [rows.managed(row) for row in found]

    def by_ids(self, ids: Sequence[int]) -> list[ManagedEntry]:
        """The current entries among these ids, by id."""
        marks = ", ".join("?" * len(ids))
        sql = f"SELECT {rows.ENTRY} FROM entries WHERE id IN ({marks}) ORDER BY id"
        with self._reading() as db:
            return [rows.managed(row) for row in db.execute(sql, ids)]

    def search(
        self, filter: EntryFilter, *, before: int = 0, limit: int = 100
    ) -> Page[ManagedEntry]:
        """Current entries that pass a filter, the newest first, with an id below ``before``."""
        with self._reading() as db:
            return find_entries(db, filter, before, limit)

    def search_changes(
        self, filter: ChangeFilter, *, before: int = 0, limit: int = 100
    ) -> Page[Change]:
        """Lines of the log that pass a filter, the newest first, before the revision ``before``."""
        with self._reading() as db:
            return find_changes(db, filter, before, limit)

    def counts(self) -> dict[str, int]:
        """How many entries each list has, those that have expired too; by name."""
        with self._reading() as db:
            return counted(db)

    def read(self) -> tuple[int, list[Entry]]:
        """The last revision and the entries at exactly that revision."""
        with self._reading() as db:
            rev = rows.last_rev(db)
            found = db.execute(f"SELECT {rows.ENTRY} FROM entries ORDER BY id")
            return rev, [rows.managed(row).entry for row in found]

    def changes_since(self, rev: int, limit: int | None = None) -> list[Change]:
        """Every change after ``rev``, oldest first."""
        sql = f"SELECT {rows.CHANGE} FROM changes WHERE rev > ? ORDER BY rev LIMIT ?"
        with self._reading() as db:
            found = db.execute(sql, (rev, -1 if limit is None else limit))
            return [rows.change(row) for row in found]

    def apply(self, change: NewChange) -> Applied:
        """Write one change. EntryError when it makes no sense; then nothing is written."""
        return self.apply_all([change])[0]

    def apply_all(self, changes: Sequence[NewChange]) -> list[Applied]:
        """Write all the changes in one transaction, or none of them."""
        for change in changes:
            check(change)
        with self._using() as opened, immediate(opened) as db:
            writer = Writer(db)
            return [writer.apply(change, self._clock()) for change in changes]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view: a deferred transaction holds its snapshot from its first read."""
        with self._using() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:  # an error may have ended it
                    db.execute("COMMIT")

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The open file, for one thread. Once it is corrupt it is left for a person to look at."""
        with self._lock:
            if self._db is None or self.broken:
                raise StoreError(self.broken)
            try:
                with translated():
                    yield self._db
            except StoreCorrupt as error:
                self.broken = str(error)
                raise
