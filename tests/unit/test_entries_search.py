"""Pages of entries and changes: the newest first, bounded, and nothing lost between them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.entries import (
    Change,
    ChangeFilter,
    EntryFilter,
    EntryStore,
    ManagedEntry,
    NewChange,
    Op,
    Page,
)
from gateway.entries import search as searching
from gateway.errors import EntryError, StoreError
from gateway.policy.model import EntryKind
from tests.support.examples import tries

T = TypeVar("T")


def change(op: Op, digits: str, **fields: Any) -> NewChange:
    return NewChange(op=op, digits=digits, **({"who": "alice", "source": "cli"} | fields))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EntryStore]:
    store = EntryStore(tmp_path / "entries.db")
    yield store
    store.close()


@pytest.fixture
def filled(store: EntryStore) -> EntryStore:
    store.apply_all(
        [
            change(Op.ADD, "33123456789", reason="Robot calls", who="bob"),
            change(Op.ADD, "33162", kind=EntryKind.PREFIX, reason="100% spam"),
            change(Op.ADD, "331620000", list="partners", kind=EntryKind.PREFIX),
            change(Op.ADD, "33162000000", source="api"),
            change(Op.ADD, "3316", kind=EntryKind.SHORT_PREFIX),
            change(Op.ADD, "442079460000", who="carol", source="page"),
            change(Op.EDIT, "33123456789", reason="Robot calls!", who="carol"),
            change(Op.REMOVE, "442079460000"),
        ]
    )
    return store


def ids(page: Page[ManagedEntry]) -> list[int]:
    return [item.id for item in page.items]


def revs(page: Page[Change]) -> list[int]:
    return [item.rev for item in page.items]


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"digits": "33162"}, [4, 3, 2]),
        ({"digits": "3316200000000"}, []),
        ({"list": "partners"}, [3]),
        ({"list": "partners", "digits": "44"}, []),
        ({"covering": "33162000000"}, [4, 3, 2]),
        ({"covering": "33162999999"}, [2]),
        ({"covering": "33162999999", "list": "partners"}, []),
        ({"covering": "3316", "short": True}, [5]),
        ({"covering": "3316"}, []),
        ({"text": "ROBOT"}, [1]),
        ({"text": "carol"}, [1]),
        ({"text": "2345"}, [1]),
        ({"text": "0%"}, [2]),
        ({"text": "3_1"}, []),
        ({"text": "a!"}, []),
        ({"who": "alice"}, [5, 4, 3, 2]),
        ({"who": "ali"}, []),
    ],
)
def test_entries_are_found_by_what_is_asked_for(
    filled: EntryStore, filter: dict[str, Any], found: list[int]
) -> None:
    page = filled.search(EntryFilter(**filter))
    assert (ids(page), page.next) == (found, 0)


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ({}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"who": "carol"}, [7, 6]),
        ({"list": "partners"}, [3]),
        ({"digits": "4420"}, [8, 6]),
        ({"op": Op.EDIT}, [7]),
        ({"op": Op.UNDO}, []),
        ({"source": "page"}, [6]),
        ({"who": "carol", "op": Op.ADD}, [6]),
        ({"digits": "33123456789", "source": "api"}, []),
    ],
)
def test_changes_are_found_by_what_is_asked_for(
    filled: EntryStore, filter: dict[str, Any], found: list[int]
) -> None:
    page = filled.search_changes(ChangeFilter(**filter))
    assert (revs(page), page.next) == (found, 0)


def test_a_list_is_counted_with_all_its_entries(filled: EntryStore) -> None:
    assert filled.counts() == {"blacklist": 4, "partners": 1}


def test_entries_are_found_by_their_ids(filled: EntryStore) -> None:
    assert sorted(item.id for item in filled.by_ids([3, 1, 6, 99])) == [1, 3]
    assert filled.by_ids([]) == []


def test_a_page_says_where_the_next_one_begins(filled: EntryStore) -> None:
    first = filled.search(EntryFilter(), limit=2)
    assert (ids(first), first.next) == ([5, 4], 4)
    second = filled.search(EntryFilter(), before=first.next, limit=3)
    assert (ids(second), second.next) == ([3, 2, 1], 0)


def test_a_limit_out_of_bounds_is_brought_into_them(
    filled: EntryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MAX_LIMIT", 3)
    assert len(filled.search(EntryFilter(), limit=10**9).items) == 3
    assert len(filled.search(EntryFilter(), limit=0).items) == 1
    assert len(filled.search(EntryFilter(), before=-5).items) == 3
    assert len(filled.search(EntryFilter(), before=2**70).items) == 3
    assert ids(filled.search(EntryFilter(covering="33162" + "9" * 50_000))) == [2]


def all_pages(turn: Callable[[int], Page[T]]) -> list[T]:
    """What all pages hold, one after the other."""
    items: list[T] = []
    before = 0
    for _ in range(10_000):
        page = turn(before)
        items += page.items
        before = page.next
        if not before:
            return items
    raise AssertionError("the pages never end")


entry_filters = st.builds(
    EntryFilter,
    list=st.sampled_from(["", "a", "b"]),
    digits=st.text("12", max_size=2),
    covering=st.text("12", max_size=3),
    short=st.booleans(),
    text=st.sampled_from(["", "1", "x", "X", "%"]),
    who=st.sampled_from(["", "x", "y"]),
)
change_filters = st.builds(
    ChangeFilter,
    list=st.sampled_from(["", "a", "b"]),
    digits=st.text("12", max_size=2),
    who=st.sampled_from(["", "x", "y"]),
    source=st.sampled_from(["", "cli", "api"]),
    op=st.sampled_from([None, *Op]),
)
written = st.builds(
    NewChange,
    op=st.sampled_from([Op.ADD, Op.ADD, Op.REMOVE]),
    who=st.sampled_from("xy"),
    source=st.sampled_from(["cli", "api"]),
    list=st.sampled_from("ab"),
    kind=st.sampled_from(EntryKind),
    digits=st.text("12", min_size=1, max_size=3),
    reason=st.sampled_from(["", "X", "50%"]),
)


def passes(item: ManagedEntry, wanted: EntryFilter) -> bool:
    covering = wanted.covering
    exact = item.kind.exact and item.digits == covering
    begins = not item.kind.exact and covering.startswith(item.digits)
    texts = (item.digits, item.reason, item.who)
    return (
        item.list.startswith(wanted.list)
        and item.digits.startswith(wanted.digits)
        and (not covering or (item.kind.short is wanted.short and (exact or begins)))
        and (not wanted.who or item.who == wanted.who)
        and any(wanted.text.lower() in text.lower() for text in texts)
    )


def shows(item: Change, wanted: ChangeFilter) -> bool:
    entry = item.after or item.before
    return (
        entry is not None
        and entry.list.startswith(wanted.list)
        and entry.digits.startswith(wanted.digits)
        and item.who.startswith(wanted.who)
        and item.source.startswith(wanted.source)
        and wanted.op in (None, item.op)
    )


@tries(60)
@given(
    changes=st.lists(written, max_size=30),
    wanted=entry_filters,
    audited=change_filters,
    few=st.sampled_from([0, 3, 1000]),
    seen=st.sampled_from([1, 2, 7, 1000]),
    limit=st.sampled_from([1, 2, 5, 100]),
)
def test_the_pages_hold_everything_that_passes_once_newest_first(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[NewChange],
    wanted: EntryFilter,
    audited: ChangeFilter,
    few: int,
    seen: int,
    limit: int,
) -> None:
    store = EntryStore(tmp_path_factory.mktemp("search") / "entries.db")
    store.apply_all(changes)
    entries = [item for item in store.managed() if passes(item, wanted)]
    log = [item for item in store.changes_since(0) if shows(item, audited)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "FEW", few)
        patch.setattr(searching, "SEEN", seen)
        found = all_pages(lambda before: store.search(wanted, before=before, limit=limit))
        lines = all_pages(lambda before: store.search_changes(audited, before=before, limit=limit))
    assert found == entries[::-1]
    assert lines == log[::-1]
    store.close()


OLD = """
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
INSERT INTO changes (at, who, source, op, after) VALUES (1800000000.0, 'alice', 'cli', 'add',
    '{"id":1,"list":"blacklist","kind":"number","digits":"33123456789","reason":"robot",'
    || '"expires":0,"who":"alice","at":1800000000.0}');
INSERT INTO entries VALUES
    (1, 'blacklist', 'number', '33123456789', 'robot', 0, 'alice', 1800000000.0);
PRAGMA user_version = 1;
"""
"""A file of the first version of the schema, with one entry."""


def old_file(path: Path) -> Path:
    db = sqlite3.connect(path)
    db.executescript(OLD)
    db.close()
    return path


def test_a_file_of_the_first_version_is_brought_up_to_date_and_loses_nothing(
    tmp_path: Path,
) -> None:
    path = old_file(tmp_path / "entries.db")
    store = EntryStore(path)
    [entry] = store.managed()
    assert (entry.id, entry.digits, entry.reason) == (1, "33123456789", "robot")
    [logged] = store.changes_since(0)
    assert (logged.after, logged.covered) == (entry, "")
    assert revs(store.search_changes(ChangeFilter(digits="33123", list="blacklist"))) == [1]
    added = store.apply(change(Op.ADD, "33", kind=EntryKind.PREFIX, covered="all of +33"))
    assert added.rev == 2
    store.close()
    again = EntryStore(path)
    assert [item.covered for item in again.changes_since(0)] == ["", "all of +33"]
    again.close()


def schema(path: Path) -> set[tuple[str, str]]:
    db = sqlite3.connect(path)
    found = {
        (name, column)
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        for (column,) in db.execute("SELECT name FROM pragma_table_xinfo(?)", (name,))
    }
    db.close()
    return found


def test_an_old_file_and_a_new_one_end_up_with_the_same_schema(tmp_path: Path) -> None:
    for path in (tmp_path / "new.db", old_file(tmp_path / "old.db")):
        EntryStore(path).close()
    assert schema(tmp_path / "new.db") == schema(tmp_path / "old.db")


def test_an_old_file_that_cannot_be_brought_up_to_date_stays_as_it_is(tmp_path: Path) -> None:
    path = old_file(tmp_path / "entries.db")
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE entries_digits (other TEXT)")
    db.close()
    before = schema(path)
    with pytest.raises(StoreError, match="entries_digits"):
        EntryStore(path)
    assert schema(path) == before


def test_what_a_change_covered_must_be_one_line(store: EntryStore) -> None:
    for text in ("two\nlines", "x" * 4001):
        with pytest.raises(EntryError, match="the covered must be one line"):
            store.apply(change(Op.ADD, "33123456789", covered=text))
