"""Reading is total, keeps its invariants on any text, and loads nothing that it does not need."""

from __future__ import annotations

import re
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from gateway.numbers import Kind, NumberPlan, is_emergency, read
from gateway.numbers.clean import RAW_LIMIT, USER_LIMIT
from gateway.numbers.read import _read

PLANS = [
    NumberPlan.build(),
    NumberPlan.build(region="FR", strip=["9", "*67", "#31#"], extensions=["[1-8]xxx", "*9x"]),
    NumberPlan.build(region="US", format="national", strip=["9"]),
    NumberPlan.build(region="AR", format="e164", international_prefixes=[]),
]
NUMBERISH = st.text("0123456789+*#;@:-. ()%<>sipteltaphone-context=\x00\n٣３", max_size=40)
ANYTHING = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=())), NUMBERISH, st.text("0123456789+")
)


@given(ANYTHING, st.sampled_from(PLANS), st.booleans())
def test_any_text_reads_to_a_number_that_keeps_its_invariants(
    raw: str, plan: NumberPlan, extensions: bool
) -> None:
    number = read(raw, plan, extensions=extensions)
    digits = number.digits
    assert number.raw == raw
    assert not digits or (digits.isascii() and digits.isdigit())
    if number.kind is Kind.E164:
        assert 5 <= len(digits) <= 15
        assert digits[0] != "0"
    elif number.kind is Kind.SHORT:
        assert digits or number.internal
    elif number.kind is Kind.ANONYMOUS:
        assert not digits
    else:
        assert len(digits) <= 15
    assert not number.reach or number.kind is Kind.INVALID
    assert re.fullmatch(r"([1-9][0-9]{0,14})?", number.reach, re.ASCII)
    assert number.internal <= (extensions and number.kind is Kind.SHORT)


@given(ANYTHING, st.sampled_from(PLANS), st.sampled_from(PLANS))
def test_what_was_read_reads_to_itself_under_any_plan(
    raw: str, plan: NumberPlan, other: NumberPlan
) -> None:
    once = read(raw, plan).e164
    if once:
        assert read(once, other).e164 == once


FRANCE = NumberPlan.build(region="FR")
DIALLED = ["0162000000", "+33162000000", "0033162000000", "33162000000", "000033162000000"]


@given(st.sampled_from(DIALLED), st.text("0123456789+*#", max_size=8))
def test_digits_to_spare_do_not_lead_out_of_reach_of_a_prefix(dialled: str, spare: str) -> None:
    number = read(dialled + spare, FRANCE)
    behind = read(spare[spare.rfind("+") :], FRANCE) if "+" in spare else None
    another = behind is not None and behind.kind is Kind.E164
    assert another or (number.digits if number.kind is Kind.E164 else number.reach).startswith(
        "33162"
    )


@given(ANYTHING, st.sampled_from(PLANS))
def test_any_text_can_be_tested_for_emergency(raw: str, plan: NumberPlan) -> None:
    assert is_emergency(raw, plan, frozenset({"114"})) in (True, False)


def test_an_over_long_number_is_invalid_however_it_is_wrapped() -> None:
    plan = PLANS[1]
    assert read("sip:+33123456789@" + "h" * 200, plan).kind is Kind.E164
    assert read("+33123456789" + " " * USER_LIMIT, plan).kind is Kind.E164
    assert read("+3312345" + " " * USER_LIMIT + "6789", plan).kind is Kind.INVALID
    assert read("1" * (USER_LIMIT + 1), plan).kind is Kind.INVALID
    assert read("sip:+33123456789@" + "h" * RAW_LIMIT, plan).kind is Kind.INVALID


def test_german_numbers_of_which_one_begins_the_other_are_two_numbers() -> None:
    plan = NumberPlan.build(region="DE")
    shorter, longer = read("030 12345", plan), read("030 123456", plan)
    assert longer.digits.startswith(shorter.digits)
    assert shorter.digits != longer.digits


def test_no_more_answers_are_remembered_than_the_cache_is_meant_to_hold() -> None:
    for value in range(9000):
        read(f"0{value}", PLANS[1])
    info = _read.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize


def test_importing_and_reading_loads_no_geocoder() -> None:
    script = (
        "import sys; from gateway.numbers import NumberPlan, read, type_of, region_of\n"
        "read('0123456789', NumberPlan.build(region='FR')); type_of('33123456789')\n"
        "print(any('geocoder' in n or 'geodata' in n or 'carrier' in n for n in sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
