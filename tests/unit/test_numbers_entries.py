"""Entries of lists: what they become, and the words in which the others are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadEntry
from gateway.numbers import (
    Inferred,
    Kind,
    NumberPlan,
    infer_entry,
    read,
    read_number_entry,
    read_prefix_entry,
    read_short_entry,
    read_starred_entry,
)
from gateway.numbers.entries import TOO_SHORT
from gateway.numbers.metadata import rules_for, rules_of_region


@pytest.mark.parametrize(
    ("text", "region", "digits"),
    [
        ("+33123456789", "FR", "33123456789"),
        ("+33123456789", None, "33123456789"),
        ("+33 1 23 45 67 89", None, "33123456789"),
        ("+330123456789", None, "33123456789"),
        ("tel:+33-1-23-45-67-89", None, "33123456789"),
        ("tel:0123456789;phone-context=+33", None, "33123456789"),
        ("0033123456789", "FR", "33123456789"),
        ("0033123456789", None, "33123456789"),
        ("01133123456789", "US", "33123456789"),
        ("0123456789", "FR", "33123456789"),
        ("01 23 45 67 89", "fr", "33123456789"),
        ("2015550123", "US", "12015550123"),
        ("12015550123", "US", "12015550123"),
        ("0612345678", "IT", "390612345678"),
        ("0549886377", "SM", "3780549886377"),
        ("84951234567", "RU", "74951234567"),
        ("+5491123456789", "AR", "5491123456789"),
        ("+４４ 20 7946 0000", None, "442079460000"),
    ],
)
def test_a_number_entry_becomes_e164(text: str, region: str | None, digits: str) -> None:
    assert read_number_entry(text, region) == digits


@pytest.mark.parametrize(
    ("text", "region", "words"),
    [
        ("123456789", "FR", "neither +, international prefix nor trunk prefix: write +33123456789"),
        ("33", "FR", "a short code is of the kind short; a prefix begins with +"),
        ("33123456789", "FR", "write +33123456789"),
        ("4930123456", "DE", "write +4930123456"),
        (
            *("49123456", "IT"),
            "write +3949123456 if it is national (IT), +49123456 if it begins with a country code",
        ),
        ("447911123456", "FR", "write +447911123456"),
        ("612345678", "ES", "write +34612345678"),
        ("3179", "FR", "a short code is of the kind short; a prefix begins with +"),
        ("112", "FR", "trunk prefix: a short code is of the kind short"),
        ("123456", "LU", "write +352123456; a short code is of the kind short"),
        ("99001234", "FR", "write all of it, with + and the country code"),
        ("+33163*", "FR", "what ends in * is a prefix"),
        ("0123456789", None, "needs a region or a +"),
        ("33123456789", None, "needs a region or a +: write +33123456789"),
        ("01115 2345 6789", "AR", "ambiguous in AR: write +5491123456789"),
        ("011961234567", "BR", "ambiguous in BR: write +5511961234567"),
        ("+33162", "FR", "too short for +33 (is it a prefix?)"),
        ("+3312345678901", "FR", "too long for +33"),
        ("+15550123", "US", "lacks the area code of +1 (is it a prefix?)"),
        ("+999123456", "FR", "no country code begins +999"),
        ("+", "FR", "nothing after +"),
        ("00", "FR", "nothing after the international prefix"),
        ("", "FR", "is no phone number: write it as +33123456789"),
        ("bob", "FR", "is no phone number"),
        ("*67", "FR", "is no phone number"),
        ("+33*1", "FR", "is no phone number"),
        ("0123456789", "XX", "unknown region 'XX'"),
        ("+33123456789\x00", "FR", "is no phone number"),
    ],
)
def test_a_doubtful_number_is_refused_with_a_proposal(
    text: str, region: str | None, words: str
) -> None:
    with pytest.raises(BadEntry) as fault:
        read_number_entry(text, region)
    assert words in str(fault.value)
    assert repr(text) in str(fault.value) or region == "XX"


@pytest.mark.parametrize(
    ("text", "region", "digits"),
    [
        ("+33", None, "33"),
        ("+3", None, "3"),
        ("+33162", "FR", "33162"),
        ("+33 1 62", "FR", "33162"),
        ("0033", "FR", "33"),
        ("0033", None, "33"),
        ("01", "FR", "331"),
        ("0162", "FR", "33162"),
        ("06", "IT", "3906"),
        ("06", "VA", "3906"),
        ("1212", "US", "1212"),
        ("8495", "RU", "7495"),
        ("+330162", "FR", "33162"),
        ("+33 (0)162", "FR", "33162"),
        ("+11212", "US", "1212"),
        ("+3906", "IT", "3906"),
        ("+7800", "RU", "7800"),
        ("+8103", "JP", "813"),
        ("+361", "HU", "361"),
        ("+36061", "HU", "361"),
        ("+999", None, "999"),
        ("+5411", "AR", "5411"),
    ],
)
def test_a_prefix_entry_is_normalised_as_text(text: str, region: str | None, digits: str) -> None:
    assert read_prefix_entry(text, region) == digits


@pytest.mark.parametrize(
    ("text", "region", "words"),
    [
        (
            *("33", "FR"),
            "write +33 if it begins with a country code, +3333 if it is national (FR); "
            "a short code is of the kind short_prefix",
        ),
        ("44", "FR", "write +3344 if it is national (FR), +44 if it begins with a country code; "),
        ("33", None, "needs a region or a +: write +33 if it begins with a country code"),
        ("999", "FR", "write +33999; a short code is of the kind short_prefix"),
        ("162", "FR", "write +33162 if it is national (FR), +162 if it begins with a country code"),
        ("+33163*", "FR", "ends in *: a prefix is written without it here"),
        ("+33*1", "FR", "there is a * in it"),
        ("33162", "FR", "write +33162"),
        ("212", "US", "write +1212"),
        ("0", "FR", "nothing after the"),
        ("+", "FR", "nothing after +"),
        ("", None, "is no phone number"),
        ("+0", None, "no country code begins with 0"),
        ("+330", "FR", "keeps the national prefix 0 behind the country code"),
        ("+360", "HU", "write +36 and what follows it"),
        ("011", "AR", "ambiguous in AR: write +5411"),
        ("+54011", None, "write +5411"),
        ("0077", "JP", "ambiguous: write it with +"),
        ("+1234567890123456", None, "longer than 15 digits"),
        ("0162", None, "needs a region or a +"),
    ],
)
def test_a_doubtful_prefix_is_refused_with_a_proposal(
    text: str, region: str | None, words: str
) -> None:
    with pytest.raises(BadEntry) as fault:
        read_prefix_entry(text, region)
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)


@given(st.text("123456789", min_size=1, max_size=7), st.sampled_from([None, "FR", "ES", "DE"]))
def test_of_a_doubtful_prefix_no_reading_is_proposed_as_the_only_one_while_there_is_another(
    digits: str, region: str | None
) -> None:
    with pytest.raises(BadEntry) as fault:
        read_prefix_entry(digits, region)
    abroad = f"write +{digits} if" in str(fault.value) or f", +{digits} if" in str(fault.value)
    assert abroad is (rules_for(digits) is not None)
    assert region is None or f"+{rules_of_region(region).code}{digits}" in str(fault.value)


@given(st.text("0123456789", min_size=1, max_size=9))
def test_a_french_prefix_never_misses_a_number_that_begins_as_it_is_written(tail: str) -> None:
    plan = NumberPlan.build(region="FR")
    written = "+330" + tail
    number = read(written + "123456789"[: 9 - len(tail)], plan)
    if number.kind is Kind.E164:
        assert number.digits.startswith(read_prefix_entry(written, None))


def test_short_entries_are_bare_digits() -> None:
    assert read_short_entry("3179") == "3179"
    assert read_short_entry("31 79") == "3179"
    for text in ("+3179", "", "*67", "abc", "1" * 16):
        with pytest.raises(BadEntry, match="is no short number"):
            read_short_entry(text)


@pytest.mark.parametrize(
    ("text", "region", "inferred"),
    [
        ("+33123456789", None, Inferred("number", "33123456789")),
        ("0123456789", "FR", Inferred("number", "33123456789")),
        ("+33", None, Inferred("prefix", "33", TOO_SHORT)),
        ("+3", None, Inferred("prefix", "3", TOO_SHORT)),
        ("+33162", None, Inferred("prefix", "33162", TOO_SHORT)),
        ("0162", "FR", Inferred("prefix", "33162", TOO_SHORT)),
        ("+33162*", None, Inferred("prefix", "33162")),
        ("+33123456789*", None, Inferred("prefix", "33123456789")),
        (" +33162 ", None, Inferred("prefix", "33162", TOO_SHORT)),
        ("+15550123", None, Inferred("prefix", "15550123", TOO_SHORT)),
    ],
)
def test_number_or_prefix_is_inferred(text: str, region: str | None, inferred: Inferred) -> None:
    assert infer_entry(text, region) == inferred


@pytest.mark.parametrize("text", ["15", "112", "3179"])
def test_a_short_code_is_not_taken_for_the_beginning_of_a_number(text: str) -> None:
    with pytest.raises(BadEntry, match="kind short") as fault:
        infer_entry(text, "FR")
    assert "+33" not in str(fault.value)


@pytest.mark.parametrize("read_it", [read_starred_entry, infer_entry])
def test_a_star_alone_would_be_every_number(read_it: Callable[[str, None], object]) -> None:
    with pytest.raises(BadEntry, match="would be every number"):
        read_it("*", None)
    assert read_starred_entry("+33162 *", None) == "33162"


def test_what_is_neither_valid_nor_short_is_a_number_with_a_warning() -> None:
    unassigned = infer_entry("+10002223333", None)
    assert (unassigned.kind, unassigned.digits) == ("number", "10002223333")
    assert "in no range that is known to be in use" in unassigned.warning
    too_long = infer_entry("+331234567890", None)
    assert (too_long.kind, too_long.digits) == ("number", "331234567890")
    assert "too long for +33" in too_long.warning


@given(st.text(), st.sampled_from([None, "FR", "AR", "JP", "US"]))
def test_no_text_raises_anything_but_bad_entry(text: str, region: str | None) -> None:
    for reader in (read_number_entry, read_prefix_entry, infer_entry):
        with contextlib.suppress(BadEntry):
            assert reader(text, region)


@given(st.text("0123456789+ ()", min_size=1), st.sampled_from([None, "FR", "DE", "IT", "US"]))
def test_a_number_entry_is_what_a_call_from_it_reads_to(text: str, region: str | None) -> None:
    try:
        digits = read_number_entry(text, region)
    except BadEntry:
        return
    assert read(text, NumberPlan.build(region=region)).digits == digits
