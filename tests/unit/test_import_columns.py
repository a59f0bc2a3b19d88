"""Whose columns an import takes: nothing that stands behind a delimiter is lost without a word."""

from __future__ import annotations

import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.entries import Asked
from gateway.entries.importing import run_import
from gateway.entries.sources import AUTO, Options, Refused, Row, Unread, read
from gateway.errors import ConfigError
from tests.support.policies import make_list, make_policy

TODAY = date(2026, 5, 1)


def rows(data: str | bytes, source: str = AUTO, **said: object) -> tuple[str, list[Row]]:
    raw = data if isinstance(data, bytes) else data.encode()
    options = Options(file="the file", **said)  # type: ignore[arg-type]
    name, found = read(io.BytesIO(raw), source, options, TODAY)
    return name, list(found)


def asked(
    data: str | bytes, source: str = AUTO, **said: object
) -> list[tuple[str, object, object]]:
    found = [row.found for row in rows(data, source, **said)[1]]
    return [(it.number, it.reason, it.expires) for it in found if isinstance(it, Asked)]


def unread(data: str | bytes, source: str = AUTO, **said: object) -> list[tuple[str, ...]]:
    return [row.found.columns for row in rows(data, source, **said)[1] if type(row.found) is Unread]


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
@pytest.mark.parametrize(
    "header",
    [
        ("Téléphone", "Motif", "Fin"),
        ("NUME\u0301RO", "Commentaire", "Date de fin"),
        ("Rufnummer", "Grund", "Gültig bis"),
        ("Móvil", "Razón", "Caducidad"),
        ("Cellulare", "Motivazione", "Scadenza"),
        ("Phone 1", "Notes", "Valid until"),
        ("telefoon", "opmerking", "vervaldatum"),
    ],
)
def test_headers_of_many_languages_are_known(header: tuple[str, ...], delimiter: str) -> None:
    lines = [header, ("01.99.00.40.00", "démarchage 0", "2027-12-31")]
    text = "\n".join(delimiter.join(line) for line in lines)
    assert rows(text)[0] == "csv"
    assert asked(text) == [("01.99.00.40.00", "démarchage 0", "2027-12-31")]
    assert unread(text) == []


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_a_row_without_a_header_is_refused_and_not_cut(delimiter: str) -> None:
    text = delimiter.join(("01.99.00.77.05", "a", "2027-12-31"))
    name, [row] = rows(text)
    assert name == "text"
    assert isinstance(row.found, Refused)
    assert "the file needs a header" in row.found.why
    assert f"number{delimiter}reason{delimiter}expires".replace("\t", "<tab>") in row.found.why


def test_a_header_that_nobody_knows_cuts_no_row() -> None:
    text = "Foo;Bar\n+33199004000;x\n+33199004001;\n"
    found = [row.found for row in rows(text)[1]]
    assert [type(one) for one in found] == [Refused, Refused, Asked]


def test_what_stands_behind_another_delimiter_than_the_headers_is_not_cut_either() -> None:
    [row] = rows("number,reason\n+33199004000;sales;2027-12-31,x\n")[1]
    assert isinstance(row.found, Refused)
    [row] = rows("number\n+33199004000;sales\n")[1]
    assert isinstance(row.found, Refused)


@pytest.mark.parametrize(
    "number",
    [
        "tel:0199004000;phone-context=+33",
        "<sip:+33199004000@example.org;user=phone>",
        '"Acme, Inc" <sip:+33199004000@example.org;user=phone>',
        "sip:+33199004000;npdi=yes@example.org;transport=udp",
        "+33199004000;",
    ],
)
def test_parameters_of_an_address_are_no_columns(number: str) -> None:
    assert asked(number + "\n") == [(number, "", "")]


def test_an_address_hides_no_column() -> None:
    [row] = rows("sip:+33199004000@example.org;user=phone;sales;2027-12-31\n")[1]
    assert isinstance(row.found, Refused)


@pytest.mark.parametrize("first", ["+33199004000,mobile", "0199004000;tel", "15;mobile"])
def test_a_first_row_with_a_number_is_no_header(first: str) -> None:
    name, found = rows(first + "\n")
    assert name == "text"
    assert [type(row.found) for row in found] == [Refused]


def test_of_several_columns_the_one_that_says_telephone_is_taken() -> None:
    text = "Customer number;Name;Phone 1;Phone 2\n7;Bob;+33199004000;+33199004001\n"
    assert asked(text) == [("+33199004000", "", "")]
    assert unread(text) == [("Customer number", "Name", "Phone 2")]


def test_a_name_that_says_two_things_is_not_taken_for_either() -> None:
    text = "Phone;Phone note\n+33199004000;x\n"
    assert asked(text) == [("+33199004000", "", "")]
    assert unread(text) == [("Phone note",)]


def test_only_columns_that_hold_something_are_told_as_not_read() -> None:
    text = "phone;shoe;;colour;\n+33199004000;;;;\n+33199004001;;odd;;\n"
    assert unread(text) == [("column 3",)]


def test_columns_can_be_named_without_their_accents() -> None:
    text = "Client;Grün\n+33199004000;x\n"
    assert asked(text, columns={"number": "client", "reason": "grun"}) == [
        ("+33199004000", "x", "")
    ]


def test_a_report_says_which_columns_were_not_read() -> None:
    policy = make_policy((make_list("blacklist"),))
    found = rows("phone;shoe\n+33199004000;42\n")[1]
    report = run_import(found, policy, None, who="x", source="x")
    assert (report.rows, report.added, report.unread) == (1, 1, ["shoe"])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_its_mark_is_read(encoding: str) -> None:
    many = "".join(f"+3319900{line:04};é{line}\n" for line in range(9000))
    text = "\ufeffTéléphone;Motif\r\n" + many
    found = asked(text.encode(encoding))
    assert len(found) == 9000
    assert found[-1] == ("+33199008999", "é8999", "")


def test_half_a_character_of_utf_16_costs_its_own_row() -> None:
    data = "\ufeff+33199004000\n+33199004001".encode("utf-16-le") + b"\x31"
    found = asked(data)
    assert found[0] == ("+33199004000", "", "")
    assert "\ufffd" in found[1][0]


@given(
    st.sampled_from(";,\t"),
    st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters='#"'), min_size=1),
)
def test_no_text_behind_a_delimiter_is_ever_lost(delimiter: str, text: str) -> None:
    try:
        found = rows(f"+33199004000{delimiter}{text}\n")[1]
    except ConfigError:
        return
    taken = [row.found for row in found if isinstance(row.found, Asked)]
    assert not taken or not text.strip(",;") or text in taken[0].number
    assert not taken or all(sign in ",;" for sign in text)
