"""Wide prefixes: at most one national digit behind a country code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from gateway.numbers import covers_country, reach


@pytest.mark.parametrize(
    ("digits", "what"),
    [
        ("35", "all of the 10 country codes that begin with +35"),
        ("1", "all of +1 (US, AG, AI and 22 more)"),
        ("12", "all numbers of +1 (US, AG, AI and 22 more) that begin with 2"),
        ("77", "all numbers of +7 (RU, KZ) that begin with 7"),
        ("881", "all of +881"),
        ("3316", ""),
        ("33162", ""),
        ("999", ""),
    ],
)
def test_what_a_prefix_covers_is_told_in_words(digits: str, what: str) -> None:
    assert reach(digits) == what


@given(
    st.sampled_from(sorted(COUNTRY_CODE_TO_REGION_CODE)),
    st.from_regex("[0-9]{0,4}", fullmatch=True),
)
def test_a_prefix_is_wide_with_at_most_one_national_digit(code: int, rest: str) -> None:
    assert bool(reach(f"{code}{rest}")) == (len(rest) <= 1)
    assert covers_country(f"{code}{rest}") == (not rest)


@given(st.sampled_from(sorted(COUNTRY_CODE_TO_REGION_CODE)))
def test_the_beginning_of_a_country_code_is_wide(code: int) -> None:
    for length in range(1, len(str(code))):
        assert reach(str(code)[:length]).startswith("all of the ")
        assert covers_country(str(code)[:length])
