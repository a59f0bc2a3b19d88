"""Scrubbing a file of leads: every byte kept, every row labelled, no dialect demanded."""

from __future__ import annotations

import codecs
import csv
import io
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.policy.model import Campaign, Emergency, Entry, EntryKind, Mode, Policy
from gateway.review import rows as rows_module
from gateway.review.columns import find_column, is_name
from gateway.review.labels import Label, Labels
from gateway.review.rows import DELIMITERS, BadRows, Source, split_lines, text_of
from gateway.review.scrub import COLUMNS, Scrub, Summary, scrub
from tests.support.policies import NOON, make_list, make_policy, number, prefix

HEAD = "name,phone\r\n"
ADDED = ",callgate_label,callgate_list,callgate_entry,callgate_reason,callgate_number"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return a_policy()


def a_policy(note: str = "") -> Policy:
    lists = [
        make_list("nuisance", reason=note),
        make_list("partners", "allow", 1),
        make_list("new", order=2, mode=Mode.SHADOW),
    ]
    entries = [
        prefix("nuisance", "33162"),
        number("nuisance", "33199001122", reason="he asked"),
        prefix("partners", "3316255"),
        prefix("new", "33163"),
        Entry("nuisance", EntryKind.SHORT, "3179"),
    ]
    campaigns = {"spring": Campaign("spring", ("33140000000",))}
    return make_policy(lists, entries, campaigns=campaigns, emergency=Emergency())


def scrubbed(data: bytes, policy: Policy, **options: object) -> tuple[bytes, Summary]:
    out: list[bytes] = []
    labels = Labels(policy, "spring", NOON)
    summary = scrub(io.BytesIO(data), out.append, labels, **options)  # type: ignore[arg-type]
    return b"".join(out), summary


def test_every_row_gets_its_label_list_entry_reason_and_number(policy: Policy) -> None:
    leads = (
        f"{HEAD}Ann,0162000000\r\nBob,+33162550000\r\nCid,n/a\r\nDan,+33145000000\r\n"
        "Eve,+33199001122\r\nFay,3179\r\n"
    )
    out, summary = scrubbed(leads.encode(), policy)
    assert out.decode() == (
        f"name,phone{ADDED}\r\n"
        "Ann,0162000000,Blacklisted,nuisance,+33162,list,+33162000000\r\n"
        "Bob,+33162550000,Allowed by exception,partners,+3316255,list,+33162550000\r\n"
        "Cid,n/a,Invalid,,,invalid,\r\n"
        "Dan,+33145000000,Clear,,,default,+33145000000\r\n"
        "Eve,+33199001122,Blacklisted,nuisance,+33199001122,list: he asked,+33199001122\r\n"
        "Fay,3179,Blacklisted,nuisance,3179,list,\r\n"
    )
    assert (summary.rows, summary.written, summary.column) == (6, 6, "phone")
    assert dict(summary.kinds) == {"blacklisted": 3, "exception": 1, "invalid": 1, "clear": 1}


def test_only_the_rows_that_were_asked_for_are_written(policy: Policy) -> None:
    leads = f"{HEAD}a,+33162000000\r\n\r\nb,+33145000000\r\nc,112\r\nd,+33162550000\r\n".encode()
    out, summary = scrubbed(leads, policy, only=["clear", "exception"])
    assert [line[:1] for line in out.decode().splitlines()[1:]] == ["b", "d"]
    assert (summary.rows, summary.written, summary.kinds["emergency"]) == (4, 2, 1)


def test_clear_leaves_emergency_numbers_out_which_are_no_leads(policy: Policy) -> None:
    out, _ = scrubbed(b"phone\n112\n+33145000000\n", policy, only=["clear"])
    assert b"112" not in out
    out, _ = scrubbed(b"phone\n112\n+33145000000\n", policy, only=["emergency"])
    assert out.splitlines()[1:] == [b"112,Clear,,,emergency,"]


def test_what_shadow_lists_would_blacklist_is_counted(policy: Policy) -> None:
    out, summary = scrubbed(b"phone\n+33163000000\n", policy)
    assert b"Clear" in out
    assert summary.would == 1


def test_a_plain_list_of_numbers_has_no_header(policy: Policy) -> None:
    out, summary = scrubbed(b"0162000000\n0145000000", policy)
    assert out == (
        b"0162000000,Blacklisted,nuisance,+33162,list,+33162000000\n"
        b"0145000000,Clear,,,default,+33145000000"
    )
    assert (summary.rows, summary.column) == (2, "1")


def test_a_file_without_rows_stays_as_it_is(policy: Policy) -> None:
    for data in (b"", b"\n\n", codecs.BOM_UTF8):
        assert scrubbed(data, policy)[0] == data


def test_a_quoted_line_end_is_inside_of_a_row(policy: Policy) -> None:
    leads = b'phone,note\n0162000000,"one ""x"",\ntwo"\n0145000000,z\n'
    out, summary = scrubbed(leads, policy)
    assert b'0162000000,"one ""x"",\ntwo",Blacklisted,' in out
    assert summary.rows == 2


def test_a_row_with_unbalanced_quotes_is_kept_and_spoils_no_other(policy: Policy) -> None:
    leads = b'phone,note\n0145000000,"open\n0162000000,z\n0145000001,"a"b\n0145000002,"z"\n'
    out, summary = scrubbed(leads, policy)
    lines = out.splitlines()
    assert lines[1] == b'0145000000,"open,Invalid,,,row: quotes are not balanced,'
    assert lines[2].startswith(b"0162000000,z,Blacklisted")
    assert lines[3] == b'0145000001,"a"b,Invalid,,,row: quotes are not balanced,'
    assert lines[4].startswith(b'0145000002,"z",Clear')
    assert (summary.broken, summary.kinds["invalid"]) == (2, 2)


def test_quotes_that_stay_open_for_too_long_spoil_their_own_line_only(policy: Policy) -> None:
    rest = b"".join(b"%d,+33145000000\n" % row for row in range(5000))
    out, summary = scrubbed(b'id,phone\n1,"+33145000000\n' + rest, policy)
    assert (summary.rows, summary.broken, summary.kinds["clear"]) == (5001, 1, 5000)
    assert out.count(b"\n") == 5002


def test_a_row_that_is_too_short_is_invalid_and_its_label_stands_in_its_column(
    policy: Policy,
) -> None:
    out, _ = scrubbed(b"phone,name,town\n0145000000,Ann\n0145000000,Bob,Paris\n\n,,\n", policy)
    assert out.splitlines()[1] == b"0145000000,Ann,,Clear,,,default,+33145000000"
    assert out.splitlines()[4] == b",,,Invalid,,,no_number,"
    out, summary = scrubbed(b"name;town;phone\nAnn\nBob;Paris;0145000000\n", policy)
    assert out.splitlines()[1] == b"Ann;;;Invalid;;;row: too few columns;"
    assert summary.broken == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_the_file_is_used(delimiter: str, policy: Policy) -> None:
    leads = delimiter.join(["name", "phone", "price"]) + "\n"
    leads += delimiter.join(['"Doe, J; x"', "0162000000", '"1,50"']) + "\n"
    out, summary = scrubbed(leads.encode(), policy)
    (row,) = list(csv.reader(io.StringIO(out.decode()), delimiter=delimiter))[1:]
    assert row[3:6] == ["Blacklisted", "nuisance", "+33162"]
    assert summary.column == "phone"


def test_a_line_that_tells_a_spreadsheet_the_delimiter_is_obeyed_and_kept(policy: Policy) -> None:
    out, _ = scrubbed(b"sep=^\r\nname^phone\r\nDoe, J^0145000000\r\n", policy)
    assert out.startswith(b"sep=^\r\nname^phone^callgate_label^")
    assert out.endswith(b"Doe, J^0145000000^Clear^^^default^+33145000000\r\n")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (b"", "cp1252"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_encoding_mark_and_line_ends_stay(mark: bytes, encoding: str, end: str) -> None:
    leads = end.join(["prénom;téléphone", "Zoé;0162000000", ""])
    out, summary = scrubbed(mark + leads.encode(encoding), a_policy("réclamé"))
    assert out.startswith(mark)
    text = out[len(mark) :].decode(encoding)
    assert text.split(end)[1:] == [
        "Zoé;0162000000;Blacklisted;nuisance;+33162;list: réclamé;+33162000000",
        "",
    ]
    assert summary.column == "téléphone"


def test_bytes_of_no_encoding_stay_too(policy: Policy) -> None:
    out, _ = scrubbed(b"phone,name\n0145000000,\xff\x81\xe9 \xc3\xa9\n", policy)
    assert b"0145000000,\xff\x81\xe9 \xc3\xa9,Clear" in out


@pytest.mark.parametrize(
    "note", ["=1+1", "+1-1", "-x", "@x", "\t=x", "a;=x", 'a "b", c', "a\nb", "=cmd|' /C calc'!A0"]
)
def test_what_is_added_is_never_a_formula_and_always_one_cell(note: str) -> None:
    out, _ = scrubbed(b"phone,x\n0162000000,=HYPERLINK()\n", a_policy(note))
    row = list(csv.reader(io.StringIO(out.decode(), newline="")))[1]
    assert row[:2] == ["0162000000", "=HYPERLINK()"]
    assert len(row) == 7
    assert row[5].startswith("list: ")
    assert row[4:7:2] == ["+33162", "+33162000000"]
    assert ";=" not in row[5]


@pytest.mark.parametrize(
    "data", [b"phone\n\0\0", b"x" * (2**20 + 2), codecs.BOM_UTF16_LE + b"1\x00\n"]
)
def test_what_is_no_text_is_refused(data: bytes, policy: Policy) -> None:
    with pytest.raises(BadRows):
        scrubbed(data, policy)


def test_memory_does_not_grow_with_the_file(policy: Policy) -> None:
    """Some 8 MB of leads, that repeat their numbers, pass through far less memory."""
    row = b'"Doe, Jo",+33145000000,%s\n' % (b"x" * 230)
    leads = io.BytesIO(b"name,phone,note\n" + row * 30_000)
    scrubbing = Scrub(leads, Labels(policy, "spring", NOON))
    tracemalloc.start()
    try:
        size = sum(len(piece) for piece in scrubbing.pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 8_000_000
    assert peak < 4_000_000


# Which column


@pytest.mark.parametrize(
    "name",
    [
        *("phone", "Phone Number", "TELEPHONE", "Téléphone", "Numéro de mobile", "tel.", "msisdn"),
        *("phone_number", "phoneNumber", "Mobile #", "Handy-Nr / Rufnummer", "teléfono", "Phone 1"),
        *("телефон", "電話番号", "Cell", "number"),
    ],
)
def test_a_column_of_numbers_is_known_by_its_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "name", "id", "hotel", "numerology", "town", "callgate_list"])
def test_other_columns_are_not(name: str) -> None:
    assert not is_name(name)


def column_of(leads: str, wanted: str = "") -> tuple[int, bool]:
    source = Source(io.BytesIO(leads.encode()))
    found = find_column(source, Labels(a_policy(), "spring", NOON).reads, wanted)
    return found.place, bool(found.names)


def test_of_two_columns_named_alike_the_one_with_numbers_is_taken() -> None:
    assert column_of("phone type,other phone\nmobile,0145000000\nfixed,0145000001\n") == (1, True)
    assert column_of("mobile,phone\n,0145000000\n0145000001,0145000002\n") == (0, True)


def test_without_a_name_the_column_in_which_most_cells_are_numbers_is_taken() -> None:
    assert column_of("id,who,where\n1,a,0145000000\n2,b,0145000001\n3,c,x\n") == (2, True)
    assert column_of("1,a,0145000000\n2,b,0145000001\n") == (2, False)


def test_a_column_that_is_named_or_counted_is_obeyed() -> None:
    leads = "phone,backup\n0145000000,0145000001\n"
    assert column_of(leads, "Backup") == (1, True)
    assert column_of(leads, "2") == (1, True)
    assert column_of("0145000000,0145000001\n", "2") == (1, False)
    assert column_of("0145000000,n/a 99 99 99\n", "2") == (1, False)
    for wanted in ("3", "0", "fax", "-1", "²"):
        with pytest.raises(BadRows, match="its first row is: phone, backup"):
            column_of(leads, wanted)


def test_a_file_in_which_no_column_has_numbers_is_refused() -> None:
    with pytest.raises(BadRows, match="no column"):
        column_of("a,b\nc,d\n")


# Properties

PIECES = [b'"', b",", b";", b"\t", b"\n", b"\r\n", b"\r", b"a", b" ", b"+33162000000", b"\xe9"]
pieces = st.lists(st.sampled_from([*PIECES, "é".encode(), b"sep=;\n", b"phone"]), max_size=40)


@given(pieces.map(b"".join), st.integers(1, 9), st.integers(2, 30))
@example(b'"a,\n"', 1, 9)
def test_the_rows_are_the_file(data: bytes, chunk: int, most: int) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(chunk, size or 0))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "MOST_OF_A_ROW", most)
        source = Source(Slow(data))
        assert source.before + b"".join(row.raw for row in source.rows()) == data


@given(pieces.map(b"".join), st.sampled_from(["", "1"]))
def test_taking_away_what_was_added_leaves_the_file(data: bytes, column: str) -> None:
    policy = a_policy("=x; \u00e9")
    try:
        out, summary = scrubbed(data, policy, column=column)
    except BadRows:
        return
    source = Source(io.BytesIO(data))
    place = len(source.before)
    assert out[:place] == source.before
    labels = 0
    for row in source.rows():
        body = row.raw.rstrip(b"\r\n")
        assert out[place : place + len(body)] == body
        place += len(body)
        end = row.raw[len(body) :]
        stop = out.index(end, place) if end else len(out)  # what is added has no line end here
        labels += any(label.encode() in out[place:stop] for label in Label)
        place = stop + len(end)
    assert place == len(out)
    assert labels == summary.rows


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=8)
tables = st.lists(st.tuples(cells, st.from_regex(r"0[1-9][0-9]{8}", fullmatch=True), cells))


@given(
    tables,
    st.sampled_from([item.decode() for item in DELIMITERS]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(
        [(b"", "utf-8"), (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le")]
    ),
    st.booleans(),
)
def test_any_dialect_of_csv_is_read_and_kept(
    table: list[tuple[str, str, str]],
    delimiter: str,
    quoting: int,
    end: str,
    encoding: tuple[bytes, str],
    breaks: bool,
) -> None:
    mark, codec = encoding
    table = [("näme", "phone", "note"), *table]
    if breaks:
        table.append((f"a{end}b{end}", "0145000000", f'c"{end}'))
    raws = [_written(row, delimiter, quoting, end) for row in table]
    out, summary = scrubbed(mark + "".join(raws).encode(codec), a_policy())
    text = out.removeprefix(mark).decode(codec)
    place = 0
    for raw in raws:
        body = raw.removesuffix(end)
        assert text[place : place + len(body)] == body
        place = text.index(end, place + len(body)) + len(end)
    assert place == len(text)
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert [tuple(row[:3]) for row in read] == table
    assert read[0][3:] == list(COLUMNS)
    labels = Labels(a_policy(), "spring", NOON)
    assert [row[3] for row in read[1:]] == [labels.of(row[1]).label for row in read[1:]]
    assert summary.rows == len(table) - 1


def _written(row: tuple[str, ...], delimiter: str, quoting: int, end: str) -> str:
    out = io.StringIO(newline="")
    quote = csv.QUOTE_ALL if any(end in cell for cell in row) else quoting
    csv.writer(out, delimiter=delimiter, quoting=quote, lineterminator=end).writerow(row)  # type: ignore[arg-type]
    return out.getvalue()


@given(st.lists(st.binary(max_size=20)), st.sampled_from([b"\n", b"\r"]))
def test_lines_are_split_wherever_chunks_are_cut(chunks: list[bytes], end: bytes) -> None:
    data = b"".join(chunks)
    lines = list(split_lines(chunks, end))
    assert b"".join(lines) == data
    assert all(line.endswith(end) and line.count(end) == 1 for line in lines[:-1])


@given(st.binary())
def test_any_cell_is_text(cell: bytes) -> None:
    text_of(cell).encode()
