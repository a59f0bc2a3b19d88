"""Facts about numbers, as libphonenumber knows them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.numbers import REGIONS, TYPES, display, is_possible, is_valid, region_of, type_of


@pytest.mark.parametrize(
    ("digits", "region", "kind"),
    [
        ("33123456789", "FR", "fixed_line"),
        ("33612345678", "FR", "mobile"),
        ("33891123456", "FR", "premium_rate"),
        ("33801234567", "FR", "toll_free"),
        ("12015550123", "US", "fixed_line_or_mobile"),
        ("18765230123", "JM", "fixed_line_or_mobile"),
        ("77710009998", "KZ", "mobile"),
        ("979123456789", "001", "premium_rate"),
        ("80012345678", "001", "toll_free"),
        ("881612345678", "001", "mobile"),
        ("999123456789", None, "unknown"),
        ("", None, "unknown"),
    ],
)
def test_a_number_has_its_region_and_type(digits: str, region: str | None, kind: str) -> None:
    assert (region_of(digits), type_of(digits)) == (region, kind)


def test_possible_is_a_matter_of_length_valid_of_ranges() -> None:
    assert is_possible("33123456789")
    assert is_valid("33123456789")
    assert is_possible("12125550000")
    assert is_possible("10002223333")
    assert not is_valid("10002223333")
    assert not is_possible("3312345678")
    assert not is_valid("3312345678")
    assert not is_possible("5550123")


def test_people_see_numbers_grouped() -> None:
    assert display("33123456789") == "+33 1 23 45 67 89"
    assert display("390612345678") == "+39 06 1234 5678"
    assert display("33162") == "+33162"
    assert display("999") == "+999"


def test_categories_are_named_in_lower_case_and_regions_as_iso_3166() -> None:
    assert {"premium_rate", "mobile", "fixed_line", "voip", "unknown"} <= TYPES
    assert {"FR", "US", "001"} <= REGIONS


@given(st.text())
def test_no_text_makes_a_fact_raise(text: str) -> None:
    assert region_of(text) in REGIONS | {None}
    assert type_of(text) in TYPES
    assert is_possible(text) in (True, False)
    assert is_valid(text) in (True, False)
    assert display(text)
