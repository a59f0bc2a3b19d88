"""The managed entries: an ordered log, idempotent, undoable, safe against a second writer."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls import Direction
from gateway.entries import (
    Asked,
    Change,
    EntryStore,
    ManagedEntry,
    NeedsConfirmation,
    NewChange,
    Op,
    Status,
    Understood,
    export_yaml,
    understand,
)
from gateway.errors import EntryError, StoreError
from gateway.policy.loader import load
from gateway.policy.model import Action, Entry, EntryKind, ListDef, Match, Mode, Origin, Party
from tests.support.examples import tries
from tests.support.policies import make_list, make_policy


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


def test_a_change_that_is_undone_is_not_undone_twice(store: EntryStore) -> None:
    store.apply(change(Op.ADD))
    store.apply(change(Op.UNDO, rev=1))
    with pytest.raises(EntryError, match="change 1 is undone already, by change 2"):
        store.apply(change(Op.UNDO, rev=1))
    store.apply(change(Op.UNDO, rev=2))
    assert store.apply(change(Op.UNDO, rev=1)).status is Status.UNDONE


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
    assert store._db is not None
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


@tries(60)
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
    assert replay(store.changes_since(0)) == {item.id: item for item in store.managed()}
    store.close()


def entry(digits: str, kind: EntryKind = EntryKind.NUMBER, **fields: Any) -> Entry:
    fields.setdefault("list", "blacklist")
    return Entry(kind=kind, digits=digits, **fields)


def reloaded(tmp_path: Path, text: str) -> list[tuple[str, EntryKind, str, str, int]]:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    found = load(path).policy.index.entries()
    return sorted((e.list, e.kind, e.digits, e.reason, e.expires) for e in found)


def test_an_export_loads_as_it_is(tmp_path: Path) -> None:
    entries = [
        entry("33123456789"),
        entry("33123456788", reason='it\'s "quoted": # no comment \\ ☎ 😀', expires=1_900_000_000),
        entry("33162", EntryKind.PREFIX),
        entry("3179", EntryKind.SHORT, list="internal"),
        entry("31", EntryKind.SHORT_PREFIX, list="internal", reason="{[%&*!|>'@`"),
    ]
    text = export_yaml(entries)
    assert '- "+33123456789"\n' in text
    expected = sorted((e.list, e.kind, e.digits, e.reason, e.expires) for e in entries)
    assert reloaded(tmp_path, text) == expected


def test_an_export_keeps_what_a_list_does(tmp_path: Path) -> None:
    item = ListDef(
        name="vip",
        action=Action.ALLOW,
        order=0,
        origin=Origin(""),
        direction=Direction.INBOUND,
        party=Party.ANY,
        extensions=frozenset({"100", "200"}),
        reason="known: people",
    )
    path = tmp_path / "policy.yaml"
    path.write_text(export_yaml([entry("33123456789", list="vip")], [item]))
    again = load(path).policy.lists[0]
    for key in ("name", "action", "direction", "party", "extensions", "reason"):
        assert getattr(again, key) == getattr(item, key)


def test_an_export_of_a_narrow_list_says_all_that_narrows_it() -> None:
    item = make_list(
        "narrow",
        campaigns=frozenset({"sale"}),
        trunks=frozenset({"b", "a"}),
        response=607,
        mode=Mode.SHADOW,
        binding=True,
    )
    text = export_yaml([entry("33123456789", list="narrow")], [item])
    assert 'campaigns: ["sale"]' in text
    assert 'trunks: ["a", "b"]' in text
    for line in ("response: 607", "mode: shadow", "binding: true"):
        assert f"    {line}\n" in text


def test_an_export_of_nothing_is_a_policy_too(tmp_path: Path) -> None:
    assert reloaded(tmp_path, export_yaml([])) == []


printable = st.text(max_size=60).filter(str.isprintable).filter(lambda text: text == text.strip())


@tries(40)
@given(reason=printable, expires=st.integers(1, 2**32 - 1))
def test_every_reason_and_expiry_survives_an_export(
    tmp_path_factory: pytest.TempPathFactory, reason: str, expires: int
) -> None:
    text = export_yaml([entry("33123456789", reason=reason, expires=expires)])
    [found] = reloaded(tmp_path_factory.mktemp("export"), text)
    assert found[3:] == (reason, expires)


POLICY = make_policy(
    [
        make_list("blacklist"),
        make_list("british", order=1, region="GB"),
        make_list("premium", order=2, match=Match(types=frozenset({"premium_rate"}))),
    ]
)


def understood(number: str, op: Op = Op.ADD, **fields: Any) -> Understood:
    return understand(Asked(number=number, **fields), op, POLICY, who="bob", source="cli")


@pytest.mark.parametrize(
    ("number", "fields", "kind", "digits"),
    [
        ("+33123456789", {}, EntryKind.NUMBER, "33123456789"),
        ("01 23 45 67 89", {}, EntryKind.NUMBER, "33123456789"),
        ("+33162", {}, EntryKind.PREFIX, "33162"),
        ("+33162", {"kind": EntryKind.PREFIX}, EntryKind.PREFIX, "33162"),
        ("020 7946 0000", {"list": "british"}, EntryKind.NUMBER, "442079460000"),
        ("3179", {"kind": EntryKind.SHORT}, EntryKind.SHORT, "3179"),
        ("31", {"kind": EntryKind.SHORT_PREFIX}, EntryKind.SHORT_PREFIX, "31"),
    ],
)
def test_a_number_is_read_under_the_region_of_its_list(
    number: str, fields: dict[str, Any], kind: EntryKind, digits: str
) -> None:
    change = understood(number, **fields).change
    assert (change.kind, change.digits, change.who) == (kind, digits, "bob")


def test_an_expiry_is_read_as_in_yaml() -> None:
    assert understood("+33123456789", expires="2027-01-31").change.expires == 1_801_440_000
    with pytest.raises(EntryError, match="2027-01-31"):
        understood("+33123456789", expires="next week")


@pytest.mark.parametrize(
    ("number", "fields", "message"),
    [
        ("nonsense", {}, "nonsense"),
        ("+33123456789", {"list": "missing"}, "the lists are blacklist, british, premium"),
        ("+33123456789", {"list": "premium"}, "takes no entries"),
        ("+33162", {"kind": EntryKind.NUMBER}, "33162"),
    ],
)
def test_what_cannot_become_an_entry_is_refused_with_a_reason(
    number: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(EntryError, match=message):
        understood(number, **fields)


@pytest.mark.parametrize(
    ("number", "kind", "what"),
    [
        ("+35", None, "+35 covers all of the 10 country codes that begin with +35"),
        ("+33", None, "+33 covers all of +33 (FR)"),
        ("01", EntryKind.PREFIX, "+331 covers all numbers of +33 (FR) that begin with 1"),
        ("+44*", None, "+44 covers all of +44 (GB, GG, IM and 1 more)"),
    ],
)
def test_a_wide_prefix_is_added_only_when_it_is_confirmed(
    number: str, kind: EntryKind | None, what: str
) -> None:
    entry, _, clause = what.partition(" ")
    with pytest.raises(NeedsConfirmation, match=re.escape(f"{entry}*: it {clause}: confirm it")):
        understood(number, kind=kind)
    assert understood(number, kind=kind, confirm=True).change.kind is EntryKind.PREFIX
    assert understood(number, Op.REMOVE, kind=kind).change.kind is EntryKind.PREFIX


def test_an_entry_can_be_removed_from_a_list_that_is_gone() -> None:
    assert understood("+33123456789", Op.REMOVE, list="missing").change.list == "missing"
