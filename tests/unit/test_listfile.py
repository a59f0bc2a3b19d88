"""List files: text and CSV, their faults by line, and rows that never become objects."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.expiry import parse_expiry
from gateway.policy.listfile import MAX_FAULTS, ListFile
from gateway.policy.model import Entry, EntryKind, Origin
from gateway.policy.table import digits_of, kind_of
from gateway.yamlmodel import SHOWN_FAULTS, capped

UTC = ZoneInfo("UTC")
END_OF_2030 = 1924992000


def read(
    content: str | bytes,
    file: str = "x.txt",
    region: str | None = "FR",
    expires: int = 0,
    expiry: Callable[[str], int] = lambda text: parse_expiry(text, UTC),
) -> ListFile:
    found = ListFile(file, "nuisance", region, expiry, expires)
    found.read(content if isinstance(content, bytes) else content.encode())
    return found


def faults(content: str | bytes, file: str = "x.txt") -> list[str]:
    return [str(fault) for fault in read(content, file).faults]


def rows(found: ListFile) -> list[tuple[EntryKind, str, int]]:
    return [
        (kind_of(key), digits_of(key), line)
        for item in found.bulk
        for key, line in zip(item.keys, item.lines, strict=True)
    ]


def test_a_bare_line_is_a_number_and_a_star_makes_a_prefix() -> None:
    assert rows(read("+33123456789\n+33162*\n")) == [
        (EntryKind.NUMBER, "33123456789", 1),
        (EntryKind.PREFIX, "33162", 2),
    ]


def test_comments_and_empty_lines_are_skipped_and_lines_counted() -> None:
    assert rows(read("# head\n\n   \n+33123456789 # why\n#+33162*\n+33163 * # prefix")) == [
        (EntryKind.NUMBER, "33123456789", 4),
        (EntryKind.PREFIX, "33163", 6),
    ]


def test_windows_line_ends_and_a_byte_order_mark_are_accepted() -> None:
    assert rows(read(b"\xef\xbb\xbf+33123456789\r\n+33162*\r\n")) == [
        (EntryKind.NUMBER, "33123456789", 1),
        (EntryKind.PREFIX, "33162", 2),
    ]


def test_lines_are_read_under_the_region_of_the_list() -> None:
    assert rows(read("01 23 45 67 89\n020 7946 0000\n", region="FR"))[0][1] == "33123456789"
    assert rows(read("020 7946 0000\n", region="GB"))[0][1] == "442079460000"


def test_plain_rows_never_become_entries() -> None:
    found = read("+33123456789\n" * 3)
    assert (found.entries, len(found.bulk), len(found)) == ([], 1, 3)
    assert (found.bulk[0].list, found.bulk[0].file) == ("nuisance", "x.txt")


def test_the_expiry_of_a_list_is_that_of_its_plain_rows() -> None:
    found = read("+33123456789\n+33162*", expires=99)
    assert [(item.expires, len(item)) for item in found.bulk] == [(99, 2)]
    assert found.entries == []


def test_a_bad_line_is_a_fault_with_its_number_and_the_rest_is_read() -> None:
    found = read("+33123456789\nnobody\n*\n+33162*\n")
    assert [(fault.file, fault.line) for fault in found.faults] == [("x.txt", 2), ("x.txt", 3)]
    assert len(found) == 2


def test_a_file_that_is_no_text_is_one_fault() -> None:
    assert faults(b"+33\n\xe9") == ["x.txt:2:1: not UTF-8: byte 0xE9"]
    assert faults(b"+33\n\x00\n") == ["x.txt:2: a NUL byte: this is no text file"]
    assert faults(b"number\n\x00\n", "x.csv") == ["x.csv:2: a NUL byte: this is no text file"]


def test_a_file_of_another_kind_is_not_read_to_its_end() -> None:
    found = read("nobody\n" * (MAX_FAULTS + 500))
    assert len(found.faults) == MAX_FAULTS
    shown = capped(found.faults)
    assert len(shown) == SHOWN_FAULTS + 1
    assert str(shown[-1]) == "x.txt: and 1,800 more faults in this file"


def test_csv_rows_with_nothing_more_to_say_are_plain() -> None:
    found = read("number,prefix\n+33123456789,\n,+33162\n\n", "x.csv")
    assert rows(found) == [
        (EntryKind.NUMBER, "33123456789", 2),
        (EntryKind.PREFIX, "33162", 3),
    ]
    assert found.entries == []


def test_a_csv_row_with_reason_or_expiry_is_an_entry() -> None:
    found = read("number,reason,expires\n+33123456789,no,\n+33123456788,,2030-12-31\n", "x.csv")
    assert found.entries == [
        Entry("nuisance", EntryKind.NUMBER, "33123456789", "no", 0, Origin("x.csv", 2)),
        Entry("nuisance", EntryKind.NUMBER, "33123456788", "", END_OF_2030, Origin("x.csv", 3)),
    ]


def test_a_csv_row_without_expiry_takes_that_of_the_list() -> None:
    found = read("number,reason,expires\n+33123456789,no,\n", "x.csv", expires=7)
    assert found.entries[0].expires == 7


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_columns_may_stand_in_any_order_case_and_separator(separator: str) -> None:
    text = "Reason,EXPIRES,Number\nwhy,,+33123456789\n".replace(",", separator)
    found = read(text, "X.CSV")
    assert (found.entries[0].digits, found.entries[0].reason) == ("33123456789", "why")


def test_quoted_csv_cells_may_hold_separators_and_line_ends() -> None:
    text = 'number,reason\n+33123456789,"one,\ntwo"\n+33123456788,three\n'
    found = read(text, "x.csv")
    assert [(entry.reason, entry.origin.line) for entry in found.entries] == [
        ("one,\ntwo", 2),
        ("three", 4),
    ]


def test_short_csv_rows_have_empty_cells() -> None:
    assert len(read("number,prefix,reason,expires\n+33123456789\n", "x.csv")) == 1


def test_csv_faults_name_line_and_column() -> None:
    text = (
        "number,prefix,expires\n+33123456789,+33162,\n,,2030-01-01\nnobody,,\n,,,x\n"
        "+33123456789,,soon\n"
    )
    assert faults(text, "x.csv") == [
        "x.csv:2: exactly one of number and prefix must be filled",
        "x.csv:3: exactly one of number and prefix must be filled",
        "x.csv:4: number: 'nobody' is no phone number: write it as +33123456789",
        "x.csv:5: more cells than the header has columns",
        "x.csv:6: expires: must be a day such as 2027-01-31 or a moment such as "
        "2027-01-31T18:00, not 'soon'",
    ]


def test_a_star_alone_is_refused_and_a_number_s_star_is_named() -> None:
    assert faults("*\n") == ["x.txt:1: '*' would be every number: write how they begin, as +33162*"]
    assert faults("number\n+33163*\n", "x.csv") == [
        "x.csv:2: number: '+33163*' is no phone number: what ends in * is a prefix"
    ]


def test_a_csv_header_must_name_its_columns() -> None:
    missing = "the header is missing: a line that names 'number', 'prefix', 'reason' or 'expires'"
    assert faults("", "x.csv") == [f"x.csv:1: {missing}"]
    assert faults("+33123456789;+33123456790", "x.csv") == [f"x.csv:1: {missing}"]
    assert faults("number,expire,number", "x.csv") == [
        "x.csv:1: expire: unknown column; did you mean 'expires'?",
        "x.csv:1: number: the header names this column twice",
    ]
    assert faults("reason", "x.csv") == [
        "x.csv:1: the header has no column number or prefix; it may name 'number', 'prefix', "
        "'reason' or 'expires'"
    ]


def test_broken_csv_quotes_are_a_fault() -> None:
    assert faults('number\n"+33\n', "x.csv") == ["x.csv:2: not CSV: unexpected end of data"]


NUMBERS = st.integers(0, 10**9 - 1).map(lambda number: f"+33{number:09d}")


@given(st.lists(NUMBERS, max_size=20))
def test_text_and_csv_of_the_same_numbers_are_the_same(numbers: list[str]) -> None:
    text = read("\n".join(["", *numbers]))
    csv = read("\n".join(["number", *numbers]), "x.csv")
    assert rows(text) == rows(csv)
    assert len(text.faults) == len(csv.faults)


@given(st.binary(max_size=200), st.sampled_from(["x.txt", "x.csv"]))
def test_any_bytes_are_entries_or_faults(data: bytes, file: str) -> None:
    found = read(data, file)
    assert all(str(fault).isprintable() for fault in found.faults)
    assert len(found) <= len(data)


@given(st.text(alphabet="number,prefix;\"'+0123456789*# \t\r\n", max_size=200))
def test_any_text_after_a_header_is_entries_or_faults(text: str) -> None:
    found = read("number,prefix\n" + text, "x.csv")
    assert all(fault.line >= 1 for fault in found.faults)


@pytest.mark.parametrize("file", ["x.txt", "x.csv"])
@pytest.mark.parametrize("line", ["x" * 10_000, "+" + "1" * 10_000, "\u200b1x" * 100, "1*" * 5000])
def test_a_line_of_thousands_of_characters_is_quoted_cut(file: str, line: str) -> None:
    head = "number\n" if file.endswith(".csv") else ""
    found = faults(f"{head}{line}\n" * 3, file)
    assert len(found) >= 3
    assert all(len(fault) < 1000 for fault in found)
