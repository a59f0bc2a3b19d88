"""Pages of the managed entries and of their log, for people who look for something in a million.

Rule: a page costs the same however many rows there are. A condition that few rows meet is looked
up in its index, and those few are sorted; otherwise rows are read from the newest on, and no more
than ``SEEN`` of them. So a page may be short, even empty, and still say where to go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from gateway.entries import rows
from gateway.entries.model import MAX_DIGITS, Change, ManagedEntry, Op

T = TypeVar("T")

FEW = 10_000
"""Rows of an index that are sorted for a page."""
SEEN = 50_000
"""Rows that are read for a page: of a million, 20 to 50 ms."""
MAX_LIMIT = 1000
NO_MORE = 2**63 - 1
"""The largest INTEGER of SQLite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """What entries must be to be shown; all that is given holds.

    ``digits``: they begin with these. ``covering``: they cover this number, E.164 digits or, with
    ``short``, a short code. ``text`` stands in their digits, reason or name of who wrote them, in
    either case of ASCII letters. ``who`` is the whole name.
    """

    list: str = ""
    digits: str = ""
    covering: str = ""
    short: bool = False
    text: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFilter:
    """What changes must be to be shown; all that is given holds.

    ``list`` and ``digits`` are those of the entry that was changed; its digits begin with these.
    """

    who: str = ""
    source: str = ""
    list: str = ""
    digits: str = ""
    op: Op | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """What was found, the newest first. ``next`` is ``before`` of the page after it, 0: none is."""

    items: tuple[T, ...]
    next: int


class _Condition(NamedTuple):
    sql: str
    values: tuple[object, ...]
    indexed: bool


class _Source(NamedTuple, Generic[T]):
    """A table, the column of its order, and how its rows are read."""

    table: str
    key: str
    columns: str
    read: Callable[[Sequence[object]], T]


_ENTRIES = _Source("entries", "id", rows.ENTRY, rows.managed)
_CHANGES = _Source("changes", "rev", rows.CHANGE, rows.change)


def find_entries(
    db: sqlite3.Connection, filter: EntryFilter, before: int, limit: int
) -> Page[ManagedEntry]:
    """One page of the current entries, by id."""
    return _page(db, _ENTRIES, list(_of_entries(filter)), before, limit)


def find_changes(
    db: sqlite3.Connection, filter: ChangeFilter, before: int, limit: int
) -> Page[Change]:
    """One page of the log, by revision."""
    return _page(db, _CHANGES, list(_of_changes(filter)), before, limit)


def counted(db: sqlite3.Connection) -> dict[str, int]:
    """How many entries each list has."""
    return dict(db.execute("SELECT list, COUNT(*) FROM entries GROUP BY list ORDER BY list"))


def _of_entries(filter: EntryFilter) -> Iterator[_Condition]:
    if filter.covering:
        yield _covering(filter.covering, filter.short)
    if filter.digits:
        yield _beginning(filter.digits)
    if filter.list:
        yield _Condition("list = ?", (filter.list,), True)
    if filter.who:
        yield _Condition("who = ?", (filter.who,), False)
    if filter.text:
        sql = " OR ".join(f"{name} LIKE ? ESCAPE '!'" for name in ("digits", "reason", "who"))
        yield _Condition(f"({sql})", (_pattern(filter.text),) * 3, False)


def _of_changes(filter: ChangeFilter) -> Iterator[_Condition]:
    if filter.digits:
        yield _beginning(filter.digits)
    for name in ("who", "list", "op", "source"):
        if value := getattr(filter, name):
            yield _Condition(f"{name} = ?", (value,), name != "source")


def _beginning(digits: str) -> _Condition:
    """In the order of digits, a colon comes after the last of them."""
    return _Condition("(digits >= ? AND digits < ?)", (digits, f"{digits}:"), True)


def _covering(digits: str, short: bool) -> _Condition:
    exact, prefix = ("short", "short_prefix") if short else ("number", "prefix")
    begins = [digits[:length] for length in range(1, min(len(digits), MAX_DIGITS) + 1)]
    marks = ", ".join("?" * len(begins))
    sql = f"(digits IN ({marks}) AND (kind = ? OR (kind = ? AND digits = ?)))"
    return _Condition(sql, (*begins, prefix, exact, digits), True)


def _pattern(text: str) -> str:
    for sign in "!%_":
        text = text.replace(sign, f"!{sign}")
    return f"%{text}%"


def _page(
    db: sqlite3.Connection,
    source: _Source[T],
    conditions: Sequence[_Condition],
    before: int,
    limit: int,
) -> Page[T]:
    limit = max(1, min(limit, MAX_LIMIT))
    below = before if 0 < before < NO_MORE else NO_MORE
    found = _few(db, source, conditions, below)
    if found is None:
        found, goes_on = _newest(db, source, conditions, below, limit)
    else:
        goes_on = found[limit - 1] if len(found) > limit else 0
    return Page(tuple(_rows(db, source, found[:limit])), goes_on)


def _few(
    db: sqlite3.Connection, source: _Source[T], conditions: Sequence[_Condition], below: int
) -> list[int] | None:
    """Every key that passes, newest first, if an index says that one condition has few rows."""
    for place, lead in enumerate(conditions):
        if not lead.indexed:
            continue
        sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM {source.table} WHERE {lead.sql} LIMIT ?)"
        if db.execute(sql, (*lead.values, FEW + 1)).fetchone()[0] > FEW:
            continue
        others = [item for at, item in enumerate(conditions) if at != place]
        where = "".join(f" AND +{item.sql}" for item in others)
        sql = (
            f"SELECT {source.key} FROM {source.table}"
            f" WHERE {lead.sql}{where} AND +{source.key} < ? ORDER BY +{source.key} DESC"
        )
        values = [value for item in (lead, *others) for value in item.values]
        return [key for (key,) in db.execute(sql, (*values, below))]
    return None


def _newest(
    db: sqlite3.Connection,
    source: _Source[T],
    conditions: Sequence[_Condition],
    below: int,
    limit: int,
) -> tuple[list[int], int]:
    """Keys that pass among the ``SEEN`` newest rows, and where to go on: 0 at the end."""
    passes = " AND ".join(item.sql for item in conditions) or "1"
    values = [value for item in conditions for value in item.values]
    seen = (
        f"SELECT {source.key} AS key, {passes} AS passes FROM {source.table} NOT INDEXED"
        f" WHERE {source.key} < ? ORDER BY {source.key} DESC LIMIT ?"
    )
    sql = f"SELECT key FROM ({seen}) WHERE passes LIMIT ?"
    found = [key for (key,) in db.execute(sql, (*values, below, SEEN, limit + 1))]
    if len(found) > limit:
        return found, found[limit - 1]
    sql = f"SELECT {source.key} FROM {source.table} NOT INDEXED"
    sql += f" WHERE {source.key} < ? ORDER BY {source.key} DESC LIMIT 2 OFFSET ?"
    last = db.execute(sql, (below, SEEN - 1)).fetchall()
    return found, last[0][0] if len(last) == 2 else 0


def _rows(db: sqlite3.Connection, source: _Source[T], keys: Sequence[int]) -> Iterator[T]:
    marks = ", ".join("?" * len(keys))
    sql = f"SELECT {source.columns} FROM {source.table} WHERE {source.key} IN ({marks})"
    yield from map(source.read, db.execute(f"{sql} ORDER BY {source.key} DESC", keys))
