"""Our reading equals libphonenumber's, over every region and every type of number it knows."""

from __future__ import annotations

from typing import Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import (
    NumberParseException,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
    ValidationResult,
)

from gateway.errors import BadEntry
from gateway.numbers import NumberPlan, read, read_number_entry, read_prefix_entry
from gateway.numbers.metadata import international, national, rules_of_region
from tests.support.examples import tries

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS: list[int] = [value for name, value in vars(PhoneNumberType).items() if name.isupper()]
PLANS = {region: NumberPlan.build(region=region) for region in REGIONS}


def oracle(text: str, region: str | None = None) -> str:
    """The library's E.164 digits; empty unless exactly possible and within E.164's 15 digits."""
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return ""
    digits = e164(number)[1:]
    reason = phonenumbers.is_possible_number_with_reason(number)
    return digits if reason == ValidationResult.IS_POSSIBLE and len(digits) <= 15 else ""


def e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def examples(region: str) -> list[PhoneNumber]:
    """Without +1 310 1234 of Canada, which the library itself calls possible only locally."""
    found = (phonenumbers.example_number_for_type(region, kind) for kind in KINDS)
    return [number for number in found if number is not None and oracle(e164(number))]


def metadata(region: str) -> Any:
    return PhoneMetadata.metadata_for_region(region, None)


@pytest.mark.parametrize("region", REGIONS)
def test_every_example_reads_the_same_from_each_of_its_forms(region: str) -> None:
    assert examples(region)
    for number in examples(region):
        wanted = e164(number)
        spoken = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
        dialled = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        for plan in (*list(PLANS.values())[::40], PLANS[region]):
            assert read(wanted, plan).e164 == wanted
            assert read(spoken, plan).e164 == wanted
        for format in ("auto", "national"):
            plan = NumberPlan.build(region=region, format=format)
            assert read(dialled, plan).e164 == wanted
        assert read(wanted[1:], NumberPlan.build(region=region, format="e164")).e164 == wanted
        assert read_number_entry(wanted, None) == wanted[1:]


@pytest.mark.parametrize("region", REGIONS)
def test_a_national_prefix_kept_behind_the_country_code_is_dropped_as_the_library_does(
    region: str,
) -> None:
    code = str(metadata(region).country_code)
    trunk = metadata(region).national_prefix or "0"
    for number in examples(region):
        kept = f"+{code}{trunk}{e164(number)[1 + len(code) :]}"
        assert read(kept, PLANS[region]).digits == oracle(kept)


@pytest.mark.parametrize("region", REGIONS)
def test_the_international_prefix_of_a_region_leads_abroad(region: str) -> None:
    for other in ("FR", "US", "DE"):
        number = phonenumbers.example_number(other)
        assert number is not None
        written = phonenumbers.format_out_of_country_calling_number(number, region)
        if metadata(region).country_code != number.country_code and written[0].isdigit():
            # Hong Kong's 001 followed by 20 is Egypt as well as +1 20: the library's choice counts.
            dialled = written.replace("~", "")
            assert read(dialled, PLANS[region]).digits == oracle(dialled, region)


@pytest.mark.parametrize("region", REGIONS)
def test_a_plain_prefix_covers_the_examples_it_was_cut_from(region: str) -> None:
    for number in examples(region):
        digits = e164(number)[1:]
        for size in range(1, len(digits) + 1):
            assert digits.startswith(read_prefix_entry("+" + digits[:size], region))


@pytest.mark.parametrize("region", [r for r in REGIONS if metadata(r).national_prefix])
def test_a_prefix_with_a_trunk_prefix_covers_its_numbers_or_is_refused(region: str) -> None:
    rules = rules_of_region(region)
    for number in examples(region):
        digits = e164(number)[1:]
        local = digits[len(rules.code) :]
        for size in range(2, len(local) + 1):
            for written in (
                rules.trunk + local[:size],
                f"+{rules.code}{rules.trunk}{local[:size]}",
            ):
                try:
                    prefix = read_prefix_entry(written, region)
                except BadEntry:
                    continue
                # Where numbers themselves begin with the trunk prefix the text is left alone.
                assert digits.startswith(prefix) or rules.can_begin(prefix[len(rules.code) :])


def test_numbers_of_no_country_read_from_their_e164_form() -> None:
    for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        number = phonenumbers.example_number_for_non_geo_entity(code)
        assert number is not None
        assert read(e164(number), PLANS["FR"]).e164 == e164(number)


@st.composite
def digits_near(draw: st.DrawFn) -> tuple[str, str]:
    """A region, and digits that tend to begin as numbers there do."""
    region = draw(st.sampled_from(REGIONS))
    code, trunk = str(metadata(region).country_code), metadata(region).national_prefix or ""
    head = draw(st.sampled_from(["", code, trunk, code + trunk, code + "0"]))
    return region, head + draw(st.text("0123456789", min_size=1, max_size=14))


@given(digits_near())
@tries(1500)
def test_digits_behind_plus_read_as_the_library_reads_them(case: tuple[str, str]) -> None:
    _region, digits = case
    assert international(digits) == oracle("+" + digits)


@given(digits_near())
@tries(1500)
def test_national_digits_read_as_the_library_reads_them(case: tuple[str, str]) -> None:
    region, digits = case
    own = rules_of_region(region).own_international.match(digits)
    if own is None or digits[own.end() :][:1] == "0":
        assert national(digits, region, True) == oracle(digits, region)
