"""Emergency numbers: exact, as dialled, tested before anything else is read.

The rule: the dialled digits, or those left after the plan's stripping, are exactly an emergency
number of the region, and nothing stands beside them. A ``+`` or a further digit makes it an
ordinary number. Total.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from phonenumbers import PhoneMetadata

from gateway.numbers.clean import clean_strictly
from gateway.numbers.plan import NumberPlan, codes_after, known_region

EVERYWHERE = frozenset({"112", "911"})
"""What counts where no region is configured."""

LONGEST_EMERGENCY = 6

MOST_CODES = 1000
"""Sequences of codes before a number that are looked at, the shortest first: four star codes and
two access codes make 587."""


def is_emergency(raw: str, plan: NumberPlan, extra: frozenset[str]) -> bool:
    """Whether ``raw``, dialled on a trunk of ``plan``, calls for help. Never raises."""
    if raw[:1] == "+" or (raw.isdigit() and len(raw) > _bound(plan, extra)):
        return False
    text = clean_strictly(raw)
    if not text or text[0] == "+":
        return False
    known = _matcher(plan.emergency_region)
    readings = islice(_readings(text, plan.strip), MOST_CODES)
    return any(_is(digits, known, extra) for digits in readings)


def _readings(text: str, strip: tuple[str, ...]) -> Iterator[str]:
    """Whatever stripping can leave: where two codes fit, neither must cost a life."""
    layer = [(text, strip)]
    while layer:
        yield from (rest for rest, _ in layer)
        layer = [
            (rest[len(code) :], codes_after(code, left))
            for rest, left in layer
            for code in left
            if rest.startswith(code)
        ]


@lru_cache(maxsize=256)
def _bound(plan: NumberPlan, extra: frozenset[str]) -> int:
    longest = max(map(len, extra), default=0)
    return max(longest, LONGEST_EMERGENCY) + plan.longest_strip


def _is(digits: str, known: Callable[[str], object], extra: frozenset[str]) -> bool:
    return digits in extra or (len(digits) <= LONGEST_EMERGENCY and known(digits) is not None)


def emergency_numbers(region: str | None, extra: frozenset[str]) -> tuple[str, ...]:
    """Every number that ``is_emergency`` accepts without stripping, sorted; raises ``BadEntry``."""
    return tuple(sorted(_all(known_region(region)) | extra))


def dialled_emergency_numbers(plan: NumberPlan, extra: frozenset[str]) -> tuple[str, ...]:
    """Every text of ``0-9 * #`` that ``is_emergency`` accepts on a trunk of ``plan``, sorted.

    That is each emergency number, bare and behind every sequence of codes that is stripped from
    it. Where these are more than ``MOST_CODES``, the longest sequences are left out.
    """
    numbers = emergency_numbers(plan.emergency_region, extra)
    return tuple(sorted({codes + number for codes in _sequences(plan.strip) for number in numbers}))


def _sequences(strip: tuple[str, ...]) -> set[str]:
    """What may be dialled before a number: codes in any order, as ``codes_after`` has them."""
    found: set[str] = set()
    layer = [("", strip)]
    while layer and len(found) + len(layer) <= MOST_CODES:
        found.update(codes for codes, _ in layer)
        layer = [(codes + code, codes_after(code, left)) for codes, left in layer for code in left]
    return found


@lru_cache(maxsize=256)
def _matcher(region: str | None) -> Callable[[str], object]:
    return re.compile(_pattern(region)).fullmatch


def _pattern(region: str | None) -> str:
    if region is None:
        return "|".join(sorted(EVERYWHERE))
    emergency = _metadata(region)
    return (emergency and emergency.national_number_pattern) or "(?!)"


def _metadata(region: str) -> Any:
    metadata: Any = PhoneMetadata.short_metadata_for_region(region, None)
    return metadata and metadata.emergency


@lru_cache(maxsize=256)
def _all(region: str | None) -> frozenset[str]:
    """Found by trying every digit string of the lengths that the metadata names."""
    known, emergency = _matcher(region), region and _metadata(region)
    sizes = emergency.possible_length if emergency else (3,)
    texts = (f"{value:0{size}}" for size in sizes if size > 0 for value in range(10**size))
    return frozenset(text for text in texts if known(text))
