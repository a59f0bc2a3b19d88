"""Emergency numbers: exact, as dialled, tested before anything else is read.

The rule: the dialled digits, or those left after the plan's stripping, are exactly an emergency
number of the region. A ``+`` or a further digit makes it an ordinary number. Total.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from phonenumbers import PhoneMetadata

from gateway.numbers.clean import RAW_LIMIT, clean
from gateway.numbers.plan import NumberPlan, known_region

EVERYWHERE = frozenset({"112", "911"})
"""What counts where no region is configured."""

LONGEST_EMERGENCY = 6


def is_emergency(raw: str, plan: NumberPlan, extra: frozenset[str]) -> bool:
    """Whether ``raw``, dialled on a trunk of ``plan``, calls for help. Never raises."""
    if raw[:1] == "+" or (raw.isdigit() and len(raw) > _bound(plan, extra)):
        return False
    text = clean(raw).text if len(raw) <= RAW_LIMIT else ""
    if not text or text[0] == "+":
        return False
    known = _matcher(plan.emergency_region)
    return any(_is(digits, known, extra) for digits in (text, *_stripped(text, plan)))


def _stripped(text: str, plan: NumberPlan) -> Iterator[str]:
    """Whatever stripping can leave: where two prefixes fit, the longer must not cost a life."""
    yield plan.stripped(text)
    yield from (text[len(prefix) :] for prefix in plan.strip if text.startswith(prefix))


@lru_cache(maxsize=256)
def _bound(plan: NumberPlan, extra: frozenset[str]) -> int:
    longest = max(map(len, extra), default=0)
    return max(longest, LONGEST_EMERGENCY) + plan.longest_strip


def _is(digits: str, known: Callable[[str], object], extra: frozenset[str]) -> bool:
    return digits in extra or (len(digits) <= LONGEST_EMERGENCY and known(digits) is not None)


def emergency_numbers(region: str | None, extra: frozenset[str]) -> tuple[str, ...]:
    """Every number that ``is_emergency`` accepts without stripping, sorted; raises ``BadEntry``."""
    return tuple(sorted(_all(known_region(region)) | extra))


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
