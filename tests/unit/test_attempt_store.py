"""The attempt store: once by id, newest first off an index, counted per minute."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.attempts import query, schema
from gateway.attempts.database import StoreCorrupt
from gateway.attempts.export import FIELDS, safe, write_csv, write_json
from gateway.attempts.ids import IdMaker
from gateway.attempts.lines import DeliveryLine
from gateway.attempts.model import Attempt, Shadow
from gateway.attempts.query import AttemptFilter
from gateway.attempts.store import AttemptStore, Progress
from gateway.errors import StoreError
from tests.support.attempts import NOON, make_attempt


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AttemptStore]:
    store = AttemptStore(tmp_path / "attempts.db")
    yield store
    store.close()


def ids(attempts: list[Attempt]) -> list[str]:
    return [attempt.id for attempt in attempts]


def test_an_attempt_reads_back_as_it_was(store: AttemptStore) -> None:
    shadow = Shadow(verdict="block", reason="list", list="new", entry="+33", response=603)
    attempt = make_attempt("x", shadow=shadow, unknown_scope=True, caller="a\x00b", elapsed_us=1.5)
    store.add([attempt], [])
    assert store.get("x") == attempt
    assert store.get("y") is None


def test_an_id_is_stored_and_counted_once(store: AttemptStore) -> None:
    attempts = [make_attempt("a"), make_attempt("b"), make_attempt("a")]
    assert store.add(attempts, []) == 2
    assert store.add([*attempts, make_attempt("c")], []) == 1
    assert store.count() == 3
    assert [rollup.count for rollup in store.rollups(0, 1e11)] == [3]


def test_rollups_are_per_minute_and_kind(store: AttemptStore) -> None:
    store.add([make_attempt("a", NOON), make_attempt("b", NOON + 59)], [])
    store.add([make_attempt("c", NOON + 60), make_attempt("d", verdict="allow", campaign="x")], [])
    found = [(r.minute - NOON, r.verdict, r.count) for r in store.rollups(NOON, NOON + 61)]
    assert sorted(found) == [(0, "allow", 1), (0, "block", 2), (60, "block", 1)]
    assert [r.count for r in store.rollups(NOON, NOON + 61, campaign="x")] == [1]
    assert store.rollups(NOON + 61, NOON + 120) == []


@pytest.mark.parametrize("late", [True, False])
def test_a_delivery_finds_its_attempt_whichever_came_first(store: AttemptStore, late: bool) -> None:
    line = DeliveryLine("confirmed", "a", NOON)
    for attempts, deliveries in [([make_attempt("a")], []), ([], [line])][:: 1 if late else -1]:
        store.add(attempts, deliveries)
    assert [attempt.delivery for attempt in store.query()] == ["confirmed"]


def test_the_last_delivery_counts(store: AttemptStore) -> None:
    store.add(
        [make_attempt("a")], [DeliveryLine(word, "a", NOON) for word in ("sent", "confirmed")]
    )
    assert [attempt.delivery for attempt in store.query()] == ["confirmed"]


def test_a_line_read_again_does_not_undo_a_delivery(store: AttemptStore) -> None:
    store.add([make_attempt("a")], [DeliveryLine("sent", "a", NOON)])
    store.add([make_attempt("a")], [])
    assert [attempt.delivery for attempt in store.query()] == ["sent"]


def test_a_delivery_reaches_an_attempt_that_is_read_again_with_it(store: AttemptStore) -> None:
    store.add([make_attempt("a")], [])
    both = [DeliveryLine("sent", "a", NOON), DeliveryLine("lost", "b", NOON)]
    store.add([make_attempt("a"), make_attempt("b")], both)
    assert sorted(attempt.delivery for attempt in store.query()) == ["lost", "sent"]


PAGES = [
    ({}, "abcdefgh"),
    ({"number": "+33162000000"}, "abe"),
    ({"number": "0162000000"}, "abdefgh"),
    ({"number": "+33140000000"}, "abcdfgh"),
    ({"prefix": "+3316"}, "abe"),
    ({"prefix": "+33"}, "abcdefgh"),
    ({"prefix": "+331", "number": "+33162000000"}, "abe"),
    ({"campaign": "spring"}, "bc"),
    ({"campaign": "spring", "verdict": "allow"}, "c"),
    ({"verdict": "allow"}, "cg"),
    ({"direction": "outbound"}, "e"),
    ({"entry": "+33162"}, "abcdefg"),
    ({"entry": "+44"}, "h"),
    ({"entry": "+44", "campaign": "spring"}, ""),
    ({"list": "dnc", "reason": "list"}, "h"),
    ({"since": NOON + 2}, "cdefgh"),
    ({"until": NOON + 2}, "ab"),
    ({"since": NOON + 1, "until": NOON + 4, "number": "+33162000000"}, "b"),
    ({"number": "nobody"}, ""),
]


def fill(store: AttemptStore) -> None:
    other = {"caller_e164": "+33199999999"}
    facts = [
        {},
        {"campaign": "spring"},
        {"campaign": "spring", "verdict": "allow", "caller": "x", **other},
        other,
        {"direction": "outbound", "callee": "0162000000", "callee_e164": "+33162000000", **other},
        other,
        {"verdict": "allow", **other},
        {"list": "dnc", "entry": "+44", **other},
    ]
    store.add([make_attempt("abcdefgh"[n], NOON + n, **f) for n, f in enumerate(facts)], [])


@pytest.mark.parametrize(("asked", "expected"), PAGES)
@pytest.mark.parametrize("broad", [1, 10_000])
def test_a_filter_finds_what_it_says_newest_first(
    store: AttemptStore,
    asked: dict[str, str],
    expected: str,
    broad: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(query, "BROAD", broad)
    fill(store)
    wanted = AttemptFilter(**asked)  # type: ignore[arg-type]
    assert "".join(ids(store.query(wanted))) == expected[::-1]
    assert store.count(wanted) == len(expected)
    assert "".join(ids(store.arrivals(wanted, after=0)[0])) == expected
    assert "".join(ids(store.query(wanted, limit=2))) == expected[::-1][:2]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("asked", [{}, {"number": "+33162000000"}, {"prefix": "+33"}])
def test_pages_join_without_gap_or_overlap(
    store: AttemptStore, limit: int, asked: dict[str, str]
) -> None:
    store.add([make_attempt(f"{n:02}", NOON + n // 3) for n in range(20)], [])
    wanted = AttemptFilter(**asked)  # type: ignore[arg-type]
    found: list[str] = []
    before: str | None = None
    while page := ids(store.query(wanted, limit=limit, before=before)):
        found += page
        before = page[-1]
    assert found == [f"{n:02}" for n in reversed(range(20))]


def test_a_page_goes_on_from_an_attempt_that_was_purged(store: AttemptStore) -> None:
    maker = IdMaker("boot", 0)
    attempts = [make_attempt(maker.next(NOON + n), NOON + n) for n in range(5)]
    store.add(attempts[:2], [])
    assert ids(store.query(before=attempts[3].id)) == ids(attempts[1::-1])


def test_arrivals_pass_over_no_attempt_of_a_slower_worker(store: AttemptStore) -> None:
    store.add([make_attempt("b", NOON + 5)], [])
    seen, place = store.arrivals(after=0)
    store.add([make_attempt("a", NOON)], [])
    late, place = store.arrivals(after=place)
    assert (ids(seen), ids(late)) == (["b"], ["a"])
    assert store.arrivals(after=place) == ([], store.last_seq())


def test_arrivals_go_on_behind_what_did_not_match(store: AttemptStore) -> None:
    store.add([make_attempt("a", verdict="allow"), make_attempt("b", verdict="allow")], [])
    found, place = store.arrivals(AttemptFilter(verdict="block"), after=0)
    assert (found, place) == ([], 2)


def test_a_purge_removes_what_is_older_and_no_more(store: AttemptStore) -> None:
    store.add([make_attempt(str(n), NOON + n * 60) for n in range(10)], [])
    assert store.purge(NOON + 300) == 5
    assert store.purge(NOON + 300) == 0
    assert sorted(ids(store.query())) == ["5", "6", "7", "8", "9"]
    assert [r.minute for r in store.rollups(0, NOON + 300)] == [NOON + 240]
    store.add([make_attempt("new")], [])
    assert store.last_seq() == 11


def test_progress_is_kept_with_the_lines(store: AttemptStore) -> None:
    store.add([make_attempt("a")], [], Progress("s", 10, 1))
    store.add([], [], Progress("s", 20, 1, done=True))
    assert store.progress() == {"s": Progress("s", 20, 1, done=True)}
    store.forget_segment("s")
    assert store.progress() == {}


def test_a_transaction_that_fails_leaves_nothing(store: AttemptStore) -> None:
    broken = make_attempt("b", note=None)
    with pytest.raises(StoreError, match="NOT NULL"):
        store.add([make_attempt("a"), broken], [], Progress("s", 10))
    assert store.query() == []
    assert store.progress() == {}


INDEXES = [
    ({}, {"attempts_at"}),
    ({"number": "+33"}, {f"attempts_{name}" for name in query.NUMBER_COLUMNS}),
    ({"prefix": "+33"}, {"attempts_caller_e164", "attempts_callee_e164"}),
    ({"campaign": "c"}, {"attempts_campaign"}),
    ({"campaign": "c", "verdict": "block", "since": NOON}, {"attempts_campaign"}),
    ({"entry": "+33", "campaign": "c", "until": NOON}, {"attempts_entry"}),
    ({"verdict": "allow", "direction": "inbound"}, {"attempts_at"}),
]


@pytest.mark.parametrize(("asked", "indexes"), INDEXES)
def test_every_search_is_led_by_its_index(
    store: AttemptStore, asked: dict[str, str], indexes: set[str]
) -> None:
    for before in (None, (NOON, 5)):
        sql, values = query.page(AttemptFilter(**asked), 50, before, broad=False)  # type: ignore[arg-type]
        plan = store._db.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
        used = {word for row in plan for word in row[3].split() if word.startswith("attempts_")}
        assert used == indexes
        sorts = [row for row in plan if "TEMP B-TREE FOR ORDER BY" in row[3]]
        assert len(sorts) == (3 if "prefix" in asked else 1)


def test_what_is_added_costs_the_same_however_much_is_there(store: AttemptStore) -> None:
    store.add([make_attempt("a")], [DeliveryLine("sent", "b", NOON)], Progress("s", 10))
    said: list[str] = []
    store._db.set_trace_callback(said.append)
    store.add(
        [make_attempt("b")], [DeliveryLine("lost", each, NOON) for each in "ac"], Progress("s", 20)
    )
    store._db.set_trace_callback(None)
    written = [sql for sql in said if sql.split()[0] in ("INSERT", "UPDATE", "DELETE")]
    assert any("UPDATE attempts" in sql for sql in written)
    for sql in written:
        plan = store._db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
        assert not [row[3] for row in plan if row[3].startswith("SCAN attempts")], sql


def test_the_table_has_the_fields_of_the_record(store: AttemptStore) -> None:
    columns = [row[1] for row in store._db.execute("PRAGMA table_info(attempts)")]
    assert columns == ["seq", *Attempt.__struct_fields__]


def test_the_store_is_durable_and_private(store: AttemptStore, tmp_path: Path) -> None:
    store.add([make_attempt("a")], [])
    pragmas = [
        store._db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    ]
    assert pragmas == ["wal", 2]
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {f"attempts.db{end}": 0o600 for end in ("", "-wal", "-shm")}


def test_a_reader_sees_what_was_written_and_writes_nothing(store: AttemptStore) -> None:
    store.add([make_attempt("a")], [])
    reader = AttemptStore(store.path, readonly=True)
    assert ids(reader.query()) == ["a"]
    with pytest.raises(StoreError, match="readonly"):
        reader.clear()
    reader.close()


def test_a_store_that_is_being_made_reads_as_empty(tmp_path: Path) -> None:
    (tmp_path / "attempts.db").touch()
    reader = AttemptStore(tmp_path / "attempts.db", readonly=True)
    assert ids(reader.query()) == []
    reader.close()


def test_a_reader_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        AttemptStore(tmp_path / "attempts.db", readonly=True)
    assert not list(tmp_path.iterdir())


def test_a_store_of_a_newer_version_is_refused(store: AttemptStore) -> None:
    store._db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match="newer callgate"):
        AttemptStore(store.path)


def test_an_older_version_is_brought_up_to_date(
    store: AttemptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add([make_attempt("a")], [])
    later = "ALTER TABLE attempts ADD COLUMN extra TEXT;\nCREATE TABLE more (x);\n"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
    migrated = AttemptStore(store.path)
    assert ids(migrated.query()) == ["a"]
    assert migrated._db.execute("PRAGMA user_version").fetchone()[0] == 2
    migrated.close()


def test_a_migration_that_fails_changes_nothing(
    store: AttemptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE m (x);\nNO;\n"))
    with pytest.raises(StoreError, match="syntax"):
        AttemptStore(store.path)
    assert not store._db.execute("SELECT * FROM sqlite_master WHERE name = 'm'").fetchall()


def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "attempts.db"
    path.write_bytes(b"no database at all\n" * 100)
    with pytest.raises(StoreCorrupt):
        AttemptStore(path)


def test_a_locked_store_is_an_error_and_works_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.attempts.database.BUSY_SECONDS", 0.01)
    store = AttemptStore(tmp_path / "attempts.db")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.add([make_attempt("a")], [])
    other.execute("ROLLBACK")
    other.close()
    assert store.add([make_attempt("a")], []) == 1
    store.close()


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1", "@x", "\tx", "\rx", "+", "+33x", "＝1"])
def test_a_formula_becomes_text(text: str) -> None:
    assert safe(text) == "'" + text


def test_a_formula_behind_a_separator_becomes_text_too() -> None:
    assert safe("\n=x") == "'\n'=x"
    assert safe('a; "+1') == "a; \"'+1"


@pytest.mark.parametrize("text", ["+33162000000", "", "0162", "a=b", "'quoted", "anonymous"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


def test_csv_has_every_field_and_reads_back() -> None:
    shadow = Shadow(verdict="allow", reason="list")
    out = io.StringIO()
    attempt = make_attempt("x", NOON, caller='=cmd|"x"', shadow=shadow, unknown_scope=True)
    write_csv([attempt], out)
    (row,) = csv.DictReader(io.StringIO(out.getvalue(), newline=""))
    assert tuple(row) == FIELDS
    assert row["time"] == "2027-01-15T08:00:00.000Z"
    assert row["caller"] == '\'=cmd|"x"'
    assert row["caller_e164"] == "+33162000000"
    assert row["unknown_scope"] == "true"
    assert json.loads(row["shadow"])["verdict"] == "allow"


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_no_other_separator_finds_a_cell_within_a_cell(separator: str) -> None:
    out = io.StringIO()
    name = f'a{separator}=1+1{separator} "=2+2"{separator}b'
    write_csv([make_attempt("x", caller_name=name)], out, header=False)
    read = csv.reader(io.StringIO(out.getvalue(), newline=""), delimiter=separator)
    cells = [cell.lstrip() for row in read for cell in row]
    assert len(cells) > 1
    assert not [cell for cell in cells if cell.startswith("=")]


def test_json_lines_are_ascii_and_keep_what_is_no_utf8() -> None:
    out = io.StringIO()
    write_json([make_attempt("x", caller="\udcff\u202e\x9b")], out)
    assert out.getvalue().isascii()
    assert json.loads(out.getvalue())["caller"] == "\udcff\u202e\x9b"


def test_json_lines_have_every_field() -> None:
    out = io.StringIO()
    write_json([make_attempt("x"), make_attempt("y", shadow=Shadow(verdict="a", reason="b"))], out)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert tuple(first) == FIELDS
    assert (first["shadow"], second["shadow"]["verdict"]) == (None, "a")


def test_every_cell_is_quoted_so_that_no_separator_inside_parts_it() -> None:
    out = io.StringIO()
    write_csv([make_attempt("a", caller_name="a;=1+1;b")], out)
    header, row = out.getvalue().splitlines()
    assert header.startswith('"time","id",')
    assert '"a;\'=1+1;b"' in row
    assert all(cell.startswith('"') for cell in row.split(","))
