"""Rows of the managed entries' file as values, and the questions that more than one module asks."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from gateway.entries.model import Change, ManagedEntry

ENTRY = "id, list, kind, digits, reason, expires, who, at"
CHANGE = "rev, at, who, source, op, before, after, undoes, covered"
_ENTRY = ENTRY.split(", ")
_CHANGE = CHANGE.split(", ")


def managed(row: Sequence[object]) -> ManagedEntry:
    """The entry of a row of the columns ``ENTRY``."""
    return msgspec.convert(dict(zip(_ENTRY, row, strict=True)), ManagedEntry)


def change(row: Sequence[object]) -> Change:
    """The line of the log of a row of the columns ``CHANGE``."""
    fields = dict(zip(_CHANGE, row, strict=True))
    fields |= {key: _from(fields[key]) for key in ("before", "after")}
    return msgspec.convert(fields, Change)


def text(entry: ManagedEntry | None) -> str | None:
    """An entry as the log keeps it: JSON."""
    return msgspec.json.encode(entry).decode() if entry else None


def last_rev(db: sqlite3.Connection) -> int:
    """The last revision of the log, 0 when there is none."""
    rev: int = db.execute("SELECT COALESCE(MAX(rev), 0) FROM changes").fetchone()[0]
    return rev


def _from(text: object) -> object:
    return msgspec.json.decode(text) if isinstance(text, str) else None
