"""Imports: every row added, already there, removed or refused; partly a success, never a mess."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.entries import Asked, EntryStore, Op
from gateway.entries.importing import CHUNK, KEPT, ImportReport, Remark, run_import
from gateway.entries.sources import Refused, Row, Skipped
from gateway.errors import EntryError, StoreError
from gateway.policy.model import Entry, EntryKind, Policy
from tests.support.policies import make_list, make_policy

LISTS = (make_list("blacklist"), make_list("friends", "allow", 1))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EntryStore]:
    store = EntryStore(tmp_path / "entries.db")
    yield store
    store.close()


def policy(*entries: Entry) -> Policy:
    return make_policy(LISTS, entries)


def ask(line: int, number: str, **rest: object) -> Row:
    return Row(line, Asked(number=number, **rest))  # type: ignore[arg-type]


def numbers(count: int) -> list[Row]:
    return [ask(line, f"+3361{line:07}") for line in range(1, count + 1)]


def run(rows: list[Row], store: EntryStore | None, **rest: object) -> ImportReport:
    rest.setdefault("policy", policy())
    known: dict[str, object] = {"who": "alice", "source": "import:list.txt", **rest}
    return run_import(rows, store=store, **known)  # type: ignore[arg-type]


def totals(report: ImportReport) -> dict[str, int]:
    names = ("added", "exists", "removed", "absent", "refused", "skipped")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def test_rows_are_added_already_there_refused_or_skipped(store: EntryStore) -> None:
    rows = [
        ask(1, "+33162000000", reason="rude"),
        ask(2, "+33162000000"),
        ask(3, "nonsense"),
        ask(4, "+33162000001", list="nowhere"),
        Row(5, Refused("x", "a bad row")),
        Row(6, Skipped("switched off")),
    ]
    report = run(rows, store)
    assert totals(report) == {"added": 1, "exists": 1, "refused": 3, "skipped": 1}
    assert report.rows == 6
    assert [remark[:2] for remark in report.refusals] == [
        *((3, "nonsense"), (4, "+33162000001"), (5, "x"))
    ]
    assert "there is no list 'nowhere'" in report.refusals[1].why
    assert report.skips == {"switched off": 1}
    assert report.rev == store.rev == 1
    [entry] = store.managed()
    assert (entry.entry.text, entry.reason, entry.who) == ("+33162000000", "rude", "alice")
    [change] = store.changes_since(0)
    assert change.source == "import:list.txt"


def test_many_rows_go_chunk_by_chunk(store: EntryStore) -> None:
    seen: list[int] = []
    report = run(numbers(2 * CHUNK + 1), store, progress=lambda told: seen.append(told.added))
    assert seen == [CHUNK, 2 * CHUNK, 2 * CHUNK + 1]
    assert report.rev == store.rev == 2 * CHUNK + 1


def test_an_import_is_taken_back_by_removing_the_same_rows(store: EntryStore) -> None:
    run(numbers(3), store)
    report = run([*numbers(2), ask(9, "+33162000009")], store, op=Op.REMOVE)
    assert totals(report) == {"removed": 2, "absent": 1}
    assert [entry.entry.text for entry in store.managed()] == ["+33610000003"]
    assert report.rev == store.rev


def test_a_dry_run_says_what_an_import_would_do_and_writes_nothing(store: EntryStore) -> None:
    there = Entry("blacklist", EntryKind.NUMBER, "33610000001", managed=7)
    written = Entry("blacklist", EntryKind.NUMBER, "33610000002")
    rows = [*numbers(3), *numbers(3), ask(9, "nonsense")]
    report = run(rows, store, policy=policy(there, written), dry_run=True)
    assert totals(report) == {"added": 2, "exists": 4, "refused": 1}
    assert (report.dry_run, report.rev, store.rev) == (True, 0, 0)
    report = run(numbers(2), None, policy=policy(there, written), op=Op.REMOVE, dry_run=True)
    assert totals(report) == {"removed": 1, "absent": 1}


def test_an_entry_that_has_expired_is_added_again(store: EntryStore) -> None:
    past = ask(1, "+33162000000", expires="2020-01-01", confirm=True)
    assert totals(run([past, ask(2, "+33162000000")], store)) == {"added": 2}
    expired = policy(Entry("blacklist", EntryKind.NUMBER, "33162000000", expires=1, managed=1))
    again = [ask(1, "+33162000000")]
    assert totals(run(again, None, policy=expired, dry_run=True)) == {"added": 1}
    removal = run(again, None, policy=expired, dry_run=True, op=Op.REMOVE)
    assert totals(removal) == {"removed": 1}


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30))
def test_a_dry_run_foresees_what_an_import_does(
    tmp_path_factory: pytest.TempPathFactory, picks: list[tuple[int, bool]]
) -> None:
    store = EntryStore(tmp_path_factory.mktemp("state") / "entries.db")
    try:
        run([ask(1, "+33162000003"), ask(2, "+33162*")], store)
        now = policy(*store.entries())
        rows = [
            ask(line, f"+3316200000{digit}" if good else f"+3316{digit}*")
            for line, (digit, good) in enumerate(picks, 1)
        ]
        for op in (Op.ADD, Op.REMOVE):
            foreseen = run(rows, store, policy=now, op=op, dry_run=True)
            assert totals(foreseen) == totals(run(rows, store, policy=now, op=op))
            now = policy(*store.entries())
    finally:
        store.close()


def test_a_prefix_of_a_country_is_refused_unless_it_is_confirmed(store: EntryStore) -> None:
    report = run([ask(1, "+33*"), ask(2, "+33162*")], store)
    assert totals(report) == {"added": 1, "refused": 1}
    assert "confirm" in report.refusals[0].why
    assert totals(run([ask(1, "+33*", confirm=True)], store)) == {"added": 1}


def test_a_row_that_the_store_refuses_costs_no_other(store: EntryStore) -> None:
    rows = [ask(1, "+33162000000"), ask(2, "+33162000001", reason="a\nb"), ask(3, "+33162000002")]
    report = run(rows, store)
    assert totals(report) == {"added": 2, "refused": 1}
    [refusal] = report.refusals
    assert (refusal.line, refusal.text) == (2, "+33162000001")
    assert "one line" in refusal.why


def test_a_report_keeps_the_first_refusals_and_all_can_be_had(store: EntryStore) -> None:
    rows = [Row(line, Refused("x", "bad")) for line in range(1, KEPT + 11)]
    rejected: list[Remark] = []
    report = run(rows, store, rejected=rejected.append)
    assert (report.refused, len(report.refusals), len(rejected)) == (KEPT + 10, KEPT, KEPT + 10)
    assert len(run(rows, store, keep=None).refusals) == KEPT + 10


def test_what_speaks_against_an_entry_is_told_with_its_line(store: EntryStore) -> None:
    report = run([ask(3, "+33099999999")], store)
    assert (report.added, report.warned) == (1, 1)
    [warning] = report.warnings
    assert (warning.line, warning.text) == (3, "+33099999999")
    assert "is in no range" in warning.why


def test_what_was_written_before_the_store_failed_stays(
    store: EntryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_all, calls = EntryStore.apply_all, [0]

    def failing(self: EntryStore, changes: object) -> object:
        calls[0] += 1
        if calls[0] > 1:
            raise StoreError("managed entries: the disk is full")
        return apply_all(self, changes)  # type: ignore[arg-type]

    monkeypatch.setattr(EntryStore, "apply_all", failing)
    with pytest.raises(StoreError, match="full"):
        run(numbers(CHUNK + 1), store)
    assert store.rev == CHUNK


def test_whoever_watches_can_end_it(store: EntryStore) -> None:
    def enough(report: ImportReport) -> None:
        raise EntryError(f"{report.rows} are enough")

    with pytest.raises(EntryError, match=f"{CHUNK} are enough"):
        run(numbers(CHUNK + 1), store, progress=enough)
    assert store.rev == CHUNK


def test_an_empty_file_changes_nothing(store: EntryStore) -> None:
    assert totals(run([], store)) == {}


def test_digits_of_a_dialer_are_not_proposed_as_another_countrys() -> None:
    report = run([ask(1, "2015550100")], None, dry_run=True)
    [remark] = report.refusals
    assert "+2015550100" not in remark.why
    assert "(from vicidial)" in remark.why
    assert "(before +)" in remark.why


def test_prefixes_without_a_plus_are_told_how_all_of_them_get_one() -> None:
    report = run([ask(1, "33162", kind=EntryKind.PREFIX)], None, dry_run=True)
    assert "(before +)" in report.refusals[0].why
    assert "vicidial" not in report.refusals[0].why


def test_what_is_taken_as_a_prefix_for_its_length_is_told() -> None:
    report = run([ask(1, "+33162"), ask(2, "+33163*")], None, dry_run=True)
    assert [(one.line, one.why) for one in report.warnings] == [
        (
            1,
            "too short for a whole number: taken as a prefix, "
            "it covers every number that begins with it",
        )
    ]
