"""The managed entries: an ordered log, idempotent, undoable, safe against a second writer."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.entries import Change, EntryStore, ManagedEntry, NewChange, Op, Status
from gateway.errors import EntryError, StoreError
from gateway.policy.model import Entry, EntryKind, Origin


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[EntryStore]:
    store = EntryStore(tmp_path / "entries.db", clock=clock)
    yield store
    store.close()


def change(op: Op, digits: str = "33123456789", **fields: object) -> NewChange:
    return NewChange(op=op, who="alice", source="cli", digits=digits, **fields)  # type: ignore[arg-type]


def test_an_added_entry_is_in_the_log_and_in_the_policy(store: EntryStore, clock: Clock) -> None:
    applied = store.apply(change(Op.ADD, reason="complaint", expires=1_900_000_000))
    assert (applied.rev, applied.status) == (1, Status.ADDED)
    assert store.entries() == [
        Entry(
            "blacklist",
            EntryKind.NUMBER,
            "33123456789",
            "complaint",
            1_900_000_000,
            Origin("managed"),
            managed=1,
        )
    ]
    [logged] = store.changes_since(0)
    assert (logged.who, logged.source, logged.op) == ("alice", "cli", Op.ADD)
    assert (logged.at, logged.before, logged.after) == (clock.now, None, applied.entry)


def test_adding_what_exists_changes_nothing(store: EntryStore) -> None:
    first = store.apply(change(Op.ADD, reason="first"))
    again = store.apply(change(Op.ADD, reason="second"))
    assert (again.status, again.rev, again.entry) == (Status.EXISTS, 1, first.entry)
    assert len(store.changes_since(0)) == 1


def test_adding_what_has_expired_brings_it_back(store: EntryStore) -> None:
    store.apply(change(Op.ADD, expires=1_700_000_000))
    again = store.apply(change(Op.ADD))
    assert again.status is Status.ADDED
    assert [(entry.managed, entry.expires) for entry in store.entries()] == [(1, 0)]


def test_the_same_digits_in_another_list_or_of_another_kind_are_another_entry(
    store: EntryStore,
) -> None:
    store.apply(change(Op.ADD, "33162"))
    assert store.apply(change(Op.ADD, "33162", kind=EntryKind.PREFIX)).status is Status.ADDED
    assert store.apply(change(Op.ADD, "33162", list="partners")).status is Status.ADDED
    assert [entry.managed for entry in store.entries()] == [1, 2, 3]


def test_removing_works_by_number_and_by_id(store: EntryStore) -> None:
    store.apply_all([change(Op.ADD, "331"), change(Op.ADD, "332")])
    assert store.apply(change(Op.REMOVE, "331")).status is Status.REMOVED
    assert store.apply(change(Op.REMOVE, "", id=2)).status is Status.REMOVED
    assert store.entries() == []
    assert [logged.after for logged in store.changes_since(2)] == [None, None]


def test_removing_what_is_not_there_changes_nothing(store: EntryStore) -> None:
    assert store.apply(change(Op.REMOVE)).status is Status.ABSENT
    assert store.rev == 0


def test_an_edit_keeps_the_id_and_says_what_was_there(store: EntryStore) -> None:
    store.apply(change(Op.ADD, reason="old"))
    edited = store.apply(change(Op.EDIT, reason="new", expires=1_900_000_000))
    assert edited.status is Status.EDITED
    [entry] = store.entries()
    assert (entry.managed, entry.reason, entry.expires) == (1, "new", 1_900_000_000)
    [logged] = store.changes_since(1)
    assert logged.before is not None
    assert logged.before.reason == "old"


def test_an_edit_that_changes_nothing_has_no_revision(store: EntryStore) -> None:
    store.apply(change(Op.ADD, reason="same"))
    assert store.apply(change(Op.EDIT, reason="same")).status is Status.EXISTS
    assert store.apply(change(Op.EDIT, "999", reason="same")).status is Status.ABSENT
    assert store.rev == 1


@pytest.mark.parametrize("op", [Op.REMOVE, Op.EDIT])
def test_undo_brings_back_what_a_change_found(store: EntryStore, op: Op) -> None:
    store.apply(change(Op.ADD, reason="old"))
    before = store.entries()
    rev = store.apply(change(op, reason="new")).rev
    undone = store.apply(change(Op.UNDO, rev=rev))
    assert undone.status is Status.UNDONE
    assert store.entries() == before
    assert store.changes_since(rev)[0].undoes == rev


def test_an_undo_is_a_change_that_can_be_undone(store: EntryStore) -> None:
    store.apply(change(Op.ADD))
    before = store.entries()
    undone = store.apply(change(Op.UNDO, rev=1))
    assert (undone.entry, store.entries()) == (None, [])
    store.apply(change(Op.UNDO, rev=undone.rev))
    assert store.entries() == before


def test_an_undo_never_overwrites_a_later_change(store: EntryStore) -> None:
    store.apply(change(Op.ADD))
    store.apply(change(Op.EDIT, reason="later"))
    with pytest.raises(EntryError, match="changed after it"):
        store.apply(change(Op.UNDO, rev=1))
    store.apply(change(Op.REMOVE))
    store.apply(change(Op.ADD))
    with pytest.raises(EntryError, match="added again since"):
        store.apply(change(Op.UNDO, rev=3))
    with pytest.raises(EntryError, match="no change 99"):
        store.apply(change(Op.UNDO, rev=99))
    assert store.rev == 4


@pytest.mark.parametrize(
    "bad",
    [
        change(Op.ADD, ""),
        change(Op.ADD, "+331"),
        change(Op.ADD, "1" * 16),
        change(Op.ADD, "٣٣"),
        change(Op.ADD, list="Not A Name"),
        change(Op.ADD, expires=-1),
        change(Op.ADD, expires=1 << 32),
        change(Op.ADD, reason="two\nlines"),
        change(Op.ADD, reason="x" * 501),
        change(Op.ADD, reason="line\u2028separator"),
        change(Op.REMOVE, "abc"),
    ],
)
def test_what_could_never_be_an_entry_is_refused(store: EntryStore, bad: NewChange) -> None:
    with pytest.raises(EntryError):
        store.apply(bad)
    assert store.rev == 0


def test_a_batch_is_written_whole_or_not_at_all(store: EntryStore) -> None:
    with pytest.raises(EntryError):
        store.apply_all([change(Op.ADD), change(Op.UNDO, rev=77)])
    assert (store.rev, store.entries()) == (0, [])


def test_pages_and_lists_narrow_what_is_shown(store: EntryStore) -> None:
    store.apply_all([change(Op.ADD, str(number)) for number in range(10, 15)])
    store.apply(change(Op.ADD, "99", list="partners"))
    assert [item.digits for item in store.managed(after=3, limit=2)] == ["13", "14"]
    assert [item.digits for item in store.managed(list_name="partners")] == ["99"]
    assert [logged.rev for logged in store.changes_since(2, limit=2)] == [3, 4]


def test_the_file_is_for_its_owner_only_and_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "entries.db"
    store = EntryStore(path)
    store.apply(change(Op.ADD))
    for name in ("entries.db", "entries.db-wal", "entries.db-shm"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    store.close()
    again = EntryStore(path)
    assert again.read() == (1, again.entries())
    assert len(again.entries()) == 1
    again.close()


def test_every_change_is_on_the_disk_before_it_is_acknowledged(store: EntryStore) -> None:
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_file_that_cannot_be_used_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        EntryStore(tmp_path / "missing" / "entries.db")
    (tmp_path / "text.db").write_text("not a database at all, but long enough to be read as one\n")
    with pytest.raises(StoreError, match="not a database"):
        EntryStore(tmp_path / "text.db")


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "entries.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer version"):
        EntryStore(path)


WRITER = """
import sys
from pathlib import Path
from gateway.entries import EntryStore, NewChange, Op
store = EntryStore(Path(sys.argv[1]))
for number in range(100):
    for first in (sys.argv[2], "7"):
        store.apply(NewChange(op=Op.ADD, who="x", source="cli", digits=first + str(number)))
store.close()
"""


def test_two_processes_writing_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "entries.db"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), who]) for who in ("1", "2")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    store = EntryStore(path)
    changes = store.changes_since(0)
    assert [logged.rev for logged in changes] == list(range(1, 301))
    assert {entry.digits for entry in store.entries()} == {
        first + str(number) for first in "127" for number in range(100)
    }
    store.close()


def replay(changes: list[Change]) -> dict[int, ManagedEntry]:
    """What the log adds up to, read the obvious way."""
    entries: dict[int, ManagedEntry] = {}
    for logged in changes:
        if logged.before:
            assert entries.pop(logged.before.id) == logged.before
        if logged.after:
            assert logged.after.id not in entries
            entries[logged.after.id] = logged.after
    return entries


changes = st.builds(
    NewChange,
    op=st.sampled_from(Op),
    who=st.just("x"),
    source=st.just("test"),
    digits=st.sampled_from(["1", "2"]),
    reason=st.sampled_from(["", "a"]),
    expires=st.sampled_from([0, 1]),
    rev=st.integers(1, 12),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(changes, max_size=14))
def test_the_entries_are_always_what_the_log_adds_up_to(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[NewChange]
) -> None:
    store = EntryStore(tmp_path_factory.mktemp("log") / "entries.db")
    for item in wanted:
        try:
            store.apply(item)
        except EntryError:
            assert item.op is Op.UNDO
    assert list(replay(store.changes_since(0)).values()) == store.managed()
    store.close()
