"""Every matching key of a number comes out, longest first, from memory, file and overlay."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.errors import StoreError
from gateway.policy.columns import MAGIC
from gateway.policy.index import Bulk, Index, build_index
from gateway.policy.model import Entry, EntryKind, ListDef, Origin
from gateway.policy.table import covers, digits_of, key_of, kind_of, rank_of
from tests.support.policies import make_list, number, prefix

LISTS = (
    make_list("blocked", "block", 0),
    make_list("allowed", "allow", 1),
    make_list("campaigned", "block", 2, campaigns=frozenset({"spring"})),
    make_list("trunked", "allow", 3, trunks=frozenset({"carrier"})),
    make_list("both", "block", 4, campaigns=frozenset({"spring"}), trunks=frozenset({"carrier"})),
)
LONG = st.sampled_from(["330123456789012", "999999999999999", "100000000000000", "000000000000001"])
DIGITS = st.text("012", min_size=1, max_size=6) | st.tuples(LONG, st.integers(1, 15)).map(
    lambda parts: parts[0][: parts[1]]
)
KINDS = st.sampled_from(EntryKind)
FREE_DIGITS = st.text("0123456789", min_size=1, max_size=15)


@st.composite
def entry(draw: st.DrawFn) -> Entry:
    return Entry(
        list=draw(st.sampled_from(LISTS)).name,
        kind=draw(st.sampled_from(EntryKind)),
        digits=draw(DIGITS),
        reason=draw(st.sampled_from(["", "complaint", "été"])),
        expires=draw(st.sampled_from([0, 1_900_000_000])),
        origin=Origin(draw(st.sampled_from(["policy.yaml", "a.txt"])), draw(st.integers(1, 9))),
    )


def managed(entries: Sequence[Entry]) -> list[Entry]:
    return [replace(item, managed=place) for place, item in enumerate(entries, 1)]


def expected(entries: Sequence[Entry], digits: str, short: bool) -> list[tuple[object, ...]]:
    by_name = {item.name: item for item in LISTS}
    found = [
        item
        for item in entries
        if item.kind.short is short
        and (item.digits == digits if item.kind.exact else digits.startswith(item.digits))
    ]
    return sorted(shape(item, by_name[item.list]) for item in found)


def shape(item: Entry, listed: ListDef) -> tuple[object, ...]:
    return (not item.kind.exact, -len(item.digits), rank_of(listed, item.managed > 0), item.digits)


def found(index: Index, digits: str, short: bool) -> list[tuple[object, ...]]:
    by_name = {item.name: item for item in LISTS}
    hits = [(hit, index.entry(hit.row)) for hit in index.matches(digits, short)]
    for hit, item in hits:
        assert LISTS[hit.list_no].name == item.list
        assert hit.expires == item.expires
    return [shape(item, by_name[item.list]) for _, item in hits]


@given(st.lists(entry(), max_size=30), DIGITS, st.booleans())
def test_every_match_comes_out_in_the_order_of_precedence(
    entries: list[Entry], digits: str, short: bool
) -> None:
    index = build_index(entries, LISTS)
    assert found(index, digits, short) == expected(entries, digits, short)
    assert sorted(map(repr, index.entries())) == sorted(map(repr, entries))
    assert len(index) == len(entries) == sum(index.counts().values())


@given(st.lists(entry(), max_size=20), DIGITS, st.booleans())
def test_a_mapped_file_answers_as_the_index_that_wrote_it(
    entries: list[Entry], digits: str, short: bool
) -> None:
    index = build_index(managed(entries), LISTS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index")
        index.save(path)
        opened = Index.open(path, LISTS)
        assert opened.matches(digits, short) == index.matches(digits, short)
        assert list(opened.entries()) == list(index.entries())
        again = Path(folder, "again")
        opened.save(again)
        assert again.read_bytes() == path.read_bytes()


@given(
    st.lists(entry(), max_size=12),
    st.lists(entry(), max_size=8),
    st.sets(st.integers(1, 20)),
    DIGITS,
    st.booleans(),
)
def test_managed_changes_answer_as_if_they_had_been_compiled(
    before: list[Entry], after: list[Entry], removed: set[int], digits: str, short: bool
) -> None:
    everything = managed([*before, *after])
    base, added = everything[: len(before)], everything[len(before) :]
    index = build_index(base, LISTS).with_managed(added[:4]).with_managed(added[4:], removed)
    left = [
        item
        for place, item in enumerate(everything)
        if item.managed not in removed or place >= len(before) + 4
    ]
    assert found(index, digits, short) == expected(left, digits, short)
    assert len(index) == len(left) == sum(index.counts().values())
    assert sorted(map(repr, index.entries())) == sorted(map(repr, left))


@given(st.lists(entry(), max_size=30), DIGITS, st.booleans(), st.sets(st.integers(0, 4)))
def test_what_lies_under_digits_comes_out_exact_entries_first(
    entries: list[Entry], digits: str, short: bool, lists: set[int]
) -> None:
    index = build_index(entries, LISTS)
    under = [index.entry(hit.row) for hit in index.under(digits, short, lists)]
    wanted = {LISTS[place].name for place in lists}
    fits = [
        item
        for item in entries
        if item.list in wanted and item.kind.short is short and item.digits.startswith(digits)
    ]
    assert sorted(map(repr, under)) == sorted(map(repr, fits))
    order = [(not item.kind.exact, item.digits) for item in under]
    assert order == sorted(order)


@given(st.lists(entry(), max_size=30), DIGITS)
def test_what_people_wrote_comes_out_in_pages_by_the_order_of_digits(
    entries: list[Entry], digits: str
) -> None:
    index = build_index(entries, LISTS)
    found: list[Entry] = []
    after = -1
    while page := index.written(digits, after=after, limit=3):
        found += [item for _, item in page]
        after = page[-1][0]
    fits = [item for item in entries if item.digits.startswith(digits)]
    assert sorted(map(repr, found)) == sorted(map(repr, fits))
    order = [(item.kind.short, item.digits, item.kind.exact) for item in found]
    assert order == sorted(order)


@given(FREE_DIGITS, KINDS)
def test_a_key_gives_back_its_digits_and_kind(digits: str, kind: EntryKind) -> None:
    assert digits_of(key_of(digits, kind)) == digits
    assert kind_of(key_of(digits, kind)) is kind
    assert key_of(digits, kind) < 2**63


@given(FREE_DIGITS, KINDS, FREE_DIGITS, KINDS)
def test_keys_sort_by_name_space_then_digits_then_prefixes_first(
    one: str, kind: EntryKind, other: str, of: EntryKind
) -> None:
    first, second = (kind.short, one, kind.exact), (of.short, other, of.exact)
    assert (key_of(one, kind) < key_of(other, of)) == (first < second)


@given(FREE_DIGITS, KINDS, FREE_DIGITS, st.booleans(), st.booleans())
def test_a_prefix_covers_every_number_that_begins_with_it(
    one: str, kind: EntryKind, rest: str, extend: bool, exact: bool
) -> None:
    other = (one + rest)[:15] if extend else rest
    of = EntryKind.SHORT if kind.short else EntryKind.NUMBER
    of = of if exact else kind
    begins = not kind.exact and other.startswith(one)
    assert covers(key_of(one, kind), key_of(other, of)) == begins


def test_an_exact_number_never_covers_a_longer_one() -> None:
    index = build_index([number("blocked", "4930123")], LISTS)
    assert index.matches("4930123")
    assert not index.matches("49301234")


def test_plain_lines_answer_like_entries() -> None:
    keys = [key_of(digits, EntryKind.PREFIX) for digits in ("331", "33162")]
    lines = Bulk("blocked", keys, [4, 7], "nuisance.txt", 99)
    index = build_index([prefix("allowed", "3316")], LISTS, [lines])
    assert [hit.expires for hit in index.matches("33162000000")] == [99, 0, 99]
    entries = [index.entry(hit.row) for hit in index.matches("33162000000")]
    assert [(item.list, item.digits, str(item.origin)) for item in entries] == [
        ("blocked", "33162", "nuisance.txt:7"),
        ("allowed", "3316", "policy.yaml:2"),
        ("blocked", "331", "nuisance.txt:4"),
    ]


@pytest.mark.parametrize("digits", ["", "1" * 16])
def test_what_is_no_number_matches_nothing(digits: str) -> None:
    assert build_index([prefix("blocked", "1")], LISTS).matches(digits) == ()


def test_managed_entries_of_a_list_that_is_gone_are_left_out() -> None:
    index = build_index([prefix("gone", "1")], LISTS).with_managed([prefix("gone", "2")])
    assert len(index) == 0


def test_a_file_of_other_lists_is_refused(tmp_path: Path) -> None:
    build_index([], LISTS).save(tmp_path / "index")
    with pytest.raises(StoreError, match="another policy"):
        Index.open(tmp_path / "index", LISTS[:2])


@pytest.mark.parametrize("keep", [0, 10, 30, 400])
def test_a_damaged_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "index"
    build_index([prefix("blocked", str(place)) for place in range(1, 90)], LISTS).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match="not a usable compiled index"):
        Index.open(path, LISTS)


def test_a_table_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index"
    build_index([prefix("blocked", "1")], LISTS).save(path)
    path.write_bytes(path.read_bytes().replace(MAGIC, b"CALLGATE-INDEX-1"))
    with pytest.raises(StoreError, match="unknown format"):
        Index.open(path, LISTS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Index.open(tmp_path / "none", LISTS)
