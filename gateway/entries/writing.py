"""What each kind of change does to the log and to the entries that it adds up to.

Rule: all the changes of one transaction go through one ``Writer``. It alone holds the write lock,
so it knows the last revision without asking again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from gateway.entries import rows
from gateway.entries.model import (
    MAX_COVERED,
    MAX_DIGITS,
    MAX_NAME,
    MAX_REASON,
    Applied,
    Change,
    ManagedEntry,
    NewChange,
    Op,
    Status,
)
from gateway.errors import EntryError
from gateway.policy.model import NAME, EntryKind

_BY_ID = f"SELECT {rows.ENTRY} FROM entries WHERE id = ?"
_BY_KEY = f"SELECT {rows.ENTRY} FROM entries WHERE list = ? AND kind = ? AND digits = ?"
_ONE_CHANGE = f"SELECT {rows.CHANGE} FROM changes WHERE rev = ?"
_LOG = (
    "INSERT INTO changes (at, who, source, op, before, after, undoes, covered)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_PUT = f"INSERT INTO entries ({rows.ENTRY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class Writer:
    """The changes of one transaction, one after the other."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._rev = rows.last_rev(db)

    def apply(self, change: NewChange, at: float) -> Applied:
        """Write a change that ``check`` has passed. EntryError when it cannot be made."""
        return _APPLY[change.op](self, change, at)

    def find(self, change: NewChange) -> ManagedEntry | None:
        if change.id:
            return self.by_id(change.id)
        return self.by_key(change.list, change.kind, change.digits)

    def by_id(self, id: int) -> ManagedEntry | None:
        return self._one(_BY_ID, (id,))

    def by_key(self, list: str, kind: EntryKind, digits: str) -> ManagedEntry | None:
        return self._one(_BY_KEY, (list, kind, digits))

    def taken(self, rev: int) -> Change:
        """A change that is to be taken back."""
        row = self._db.execute(_ONE_CHANGE, (rev,)).fetchone()
        if not row:
            raise EntryError(f"there is no change {rev}")
        return rows.change(row)

    def undone(self, rev: int) -> int:
        """The change that took one back and was not taken back itself; 0 for none."""
        last = "SELECT max(rev) FROM changes WHERE undoes = ?"
        [by] = self._db.execute(last, (rev,)).fetchone()
        return int(by) if by and not self.undone(by) else 0

    def _one(self, sql: str, values: tuple[object, ...]) -> ManagedEntry | None:
        row = self._db.execute(sql, values).fetchone()
        return rows.managed(row) if row else None

    def made(self, change: NewChange, at: float, found: ManagedEntry | None) -> ManagedEntry:
        """The entry as the change asks for it; one that was there keeps its id."""
        return ManagedEntry(
            id=found.id if found else self._rev + 1,
            list=change.list,
            kind=change.kind,
            digits=change.digits,
            reason=change.reason or "",
            expires=change.expires or 0,
            who=change.who,
            at=at,
        )

    def write(
        self,
        change: NewChange,
        at: float,
        before: ManagedEntry | None,
        after: ManagedEntry | None,
        *,
        undoes: int = 0,
    ) -> int:
        """Append to the log and bring ``entries`` up to it; returns the new revision."""
        who = (at, change.who, change.source, change.op)
        texts = (rows.text(before), rows.text(after))
        rev = self._db.execute(_LOG, (*who, *texts, undoes, change.covered)).lastrowid
        assert rev is not None
        self._rev = rev
        if before:
            self._db.execute("DELETE FROM entries WHERE id = ?", (before.id,))
        if after:
            self._db.execute(_PUT, msgspec.structs.astuple(after))
        return rev

    def nothing(self, status: Status, entry: ManagedEntry | None = None) -> Applied:
        return Applied(rev=self._rev, status=status, entry=entry)


def _add(writer: Writer, change: NewChange, at: float) -> Applied:
    """An entry that has expired blocks nothing, so adding it again revives it."""
    found = writer.find(change)
    if found and found.alive(at):
        return writer.nothing(Status.EXISTS, found)
    after = writer.made(change, at, found)
    return Applied(rev=writer.write(change, at, found, after), status=Status.ADDED, entry=after)


def _remove(writer: Writer, change: NewChange, at: float) -> Applied:
    found = writer.find(change)
    if not found:
        return writer.nothing(Status.ABSENT)
    return Applied(rev=writer.write(change, at, found, None), status=Status.REMOVED, entry=found)


def _edit(writer: Writer, change: NewChange, at: float) -> Applied:
    found = writer.find(change)
    if not found:
        return writer.nothing(Status.ABSENT)
    reason = found.reason if change.reason is None else change.reason
    expires = found.expires if change.expires is None else change.expires
    if (found.reason, found.expires) == (reason, expires):
        return writer.nothing(Status.EXISTS, found)
    after = msgspec.structs.replace(found, reason=reason, expires=expires, who=change.who, at=at)
    return Applied(rev=writer.write(change, at, found, after), status=Status.EDITED, entry=after)


def _undo(writer: Writer, change: NewChange, at: float) -> Applied:
    """Put back what a change found, if nothing has touched it since."""
    taken = writer.taken(change.rev)
    either = taken.after or taken.before
    assert either is not None
    if writer.by_id(either.id) != taken.after:
        if undone := writer.undone(taken.rev):
            raise EntryError(f"change {taken.rev} is undone already, by change {undone}")
        raise EntryError(f"change {taken.rev} cannot be undone: its entry was changed after it")
    back = taken.before
    if back and not taken.after and writer.by_key(back.list, back.kind, back.digits):
        raise EntryError(f"change {taken.rev} cannot be undone: its entry was added again since")
    rev = writer.write(change, at, taken.after, back, undoes=taken.rev)
    return Applied(rev=rev, status=Status.UNDONE, entry=back)


_APPLY: dict[Op, Callable[[Writer, NewChange, float], Applied]] = {
    Op.ADD: _add,
    Op.REMOVE: _remove,
    Op.EDIT: _edit,
    Op.UNDO: _undo,
}


def check(change: NewChange) -> None:
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
        ("covered", change.covered, MAX_COVERED),
    ):
        if len(text) > longest or not text.isprintable():
            raise EntryError(f"the {name} must be one line of at most {longest} characters")


def _digits(text: str) -> bool:
    return 1 <= len(text) <= MAX_DIGITS and text.isascii() and text.isdigit()
