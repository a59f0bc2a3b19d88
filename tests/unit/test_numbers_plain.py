"""What is called sound by its beginning and length is taken as it stands by the careful readers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS

from gateway.numbers import HEAD, read_number_entry, read_starred_entry, sound_lengths
from gateway.numbers.metadata import Rules, rules_of_code, rules_of_region
from gateway.numbers.plain import beginnings

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


@pytest.mark.parametrize("head", ["33162", "49301", "39061", "81901", "91987", "44113", "86135"])
def test_most_entries_of_large_lists_are_sound(head: str) -> None:
    numbers, prefixes = sound_lengths(head)
    assert numbers
    assert prefixes == set(range(HEAD, 16))


@pytest.mark.parametrize("head", ["00331", "99901", "33012", "11234", "44018", "44180"])
def test_what_may_be_changed_or_refused_is_not_sound(head: str) -> None:
    assert sound_lengths(head)[0] == set()


@given(st.sampled_from(RULES), st.text("0123456789", min_size=1, max_size=15), st.integers(1, 3))
def test_what_a_pattern_matches_has_one_of_its_beginnings(
    rules: Rules, text: str, size: int
) -> None:
    begins = beginnings(rules.parsing, size)
    found = rules.prefix(text)
    if found and found.end():
        assert text.startswith(tuple({begin.rstrip(".") for begin in begins if begin}))
    elif found:
        assert "" in begins


@pytest.mark.parametrize(
    ("pattern", "size", "begins"),
    [
        ("0", 2, {"0"}),
        ("0?(?:1[2-4])?", 2, {"", "0", "01", "12", "13", "14"}),
        ("[08]|2{0,3}5", 2, {"0", "8", "."}),
        (r"(?:1\d)3|180", 2, {*(f"1{digit}" for digit in range(10))}),
        (r"(?:4|5(?:6|7))8", 3, {"48", "568", "578"}),
        ("(?!)", 2, set()),
        ("^7", 1, {"."}),
        ("1$", 2, {"1."}),
    ],
)
def test_the_beginnings_of_a_pattern(pattern: str, size: int, begins: set[str]) -> None:
    assert beginnings(pattern, size) == begins
