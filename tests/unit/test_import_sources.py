"""Formats that entries are imported from: a row is an entry, refused with its line, or skipped."""

from __future__ import annotations

import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.entries import Asked
from gateway.entries.sources import AUTO, FORMATS, Options, Refused, Row, Skipped, read
from gateway.entries.sources.lines import MAX_LINE, lines, records
from gateway.entries.sources.rows import nanp, one_line
from gateway.errors import ConfigError
from gateway.policy.model import EntryKind

NUMBER, PREFIX = EntryKind.NUMBER, EntryKind.PREFIX
TODAY = date(2026, 5, 1)


def rows(data: str | bytes, source: str = AUTO, **said: object) -> tuple[str, list[Row]]:
    raw = data if isinstance(data, bytes) else data.encode()
    options = Options(file="the file", **said)  # type: ignore[arg-type]
    name, found = read(io.BytesIO(raw), source, options, TODAY)
    return name, list(found)


def asked(data: str | bytes, source: str = AUTO, **said: object) -> list[tuple[int, str, object]]:
    """Line, number and kind of the rows that ask for an entry."""
    _, found = rows(data, source, **said)
    return [
        (row.line, row.found.number, row.found.kind)
        for row in found
        if isinstance(row.found, Asked)
    ]


def refused(data: str | bytes, source: str = AUTO, **said: object) -> list[tuple[int, str]]:
    _, found = rows(data, source, **said)
    return [(row.line, row.found.why) for row in found if isinstance(row.found, Refused)]


def skipped(data: str | bytes, source: str = AUTO, **said: object) -> list[tuple[int, str]]:
    _, found = rows(data, source, **said)
    return [(row.line, row.found.why) for row in found if isinstance(row.found, Skipped)]


def reasons(data: str | bytes, source: str = AUTO, **said: object) -> list[str | None]:
    _, found = rows(data, source, **said)
    return [row.found.reason for row in found if isinstance(row.found, Asked)]


def listed(data: str | bytes, source: str = AUTO, **said: object) -> list[str]:
    _, found = rows(data, source, **said)
    return [row.found.list for row in found if isinstance(row.found, Asked)]


# --- text and CSV, as policies take them


def test_a_text_list_has_numbers_starred_prefixes_and_comments() -> None:
    text = "# a list\n\n+33162000000\n  0162000001 # rude, twice\n+33163*\r\n"
    assert asked(text) == [
        (3, "+33162000000", NUMBER),
        (4, "0162000001", NUMBER),
        (5, "+33163*", None),
    ]
    assert reasons(text, reason="bulk") == ["bulk", "rude, twice", "bulk"]


def test_what_is_too_short_is_a_prefix_only_where_that_is_asked_for() -> None:
    assert asked("+33162\n") == [(1, "+33162", NUMBER)]
    assert asked("+33162\n", kind="infer") == [(1, "+33162", None)]
    assert asked("+33162*\n", kind="prefix") == [(1, "+33162", PREFIX)]


def test_csv_has_the_columns_of_list_files() -> None:
    text = "prefix,number,reason,expires\n+33163,,campaign,2027-01-31\n,0162000000,,\n"
    assert asked(text) == [(2, "+33163", PREFIX), (3, "0162000000", NUMBER)]
    [first, second] = [row.found for row in rows(text, reason="bulk", expires="2028-01-01")[1]]
    assert isinstance(first, Asked)
    assert isinstance(second, Asked)
    assert (first.reason, first.expires) == ("campaign", "2027-01-31")
    assert (second.reason, second.expires) == ("bulk", "2028-01-01")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_seen(delimiter: str) -> None:
    text = f"Company{delimiter}Phone Number{delimiter}Note\nAcme{delimiter}+33162000000{delimiter}x"
    assert rows(text)[0] == "csv"
    assert asked(text) == [(2, "+33162000000", NUMBER)]
    assert reasons(text) == ["x"]


def test_a_column_can_be_named() -> None:
    text = "Name;Mobile;Why\nBob;+33612345678;sells\n"
    assert asked(text, columns={"number": "mobile", "reason": "Why"}) == [
        (2, "+33612345678", NUMBER)
    ]
    assert reasons(text, columns={"number": "Mobile", "reason": "why"}) == ["sells"]
    with pytest.raises(ConfigError, match="there is no column 'Tel'; there are Name, Mobile, Why"):
        rows(text, columns={"number": "Tel"})


def test_a_csv_without_a_number_column_is_refused_as_a_whole() -> None:
    with pytest.raises(ConfigError, match="the file:1: the header has no column number or prefix"):
        rows("a,b\n1,2\n", "csv")
    with pytest.raises(ConfigError, match="there is nothing in it"):
        rows("\n\n", "csv")


def test_a_csv_row_fills_one_of_number_and_prefix_and_no_cell_beyond_the_header() -> None:
    text = "number,prefix\n+33162000000,+33163\n+33162000001,,sales, and more\n+33162000002,\n"
    assert refused(text) == [
        (2, "exactly one of number and prefix must be filled"),
        (3, "more cells than the header has columns"),
    ]
    assert asked(text) == [(4, "+33162000002", NUMBER)]


def test_nothing_in_a_file_is_no_row() -> None:
    assert rows("") == ("text", [])
    assert rows("\n \n") == ("text", [])


# --- bytes


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert asked(b"\xef\xbb\xbf+33162000000\n") == [(1, "+33162000000", NUMBER)]
    assert asked(b"\xef\xbb\xbfnumber\n+33162000000\n") == [(2, "+33162000000", NUMBER)]


def test_what_is_not_utf_8_is_latin_1_line_by_line() -> None:
    data = "number,reason\n+33162000000,démarchage\n".encode("latin-1")
    data += "+33162000001,démarchage\n".encode()
    assert reasons(data) == ["démarchage", "démarchage"]


def test_a_nul_and_a_huge_line_cost_their_own_line() -> None:
    data = b"+33162000000\n+331\x00620\n" + b"9" * (3 * MAX_LINE) + b"\n+33162000001\n"
    assert refused(data) == [
        (2, "a NUL byte: this is no text"),
        (3, f"a line of more than {MAX_LINE} bytes"),
    ]
    assert [line for line, *_ in asked(data)] == [1, 4]
    assert [line for line, *_ in asked(b"number\n" + data)] == [2, 5]


def test_line_ends_of_every_system_are_line_ends() -> None:
    assert [line for line, *_ in asked(b"+33162000000\r+33162000001\r\n+33162000002\n")] == [
        1,
        2,
        3,
    ]


def test_quoted_line_ends_keep_line_numbers_right() -> None:
    text = 'number,reason\n+33162000000,"a\nb ""c"""\n+33162000001,d\n'
    assert asked(text) == [(2, "+33162000000", NUMBER), (4, "+33162000001", NUMBER)]
    assert reasons(text) == ['a b "c"', "d"]


def test_a_quote_that_nothing_closes_costs_its_own_line() -> None:
    text = 'number,reason\n+33162000000,"a\n' + "+33162000001,b\n" * 300
    assert refused(text) == [(2, "a quote that is not closed")]
    assert [line for line, *_ in asked(text)] == list(range(3, 303))


def test_a_quote_in_the_wrong_place_costs_its_own_line() -> None:
    text = 'number,reason\n+33162000000,"a" b\n+33162000001,5" pipe\n'
    assert [line for line, _ in refused(text)] == [2]
    assert reasons(text) == ['5" pipe']


@given(st.binary(max_size=400), st.sampled_from([AUTO, *FORMATS]))
def test_no_bytes_are_too_bad(data: bytes, source: str) -> None:
    """A file may be another as a whole; no row of it ever raises anything else."""
    try:
        _, found = rows(data, source)
    except ConfigError:
        return
    assert all(row.line >= 1 for row in found)


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)


@given(st.lists(st.lists(CELL, min_size=2, max_size=4), max_size=20), st.sampled_from(",;\t"))
def test_records_are_what_was_written_and_where(table: list[list[str]], delimiter: str) -> None:
    text, begins = "", []
    for row in table:
        begins.append(text.count("\n") + 1)
        text += delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n"
    found = list(records(lines(io.BytesIO(text.encode())), delimiter))
    assert [(record.line, record.cells) for record in found] == list(
        zip(begins, table, strict=True)
    )


@given(st.lists(st.binary(max_size=60)))
def test_every_line_is_counted_once(parts: list[bytes]) -> None:
    data = b"\n".join(part.replace(b"\r", b"") for part in parts)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    numbers = [line.number for line in lines(io.BytesIO(data))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))


# --- FreePBX


def test_freepbx_csv_skips_its_settings() -> None:
    text = "number,description\n0162000000,Robo\ndest,app-blackhole\nblocked,1\n"
    assert rows(text)[0] == "freepbx"
    assert asked(text) == [(2, "0162000000", NUMBER)]
    assert reasons(text) == ["Robo"]
    assert skipped(text) == [(line, "a setting of FreePBX, no number") for line in (3, 4)]


def test_an_astdb_dump_is_freepbx_too() -> None:
    text = (
        "/blacklist/0162000000                             : 1                        \n"
        "/blacklist/0162000001                             : sells: windows\n"
        "/blacklist/blocked                                : 1\n"
        "what is this\n"
        "3 results found.\n"
    )
    assert rows(text)[0] == "freepbx"
    assert asked(text) == [(1, "0162000000", NUMBER), (2, "0162000001", NUMBER)]
    assert reasons(text) == ["", "sells: windows"]
    assert skipped(text) == [(3, "a setting of FreePBX, no number")]
    assert refused(text) == [(4, "no line of `database show blacklist`")]
    assert rows("0 results found.\n", "freepbx")[1] == []
    assert rows("", "freepbx")[1] == []


# --- FusionPBX

FUSION = "call_block_direction,extension_uuid,call_block_name,call_block_country_code,"
FUSION += "call_block_number,call_block_app,call_block_enabled,call_block_description\n"


def test_fusionpbx_puts_the_country_code_before_the_number() -> None:
    text = FUSION
    text += "inbound,,,33,162000000,reject,true,rude\n"
    text += "inbound,,Bob,1,12125551234,busy,t,\n"
    text += "outbound,,,,0162000002,reject,true,\n"
    text += "inbound,,,33,+33162000003,reject,true,\n"
    assert rows(text)[0] == "fusionpbx"
    assert [number for _, number, _ in asked(text)] == [
        *("+33162000000", "+12125551234", "0162000002", "+33162000003")
    ]
    assert {kind for *_, kind in asked(text)} == {None}, "it matches what begins so"
    assert reasons(text) == ["rude", "Bob", "", ""]


def test_fusionpbx_rows_that_are_off_or_not_for_all_are_left_out() -> None:
    text = FUSION
    text += "inbound,,,33,162000000,reject,false,\n"
    text += "inbound,,Bob,,,reject,true,\n"
    text += "inbound,1b2c,,33,162000001,reject,true,\n"
    assert skipped(text) == [(2, "switched off in FusionPBX")]
    assert refused(text) == [
        (3, "a caller's name alone, which is not matched"),
        (4, "is for one extension alone, not for all calls"),
    ]


def test_fusionpbx_directions_can_have_lists_of_their_own() -> None:
    text = FUSION + "inbound,,,33,162000000,reject,true,\noutbound,,,33,162000001,reject,true,\n"
    assert listed(text) == ["blacklist", "blacklist"]
    assert listed(text, lists={"inbound": "spam", "outbound": "dnc"}) == ["spam", "dnc"]
    assert refused(text, lists={"inbound": "spam"}) == [
        (3, "no list is named for it: --list outbound=NAME")
    ]
    assert listed(text, lists={"inbound": "spam"}, list="rest") == ["spam", "rest"]


# --- VICIdial


def test_vicidial_numbers_are_north_american_and_area_codes_prefixes() -> None:
    text = "2125551234\n12125551235\n201" + "X" * 7 + "\n"
    assert asked(text, "vicidial") == [
        (1, "+12125551234", NUMBER),
        (2, "+12125551235", NUMBER),
        (3, "+1201", PREFIX),
    ]
    assert asked("phone_number\n162000000\n", "vicidial", before="+33") == [
        (2, "+33162000000", NUMBER)
    ]


def test_vicidial_campaigns_need_a_list() -> None:
    text = "phone_number\tcampaign_id\n2125551234\tSALES\n2125551235\tOTHER\n2125551236\t\\N\n"
    assert rows(text)[0] == "vicidial"
    assert refused(text) == [
        (2, "no list is named for campaign SALES: --list SALES=NAME"),
        (3, "no list is named for campaign OTHER: --list OTHER=NAME"),
    ]
    assert listed(text) == ["blacklist"]
    assert listed(text, lists={"SALES": "sales-dnc"}, list="dnc") == ["sales-dnc", "dnc", "dnc"]
    assert refused("2125551234,SALES\n2125551234\n", "vicidial", lists={"SALES": "a"}) == [
        (2, "no list is named for it: --list NAME")
    ]


# --- Kamailio


def test_kamailio_prefixes_block_and_exceptions_need_a_list_that_allows() -> None:
    text = "id,prefix,allowlist\n1,+4179,0\n2,+41791,1\n3,,0\n4,,1\n"
    assert rows(text)[0] == "kamailio"
    assert asked(text) == [(2, "+4179", PREFIX)]
    assert refused(text) == [
        (3, "an exception, which only a list that allows can take: --allow-list NAME"),
        (4, "an empty prefix blocks every number: write a match list"),
    ]
    assert skipped(text) == [(5, "an empty prefix that allows: all that is not blocked is")]
    assert listed(text, allow_list="friends") == ["blacklist", "friends"]


def test_kamailio_users_need_a_list() -> None:
    text = "id,username,domain,prefix,whitelist\n1,bob,a.org,4179,0\n"
    assert refused(text) == [
        (2, "is of the user 'bob' alone: --list bob=NAME, or --list NAME for all")
    ]
    for lists in ({"bob": "his"}, {"bob@a.org": "his"}):
        assert listed(text, lists=lists) == ["his"]
    assert asked(text, list="all", before="+") == [(2, "+4179", PREFIX)]


# --- FTC

FTC = "Company_Phone_Number,Created_Date,Violation_Date,Consumer_City,Subject\n"


def complaints(number: str, *days: str) -> str:
    return "".join(f"{number},{day} 10:20:30,,Springfield,Other\n" for day in days)


def test_ftc_numbers_need_enough_complaints_in_the_days_before_the_newest() -> None:
    text = FTC
    text += complaints("2125551234", "2026-01-02", "2026-03-29", "2026-03-30", "2026-03-31")
    text += complaints("2125551235", "2026-01-01", "2026-01-02", "2026-03-31")
    text += complaints("", "2026-03-31")
    name, found = rows(text)
    assert name == "ftc"
    assert asked(text) == [(2, "+12125551234", NUMBER)]
    assert reasons(text) == ["3 complaints to the FTC in 30 days, last on 2026-03-31"]
    assert len(found) == 8, "every complaint is counted"
    assert len(asked(text, within=90)) == 2
    assert asked(text, min_complaints=4) == []


def test_ftc_entries_expire_whatever_is_said() -> None:
    text = FTC + complaints("2125551234", "2026-03-30")
    expiries = [
        row.found.expires
        for options in ({}, {"expires": "2027-01-31"})
        for row in rows(text, min_complaints=1, **options)[1]
        if isinstance(row.found, Asked)
    ]
    assert expiries == ["2026-07-30", "2027-01-31"]


def test_ftc_dates_have_two_forms_and_others_are_refused() -> None:
    text = FTC + "2125551234,3/31/2026 1:02,,x,y\n2125551234,yesterday,,x,y\n"
    assert len(asked(text, min_complaints=1)) == 1
    assert refused(text) == [(3, "no date: 'yesterday'")]


# --- what all share


def test_a_country_code_is_put_before_numbers_that_come_without_one() -> None:
    numbers = [number for _, number, _ in asked("4179\n+4179\n0041\n0162000000\n", before="+")]
    assert numbers == ["+4179", "+4179", "0041", "0162000000"]


def test_north_american_numbers_are_told_by_their_length() -> None:
    assert nanp("(212) 555-1234") == "+12125551234"
    assert nanp("1-212-555-1234") == "+12125551234"
    for other in ("+442071234567", "0125551234", "442071234567", "22125551234", "911", ""):
        assert nanp(other) == other


@given(st.text())
def test_a_reason_is_one_line_that_the_store_takes(text: str) -> None:
    reason = one_line(text)
    assert reason.isprintable()
    assert len(reason) <= 500
