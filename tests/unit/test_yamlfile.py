"""Raw text, places, and everything that YAML allows and a configuration must not."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError, Fault
from gateway.yamlfile import MAX_DEPTH, Document, decode_utf8, key_text, read_yaml


def value_of(text: str) -> Any:
    return read_yaml(text.encode(), "x.yaml").value


def refused(data: bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_yaml(data, "x.yaml")
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    "text",
    ["+33162", "0044207", "0117", "NO", "yes", "off", "12:30:45", "1_000", "1e3", "2027-01-31"],
)
def test_a_scalar_is_the_text_that_was_written(text: str) -> None:
    assert value_of(f"key: {text}") == {"key": text}
    assert value_of(f"[{text}]") == [text]


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_a_plain_empty_value_is_none(text: str) -> None:
    assert value_of(f"key: {text}") == {"key": None}


@pytest.mark.parametrize("text", ["''", '""', "'null'", '"~"'])
def test_quotes_make_it_text(text: str) -> None:
    assert value_of(f"key: {text}") == {"key": text[1:-1]}


def test_a_key_is_never_none() -> None:
    assert value_of("null: 1\n~: 2") == {"null": "1", "~": "2"}


def test_an_empty_file_is_none() -> None:
    assert value_of("") is None
    assert value_of("# only a comment\n") is None


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read_yaml(b"\xef\xbb\xbfkey: 1", "x").value == {"key": "1"}


def test_every_value_and_key_knows_its_place() -> None:
    document = read_yaml(b"lists:\n  one: {numbers: [+1, {number: +2}]}\n", "x.yaml")
    assert document.place(()) == (1, 1)
    assert document.place(("lists",)) == (2, 3)
    assert document.place(("lists",), key=True) == (1, 1)
    assert document.place(("lists", "one", "numbers", 0)) == (2, 19)
    assert document.place(("lists", "one", "numbers", 1, "number")) == (2, 32)
    assert document.place(("lists", "one", "numbers", 1, "number"), key=True) == (2, 24)


def test_what_is_not_written_has_the_place_of_what_is_around_it() -> None:
    document = read_yaml(b"one:\n  two: 3\n", "x.yaml")
    assert document.place(("one", "absent", "deeper")) == document.place(("one",)) == (2, 3)


def test_columns_count_characters() -> None:
    assert read_yaml("é: [ü, x]".encode(), "x").place(("é", 1)) == (1, 8)


def test_a_key_path_is_written_as_people_write_it() -> None:
    assert key_text(("lists", "one", "prefixes", 1, "prefix")) == "lists.one.prefixes[1].prefix"
    assert key_text((0, "a")) == "[0].a"


def test_what_was_dropped_leaves_the_places_of_the_rest() -> None:
    document = read_yaml(b"list: [a, b, c, d]\nmap: {e: 1, f: 2}\n", "x.yaml")
    document.drop(("list", 2))
    document.drop(("list", 0))
    document.drop(("map", "e"))
    assert document.value == {"list": ["b", "d"], "map": {"f": "2"}}
    assert document.fault(("list", 1), "wrong") == Fault("x.yaml", 1, 17, "list[3]", "wrong")
    assert document.has(("list", 1))
    assert not document.has(("list", 2))
    assert document.damaged == {(), ("list",), ("map",)}


def test_dropping_what_is_not_there_changes_nothing() -> None:
    document = Document("x", value={"a": ["b"]})
    document.drop(("a", 5))
    document.drop(("b", "c"))
    assert document.value == {"a": ["b"]}


def test_faults_that_do_not_hinder_reading_on_come_together() -> None:
    document = read_yaml(b"a: 1\na: 2\n? [x]\n: 3\nb: !!int 4\na: {c: 1}\n", "x.yaml")
    assert [str(fault) for fault in document.faults] == [
        "x.yaml:2:1: a: duplicate key; it is also on line 1",
        "x.yaml:3:3: a key must be text",
        "x.yaml:5:4: b: the tag !!int; tags have no meaning here, values are read as text",
        "x.yaml:6:1: a: duplicate key; it is also on line 1",
    ]
    assert document.value == {"a": "1", "b": "4"}


def test_a_key_that_is_a_mapping_is_a_fault_and_its_value_is_dropped() -> None:
    document = read_yaml(b"? {a: [b]}\n: {c: d}\ne: f\n", "x.yaml")
    assert document.value == {"e": "f"}
    assert [fault.message for fault in document.faults] == ["a key must be text"]


def test_faults_before_broken_syntax_are_in_the_report() -> None:
    assert refused(b"a: 1\na: 2\nb: [\n") == [
        "x.yaml:2:1: a: duplicate key; it is also on line 1",
        "x.yaml:4:1: not YAML: did not find expected node content while parsing a flow node "
        "(here or just before)",
    ]


def test_broken_syntax_names_where_it_began() -> None:
    assert refused(b"a:\n  b: [1, 2\n  c: 3\n") == [
        "x.yaml:3:4: not YAML: did not find expected ',' or ']' while parsing a flow sequence "
        "that began on line 2 (here or just before)"
    ]
    assert refused(b"a: b: c\n")[0].endswith("are not allowed in this context")


def test_an_alias_stands_for_the_value_that_it_names() -> None:
    assert value_of("a: &x [1, 2]\nb: *x\nc: &y 3\nd: *y") == {
        "a": ["1", "2"],
        "b": ["1", "2"],
        "c": "3",
        "d": "3",
    }


def test_many_aliases_of_little_are_no_abuse() -> None:
    text = "a: &x 1\nb: [" + ", ".join(["*x"] * 5000) + "]"
    assert len(value_of(text)["b"]) == 5000


def test_aliases_that_swell_are_refused() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for one, two in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{two}: &{two} [{', '.join([f'*{one}'] * 10)}]")
    assert refused("\n".join(lines).encode()) == [
        "x.yaml:4:36: d[7]: aliases stand for more than 10,000 values"
    ]


@pytest.mark.parametrize("text", ["&a [*a]", "&a {b: *a}", "&a {b: [{c: *a}]}"])
def test_an_alias_inside_what_it_names_is_refused(text: str) -> None:
    assert "the alias *a stands inside what it names" in refused(text.encode())[0]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_and_does_not_crash(opening: str) -> None:
    assert f"nested more than {MAX_DEPTH} deep" in refused(opening.encode() * 200_000)[-1]


def test_nesting_up_to_the_bound_is_read() -> None:
    assert value_of("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None


def test_bytes_that_are_not_utf8_are_refused_with_their_place() -> None:
    with pytest.raises(ConfigError, match=r"^x:2:3: not UTF-8: byte 0xFF$"):
        decode_utf8(b"ab\ncd\xff", "x")


def test_a_control_character_has_its_place() -> None:
    assert refused("é: ü\nö\x01".encode()) == ["x.yaml:2:2: a control character (U+0001)"]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(read_yaml(data, "x").value, dict | list | str | None)


@given(st.text(alphabet="ab:-?&*!|>'\"%@`#,[]{} \n\t~", max_size=80))
def test_any_text_of_yaml_signs_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(value_of(text), dict | list | str | None)
