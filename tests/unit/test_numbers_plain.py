"""What is called sound by its beginning and length is taken as it stands by the careful readers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS

from gateway.numbers import HEAD, read_number_entry, read_starred_entry, sound_lengths
from gateway.numbers.metadata import rules_of_code, rules_of_region
from gateway.numbers.plain import first_digits

RULES = [rules_of_region(name) for name in sorted(SUPPORTED_REGIONS)] + [
    rules for code in COUNTRY_CODE_TO_REGION_CODE if (rules := rules_of_code(code))
]
DIGITS = st.text("0123456789", min_size=HEAD, max_size=15)
CODED = st.tuples(st.sampled_from(sorted(map(str, COUNTRY_CODE_TO_REGION_CODE))), DIGITS).map(
    lambda parts: (parts[0] + parts[1])[:15]
)


@given(CODED | DIGITS)
def test_what_is_sound_is_taken_as_it_stands(digits: str) -> None:
    numbers, prefixes = sound_lengths(digits[:HEAD])
    if len(digits) in numbers:
        assert read_number_entry(f"+{digits}", None) == digits
    if len(digits) in prefixes:
        assert read_starred_entry(f"+{digits}*", None) == digits


@pytest.mark.parametrize("head", ["3316", "4930", "3906", "8190", "9198", "8869"])
def test_most_entries_of_large_lists_are_sound(head: str) -> None:
    numbers, prefixes = sound_lengths(head)
    assert numbers
    assert prefixes == set(range(HEAD, 16))


@pytest.mark.parametrize("head", ["0033", "9990", "3301", "1123", "4401"])
def test_what_may_be_changed_or_refused_is_not_sound(head: str) -> None:
    assert sound_lengths(head)[0] == set()


@given(st.sampled_from(RULES), st.text("0123456789", min_size=1, max_size=15))
def test_a_national_prefix_begins_with_none_but_the_first_digits(rules: object, text: str) -> None:
    begins, empty = first_digits(rules.parsing)  # type: ignore[attr-defined]
    found = rules.prefix(text)  # type: ignore[attr-defined]
    if found and found.end():
        assert text[0] in begins
    elif found:
        assert empty


@pytest.mark.parametrize(
    ("pattern", "begins", "empty"),
    [
        ("0", "0", False),
        ("0?(?:1[2-4])?", "01", True),
        ("[08]|2{0,3}5", "0258", False),
        (r"(?:\d\d)3", "0123456789", False),
        ("(?!)", "", False),
        ("^7", "0123456789", False),
    ],
)
def test_the_first_digits_of_a_pattern(pattern: str, begins: str, empty: bool) -> None:
    assert first_digits(pattern) == (frozenset(begins), empty)
