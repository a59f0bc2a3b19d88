"""Emergency numbers are exact, as dialled, and agree with libphonenumber everywhere."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadEntry
from gateway.numbers import (
    NumberPlan,
    dialled_emergency_numbers,
    emergency_numbers,
    is_emergency,
)
from gateway.numbers.emergency import MOST_CODES

NONE: frozenset[str] = frozenset()
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


@pytest.mark.parametrize(
    ("region", "raw", "strip", "expected", "why"),
    [
        ("US", "911", [], True, "the number itself"),
        ("US", "9911", ["9"], True, "access digit 9"),
        ("US", "9911", [], False, "no access digit in the plan"),
        ("US", "9115551234", ["9"], False, "an ordinary number"),
        ("US", "+1911", [], False, "the country code before it"),
        ("US", "+19115551234", [], False, "an ordinary number"),
        ("US", "+911", [], False, "a plus"),
        ("FR", "+112", [], False, "a plus"),
        ("FR", "00112", [], False, "an international prefix"),
        ("FR", "0112", [], False, "a trunk prefix"),
        ("FR", "1122", [], False, "one digit more"),
        ("FR", "112", [], True, ""),
        ("FR", "15", [], True, "two digits"),
        ("FR", "911", [], False, "not in France"),
        ("NO", "91123456", [], False, "911 begins ordinary Norwegian numbers"),
        ("BR", "1900", [], False, "exact, in Brazil too"),
        ("US", "*67911", ["*67"], True, "star code"),
        ("US", "9*67911", ["9", "*67"], True, "access digit and star code"),
        ("US", "9112", ["9", "91"], True, "where two prefixes fit, either counts"),
        ("US", "*67*82911", ["9", "*67", "*82"], True, "stripping may stop before the 9"),
        ("FR", "#31#112", ["#31#"], True, "GSM withhold"),
        ("FR", "*31*+112", ["*31*"], False, "a plus behind a star code"),
        ("FR", "sip:112@example.org", [], True, "SIP URI"),
        (
            "FR",
            "SIPS:112@[2001:db8::1]:5061;user=phone",
            [],
            True,
            "SIP URI, parameter of the host",
        ),
        ("FR", "tel:112", [], True, "tel URI"),
        ("FR", "tel:112;phone-context=+33", [], True, "tel URI, local to a country"),
        ("FR", "1 1 2", [], True, "separators"),
        ("FR", "１１２", [], True, "digits of another script"),
        ("FR", "112\n", [], False, "control character"),
        ("FR", "", [], False, "nothing"),
        ("FR", "sos", [], False, "letters"),
        (None, "112", [], True, "no region"),
        (None, "911", [], True, "no region"),
        (None, "9911", ["9"], True, "no region, access digit"),
        (None, "15", [], False, "no region"),
    ],
)
def test_a_call_for_help_is_recognised_exactly(
    region: str | None, raw: str, strip: list[str], expected: bool, why: str
) -> None:
    plan = NumberPlan.build(region=region, strip=strip)
    assert is_emergency(raw, plan, NONE) is expected, why


@pytest.mark.parametrize(
    "raw",
    [
        *("0162000000<112>", "0899000000<112>", '"0162000000" <112>', "<sip:112@x>"),
        *("112;0162000000", "112;phone-context=+33162000000", "sip:112;0162000000@x"),
        *("112@x", "112@0162000000", "sip:112@x?to=0162000000", "sip:112@x@0162000000"),
        *("sip:112:0162000000@x", "sip:112?x=0162000000", "sip:112%3A0162000000@x"),
        *("tel:112;phone-context=+33162000000", "tel:112;isub=0162000000", "112:1", "112?"),
    ],
)
def test_a_number_hidden_beside_112_is_no_call_for_help(raw: str) -> None:
    assert not is_emergency(raw, NumberPlan.build(region="FR"), NONE)


def test_an_extension_pattern_that_covers_112_changes_nothing() -> None:
    assert is_emergency("112", NumberPlan.build(region="FR", extensions=["xxx"]), NONE)


def test_a_configured_extra_counts_exactly_and_behind_an_access_digit() -> None:
    plan = NumberPlan.build(region="FR", strip=["0"])
    extra = frozenset({"3114", "01234567890"})
    assert is_emergency("3114", plan, extra)
    assert is_emergency("03114", plan, extra)
    assert is_emergency("001234567890", plan, extra)
    assert not is_emergency("31140", plan, extra)
    assert not is_emergency("3114", plan, NONE)
    assert emergency_numbers("FR", extra) == ("01234567890", "112", "15", "17", "18", "3114")


def test_the_emergency_region_rules_not_the_region_of_the_format() -> None:
    plan = NumberPlan.build(region="US", emergency_region="FR")
    assert is_emergency("15", plan, NONE)
    assert not is_emergency("911", plan, NONE)


def test_without_a_region_112_and_911_are_listed() -> None:
    assert emergency_numbers(None, frozenset({"15"})) == ("112", "15", "911")


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(BadEntry, match="unknown region 'XX'"):
        emergency_numbers("XX", NONE)


@pytest.mark.parametrize("region", REGIONS)
def test_the_list_is_what_the_library_and_the_test_accept(region: str) -> None:
    plan = NumberPlan.build(region=region)
    listed = set(emergency_numbers(region, NONE))
    short = (f"{value:0{size}}" for size in (2, 3) for value in range(10**size))
    accepted = {text for text in short if phonenumbers.is_emergency_number(text, region)}
    assert accepted == {text for text in listed if len(text) <= 3}
    assert all(is_emergency(text, plan, NONE) for text in listed)
    assert all(phonenumbers.is_emergency_number(text, region) for text in listed)


@given(st.sampled_from(REGIONS), st.text("0123456789", min_size=1, max_size=8))
def test_digits_are_an_emergency_number_if_the_library_says_so(region: str, digits: str) -> None:
    plan = NumberPlan.build(region=region)
    expected = phonenumbers.is_emergency_number(digits, region)
    assert is_emergency(digits, plan, NONE) is expected
    assert (digits in emergency_numbers(region, NONE)) is expected


def test_behind_codes_a_number_is_listed_as_often_as_it_can_be_dialled() -> None:
    plan = NumberPlan.build(strip=["9", "8", "*67", "*82"])
    listed = dialled_emergency_numbers(plan, frozenset({"3114"}))
    assert {"112", "9112", "*673114", "9*67911", "*679911", "*67*829112"} <= set(listed)
    assert not {"99112", "98112", "*67*67112"} & set(listed)
    assert len(listed) == 3 * 27
    assert listed == tuple(sorted(listed))


@st.composite
def dialled(draw: st.DrawFn) -> tuple[NumberPlan, frozenset[str], str]:
    """A plan, extra numbers, and codes and digits that may make one of them."""
    code = st.sampled_from(["9", "0", "91", "11", "*6", "*67", "#31#", "*", "9*"])
    strip = draw(st.lists(code, max_size=4))
    extra = draw(st.frozensets(st.sampled_from(["114", "9112", "67"])))
    plan = NumberPlan.build(region=draw(st.sampled_from(["FR", "US", None])), strip=strip)
    number = st.sampled_from(emergency_numbers(plan.region, extra)) | st.text("0169*#", max_size=4)
    codes = draw(st.lists(st.sampled_from(strip or [""]), max_size=5))
    return plan, extra, "".join(codes) + draw(number)


@given(dialled())
def test_what_is_listed_is_exactly_what_is_let_out(
    case: tuple[NumberPlan, frozenset[str], str],
) -> None:
    plan, extra, text = case
    assert (text in dialled_emergency_numbers(plan, extra)) is is_emergency(text, plan, extra)


def test_more_codes_than_anyone_dials_make_no_endless_list() -> None:
    plan = NumberPlan.build(strip=[f"*{code}" for code in range(10, 30)])
    listed = dialled_emergency_numbers(plan, NONE)
    assert {"112", "*10112", "*29*10911"} <= set(listed)
    assert len(listed) <= 2 * MOST_CODES
