"""Plans: what they refuse, how they strip, and extension patterns as Asterisk writes them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import BadEntry
from gateway.numbers import NumberPlan


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"region": "XX"}, "unknown region 'XX'"),
        ({"region": "001"}, "unknown region '001'"),
        ({"region": "FR", "emergency_region": "ZZ"}, "unknown region 'ZZ'"),
        ({"format": "E.164"}, "unknown format 'E.164': one of auto, e164, national"),
        ({"format": "national"}, "format national needs a region"),
        ({"strip": ["+"]}, "strip '+' must be"),
        ({"strip": [""]}, "strip '' must be"),
        ({"international_prefixes": ["+"]}, "international prefix '+' must be"),
        ({"extensions": [""]}, "extension pattern ''"),
        ({"extensions": ["_"]}, "extension pattern '_'"),
        ({"extensions": ["2A"]}, "'A' is none of"),
        ({"extensions": ["x.x"]}, "'.' is none of"),
        ({"extensions": ["[1-"]}, "'[1-' is none of"),
        ({"extensions": ["[8-1]x"]}, "'[8-1]' is none of"),
        ({"extensions": ["[]x"]}, "'[]' is none of"),
        ({"extensions": ["2(x"]}, "'(' is none of"),
        ({"extensions": ["x" * 41]}, "longer than 40"),
    ],
)
def test_a_bad_plan_is_refused_in_words(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadEntry) as fault:
        NumberPlan.build(**options)
    assert words in str(fault.value)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("[1-8]xxx", "1000 8999", "9000 100 10000 0999"),
        ("_2XX", "200 299", "300 20 2000"),
        ("zn", "12 99", "02 10 11"),
        ("x.", "12 123", "1"),
        ("1!", "1 12", "2"),
        ("[13-5]0", "10 30 50", "20 60"),
        ("*9x", "*97", "97 *9"),
        ("2 0-x", "201", "2"),
        ("[*#]1", "*1 #1", "11"),
    ],
)
def test_a_pattern_matches_as_in_asterisk(pattern: str, matching: str, other: str) -> None:
    plan = NumberPlan.build(extensions=[pattern, "999999"])
    assert all(plan.is_extension(text) for text in matching.split())
    assert not any(plan.is_extension(text) for text in other.split())


@pytest.mark.parametrize(
    ("prefixes", "text", "left"),
    [
        (["9"], "9911", "911"),
        (["9"], "99911", "9911"),
        (["9"], "9", "9"),
        (["9"], "+911", "+911"),
        (["9", "91"], "912", "2"),
        (["9", "8"], "981", "81"),
        (["*67", "9"], "*6791", "1"),
        (["*67", "9"], "9*671", "1"),
        (["*67", "#31#"], "*67#31#1", "1"),
        (["*67"], "*67*671", "*671"),
    ],
)
def test_stripping_takes_star_codes_and_one_access_code(
    prefixes: list[str], text: str, left: str
) -> None:
    assert NumberPlan.build(strip=prefixes).stripped(text) == left


def test_equal_options_give_the_same_plan() -> None:
    one = NumberPlan.build(region="fr", strip=["9"])
    assert one is NumberPlan.build(region="FR", strip=("9",))
    assert one is not NumberPlan.build(region="FR")
    assert len({one, NumberPlan.build(region="FR", strip=["9"])}) == 1


def test_the_emergency_region_is_the_region_unless_given() -> None:
    assert NumberPlan.build(region="FR").emergency_region == "FR"
    assert NumberPlan.build(region="FR", emergency_region="ch").emergency_region == "CH"
    assert NumberPlan.build(emergency_region="CH").region is None
