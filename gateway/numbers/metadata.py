"""The numbering plans of libphonenumber, prepared for speed.

The rule of this file: ``international`` and ``national`` give, for bare ASCII digits, exactly what
``phonenumbers.parse`` and ``is_possible_number`` give (tests hold them together over every region
and type), in about a microsecond instead of fifty. Metadata is loaded per country on first use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import Any

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    SUPPORTED_REGIONS,
    UNKNOWN_REGION,
    PhoneMetadata,
    ValidationResult,
    region_code_for_country_code,
)

LONGEST = 15
"""Digits of the longest E.164 number, country code included (ITU-T E.164)."""

_NEVER = re.compile(r"(?!)")
_DIGITS = "0123456789"
Matcher = Callable[[str], "re.Match[str] | None"]


@dataclass(frozen=True, eq=False, slots=True)
class Rules:
    """One region's numbering plan: the part of libphonenumber's metadata that reading needs."""

    region: str
    code: str
    trunk: str
    general: Matcher
    prefix: Matcher
    transform: str | None
    possible: frozenset[int]
    local: frozenset[int]
    shortest: int
    longest: int
    own_international: re.Pattern[str]
    parsing: str
    """The pattern of ``prefix``."""

    def without_trunk(self, digits: str) -> str:
        """Drop the national prefix, unless that makes a national number out of none."""
        found = self.prefix(digits)
        if found is None:
            return digits
        head = ""
        if self.transform and found.groups()[-1] is not None:
            head = found.expand(self.transform)
        rest = head + digits[found.end() :]
        return digits if self.general(digits) and not self.general(rest) else rest

    def significant(self, digits: str) -> str:
        """The national significant number: without trunk prefix if what is left can be one."""
        rest = self.without_trunk(digits)
        return rest if len(rest) in self.possible or len(rest) > self.longest else digits

    def reason(self, national: str) -> int:
        """A ``ValidationResult`` for the length of a national significant number."""
        length = len(national)
        if length in self.local:
            return ValidationResult.IS_POSSIBLE_LOCAL_ONLY
        if length in self.possible:
            return ValidationResult.IS_POSSIBLE
        if length < self.shortest:
            return ValidationResult.TOO_SHORT
        if length > self.longest:
            return ValidationResult.TOO_LONG
        return ValidationResult.INVALID_LENGTH

    @lru_cache(maxsize=1024)  # noqa: B019 - rules live for ever, one object a region
    def can_begin(self, head: str) -> bool:
        """Whether a national significant number can begin with ``head``, by probing its pattern."""
        return any(self.general(probe) for probe in self._probes(head))

    def _probes(self, head: str) -> list[str]:
        starts = [head + "".join(pair) for pair in product(_DIGITS, repeat=2)]
        lengths = [length for length in self.possible if length >= len(head)]
        fillers = product(starts, _DIGITS, lengths)
        return [start[:length].ljust(length, filler) for start, filler, length in fillers]


def _build(metadata: PhoneMetadata) -> Rules:
    general: Any = metadata.general_desc
    prefix = metadata.national_prefix_for_parsing
    return Rules(
        region=metadata.id,
        code=str(metadata.country_code),
        trunk=metadata.national_prefix or "",
        general=re.compile(general.national_number_pattern).fullmatch,
        prefix=re.compile(prefix).match if prefix else _NEVER.match,
        transform=metadata.national_prefix_transform_rule,
        possible=frozenset(general.possible_length),
        local=frozenset(general.possible_length_local_only),
        shortest=min(general.possible_length),
        longest=max(general.possible_length),
        own_international=re.compile(metadata.international_prefix or "(?!)"),
        parsing=prefix or _NEVER.pattern,
    )


@cache
def rules_of_region(region: str) -> Rules:
    """The rules of one of ``SUPPORTED_REGIONS``; raises ``KeyError`` for any other name."""
    if region not in SUPPORTED_REGIONS:
        raise KeyError(region)
    metadata = PhoneMetadata.metadata_for_region(region, None)
    assert metadata is not None
    return _build(metadata)


@cache
def rules_of_code(code: int) -> Rules | None:
    """The rules of a country code, those of its main region; ``None`` if it is not assigned."""
    region = region_code_for_country_code(code)
    if region == UNKNOWN_REGION:
        return None
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    return _build(metadata) if metadata is not None else None


class _ByHead(dict[str, "Rules | None"]):
    """The rules that govern numbers whose first three digits are the key; at most 1000 are kept."""

    def __missing__(self, head: str) -> Rules | None:
        rules = None
        if head.isascii() and head.isdigit() and head[0] != "0":
            codes = (int(head[:size]) for size in range(1, len(head) + 1))
            code = next((code for code in codes if code in COUNTRY_CODE_TO_REGION_CODE), None)
            rules = None if code is None else rules_of_code(code)
            self[head] = rules
        return rules


_by_head = _ByHead()


def rules_for(digits: str) -> Rules | None:
    """The rules of the country code that E.164 ``digits`` begin with; ``None`` if there is none."""
    return _by_head[digits[:3]]


def international(digits: str) -> str:
    """E.164 digits of a number that is written with its country code; empty if impossible.

    A national prefix wrongly kept behind the country code is dropped. Needs ASCII digits.
    """
    rules = _by_head[digits[:3]]
    if rules is None:
        return ""
    national = digits[len(rules.code) :]
    if rules.prefix(national) is not None:
        national = rules.significant(national)
        digits = rules.code + national
    return digits if len(national) in rules.possible and len(digits) <= LONGEST else ""


def national(digits: str, region: str, bare_code: bool) -> str:
    """E.164 digits of a number as it is dialled inside ``region``; empty if impossible.

    ``bare_code`` also accepts the region's own country code without plus where, as
    libphonenumber has it, the digits are no national number but the rest is one.
    """
    rules, main = _rules_of_home(region)
    if bare_code and (rest := _without_code(digits, rules)):
        significant = main.significant(rest)
    else:
        significant = rules.significant(digits)
    found = rules.code + significant
    return found if len(significant) in main.possible and len(found) <= LONGEST else ""


@cache
def _rules_of_home(region: str) -> tuple[Rules, Rules]:
    """The rules of a region, and those of the main region of its country code."""
    rules = rules_of_region(region)
    return rules, rules_of_code(int(rules.code)) or rules


def _without_code(digits: str, rules: Rules) -> str:
    if not digits.startswith(rules.code):
        return ""
    rest = rules.without_trunk(digits[len(rules.code) :])
    better = not rules.general(digits) and rules.general(rest)
    return rest if better or rules.reason(digits) == ValidationResult.TOO_LONG else ""


def length_reason(digits: str) -> int:
    """A ``ValidationResult`` for E.164 ``digits`` taken as they are, nothing dropped."""
    rules = _by_head[digits[:3]]
    if rules is None:
        return ValidationResult.INVALID_COUNTRY_CODE
    return rules.reason(digits[len(rules.code) :])


@lru_cache(maxsize=4096)
def short_code(digits: str, region: str) -> tuple[bool, bool]:
    """Whether ``digits`` are (a possible, a valid) short code of ``region``."""
    metadata: Any = PhoneMetadata.short_metadata_for_region(region, None)
    if metadata is None:
        return False, False
    possible = _described(digits, metadata.general_desc)
    return possible, possible and _described(digits, metadata.short_code)


def _described(digits: str, desc: Any) -> bool:
    if desc is None or not desc.national_number_pattern:
        return False
    if desc.possible_length and len(digits) not in desc.possible_length:
        return False
    return re.fullmatch(desc.national_number_pattern, digits) is not None
