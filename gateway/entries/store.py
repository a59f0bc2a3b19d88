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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gateway.entries.database import StoreCorrupt, immediate, open_database, translated
from gateway.entries.model import (
    MAX_NAME,
    MAX_REASON,
    Applied,
    Change,
    ManagedEntry,
    NewChange,
    Op,
    Status,
)
from gateway.errors import EntryError, StoreError
from gateway.policy.model import NAME, Entry, EntryKind

MAX_DIGITS = 15
"""E.164 §6.1: a number has at most 15 digits."""

_COLUMNS = "id, list, kind, digits, reason, expires, who, at"


class EntryStore:
    """The managed entries of one state directory. Every method may be called from any thread.

    Raises StoreError when the file cannot be opened, read or written. A ``patient`` store can be
    made on a broken file too, which is checked throughout and never touched again: then every
    method raises, and ``broken`` says why.
    """

    def __init__(
        self, path: Path, *, clock: Callable[[], float] = time.time, patient: bool = False
    ) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self.broken = ""
        try:
            self._db = open_database(path, check=patient)
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
            return _last(db)

    def entries(self) -> list[Entry]:
        """The current entries as the policy knows them, oldest first."""
        return [item.entry for item in self.managed()]

    def managed(
        self, *, list_name: str = "", after: int = 0, limit: int | None = None
    ) -> list[ManagedEntry]:
        """Current entries with who and when, by id; ``after`` and ``limit`` page through them."""
        sql = f"SELECT {_COLUMNS} FROM entries WHERE id > ? AND (? = '' OR list = ?)"
        sql += " ORDER BY id LIMIT ?"
        with self._reading() as db:
            rows = db.execute(sql, (after, list_name, list_name, -1 if limit is None else limit))
            return [_managed(row) for row in rows]

    def read(self) -> tuple[int, list[Entry]]:
        """The last revision and the entries at exactly that revision."""
        with self._reading() as db:
            rev = _last(db)
            return rev, [_managed(row).entry for row in _all(db)]

    def changes_since(self, rev: int, limit: int | None = None) -> list[Change]:
        """Every change after ``rev``, oldest first."""
        sql = "SELECT rev, at, who, source, op, before, after, undoes FROM changes"
        sql += " WHERE rev > ? ORDER BY rev LIMIT ?"
        with self._reading() as db:
            rows = db.execute(sql, (rev, -1 if limit is None else limit))
            return [_change(row) for row in rows]

    def apply(self, change: NewChange) -> Applied:
        """Write one change. EntryError when it makes no sense; then nothing is written."""
        return self.apply_all([change])[0]

    def apply_all(self, changes: Sequence[NewChange]) -> list[Applied]:
        """Write all the changes in one transaction, or none of them."""
        for change in changes:
            _check(change)
        with self._using() as opened, immediate(opened) as db:
            return [_APPLY[change.op](_Writer(db, change, self._clock())) for change in changes]

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


class _Writer:
    """One change inside its transaction."""

    def __init__(self, db: sqlite3.Connection, change: NewChange, at: float) -> None:
        self.db = db
        self.change = change
        self.at = at

    def find(self) -> ManagedEntry | None:
        if self.change.id:
            return self.by_id(self.change.id)
        return self.by_key(self.change.list, self.change.kind, self.change.digits)

    def by_id(self, id: int) -> ManagedEntry | None:
        return self._one("id = ?", (id,))

    def by_key(self, list: str, kind: EntryKind, digits: str) -> ManagedEntry | None:
        return self._one("list = ? AND kind = ? AND digits = ?", (list, kind, digits))

    def _one(self, where: str, values: tuple[object, ...]) -> ManagedEntry | None:
        sql = f"SELECT {_COLUMNS} FROM entries WHERE {where}"
        row = self.db.execute(sql, values).fetchone()
        return _managed(row) if row else None

    def made(self, id: int) -> ManagedEntry:
        """The entry as the change asks for it."""
        change = self.change
        return ManagedEntry(
            id=id,
            list=change.list,
            kind=change.kind,
            digits=change.digits,
            reason=change.reason or "",
            expires=change.expires or 0,
            who=change.who,
            at=self.at,
        )

    def write(
        self, before: ManagedEntry | None, after: ManagedEntry | None, *, undoes: int = 0
    ) -> int:
        """Append to the log and bring ``entries`` up to it; returns the new revision."""
        change = self.change
        rev = self.db.execute(
            "INSERT INTO changes (at, who, source, op, before, after, undoes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self.at, change.who, change.source, change.op, _text(before), _text(after), undoes),
        ).lastrowid
        assert rev is not None
        if before:
            self.db.execute("DELETE FROM entries WHERE id = ?", (before.id,))
        if after:
            values = tuple(getattr(after, name) for name in _COLUMNS.split(", "))
            self.db.execute(f"INSERT INTO entries ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", values)
        return rev

    def nothing(self, status: Status, entry: ManagedEntry | None = None) -> Applied:
        return Applied(rev=_last(self.db), status=status, entry=entry)


def _add(writer: _Writer) -> Applied:
    """An entry that has expired blocks nothing, so adding it again revives it."""
    found = writer.find()
    if found and found.alive(writer.at):
        return writer.nothing(Status.EXISTS, found)
    after = writer.made(found.id if found else _last(writer.db) + 1)
    return Applied(rev=writer.write(found, after), status=Status.ADDED, entry=after)


def _remove(writer: _Writer) -> Applied:
    found = writer.find()
    if not found:
        return writer.nothing(Status.ABSENT)
    return Applied(rev=writer.write(found, None), status=Status.REMOVED, entry=found)


def _edit(writer: _Writer) -> Applied:
    found, change = writer.find(), writer.change
    if not found:
        return writer.nothing(Status.ABSENT)
    reason = found.reason if change.reason is None else change.reason
    expires = found.expires if change.expires is None else change.expires
    if (found.reason, found.expires) == (reason, expires):
        return writer.nothing(Status.EXISTS, found)
    after = msgspec.structs.replace(
        found, reason=reason, expires=expires, who=change.who, at=writer.at
    )
    return Applied(rev=writer.write(found, after), status=Status.EDITED, entry=after)


def _undo(writer: _Writer) -> Applied:
    """Put back what a change found, if nothing has touched it since."""
    taken = _one_change(writer.db, writer.change.rev)
    either = taken.after or taken.before
    assert either is not None
    if writer.by_id(either.id) != taken.after:
        raise EntryError(f"change {taken.rev} cannot be undone: its entry was changed after it")
    back = taken.before
    if back and not taken.after and writer.by_key(back.list, back.kind, back.digits):
        raise EntryError(f"change {taken.rev} cannot be undone: its entry was added again since")
    rev = writer.write(taken.after, back, undoes=taken.rev)
    return Applied(rev=rev, status=Status.UNDONE, entry=back)


_APPLY: dict[Op, Callable[[_Writer], Applied]] = {
    Op.ADD: _add,
    Op.REMOVE: _remove,
    Op.EDIT: _edit,
    Op.UNDO: _undo,
}


def _check(change: NewChange) -> None:
    """EntryError for what could never be an entry, whoever asks."""
    by_key = change.op is Op.ADD or (change.op is not Op.UNDO and not change.id)
    if by_key and not NAME.fullmatch(change.list):
        raise EntryError(f"{change.list!r} is no name of a list")
    if by_key and not _digits(change.digits):
        raise EntryError(f"{change.digits!r} is not 1 to {MAX_DIGITS} digits")
    if not 0 <= (change.expires or 0) < 1 << 32:
        raise EntryError("the expiry is not a time in seconds since 1970")
    for name, text, longest in (
        ("reason", change.reason or "", MAX_REASON),
        ("who", change.who, MAX_NAME),
        ("source", change.source, MAX_NAME),
    ):
        if len(text) > longest or not text.isprintable():
            raise EntryError(f"the {name} must be one line of at most {longest} characters")


def _digits(text: str) -> bool:
    return 1 <= len(text) <= MAX_DIGITS and text.isascii() and text.isdigit()


def _one_change(db: sqlite3.Connection, rev: int) -> Change:
    row = db.execute(
        "SELECT rev, at, who, source, op, before, after, undoes FROM changes WHERE rev = ?", (rev,)
    ).fetchone()
    if not row:
        raise EntryError(f"there is no change {rev}")
    return _change(row)


def _last(db: sqlite3.Connection) -> int:
    rev: int = db.execute("SELECT COALESCE(MAX(rev), 0) FROM changes").fetchone()[0]
    return rev


def _all(db: sqlite3.Connection) -> Iterable[tuple[object, ...]]:
    return db.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY id")


def _managed(row: Sequence[object]) -> ManagedEntry:
    return msgspec.convert(dict(zip(_COLUMNS.split(", "), row, strict=True)), ManagedEntry)


def _text(entry: ManagedEntry | None) -> str | None:
    return msgspec.json.encode(entry).decode() if entry else None


def _change(row: Sequence[str | None]) -> Change:
    rev, at, who, source, op, before, after, undoes = row
    fields = {"rev": rev, "at": at, "who": who, "source": source, "op": op, "undoes": undoes}
    return msgspec.convert(fields | {"before": _from(before), "after": _from(after)}, Change)


def _from(text: str | None) -> object:
    return msgspec.json.decode(text) if text else None
