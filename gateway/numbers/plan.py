"""How a trunk writes numbers. Plans are interned: equal options give the same object."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from phonenumbers import SUPPORTED_REGIONS

from gateway.errors import BadEntry
from gateway.numbers.metadata import Rules, rules_of_region
from gateway.numbers.patterns import compile_patterns

FORMATS = ("auto", "e164", "national")
_STRIP = re.compile(r"[0-9*#]{1,10}")
_PREFIX = re.compile(r"[0-9]{1,8}")


@dataclass(frozen=True, eq=False, slots=True)
class NumberPlan:
    """Made by ``build`` only; compared and hashed by identity, which interning makes right."""

    region: str | None
    format: str
    international_prefixes: tuple[str, ...] | None
    strip: tuple[str, ...]
    extensions: tuple[str, ...]
    emergency_region: str | None
    _extension: re.Pattern[str] | None
    _longest_strip: int

    @classmethod
    def build(
        cls,
        *,
        region: str | None = None,
        format: str = "auto",
        international_prefixes: Sequence[str] | None = None,
        strip: Sequence[str] = (),
        extensions: Sequence[str] = (),
        emergency_region: str | None = None,
    ) -> NumberPlan:
        """A plan; raises ``BadEntry`` for an unknown region or format and for a bad pattern.

        ``region`` and ``emergency_region`` are ISO 3166 codes, in either case; the latter is
        ``region`` unless given. ``international_prefixes`` replace the region's own.
        """
        prefixes = None if international_prefixes is None else tuple(international_prefixes)
        own = known_region(region)
        return _intern(
            own,
            format,
            prefixes,
            tuple(strip),
            tuple(extensions),
            known_region(emergency_region) or own,
        )

    def is_extension(self, text: str) -> bool:
        """Whether dialled characters match an extension pattern."""
        return self._extension is not None and self._extension.fullmatch(text) is not None

    @property
    def longest_strip(self) -> int:
        """Most characters that stripping can take away."""
        return self._longest_strip

    def stripped(self, text: str) -> str:
        """``text`` without the plan's dial prefixes, longest first.

        Star codes (``*67``, ``#31#``) are taken off once each, of the access codes (digits only)
        one at most. Nothing is taken from ``+…``, and what is taken leaves something.
        """
        left = self.strip
        while found := next((p for p in left if text.startswith(p) and len(text) > len(p)), ""):
            text = text[len(found) :]
            left = codes_after(found, left)
        return text

    def after_international_prefix(self, digits: str) -> str:
        """What follows an international prefix; empty if ``digits`` do not begin with one."""
        if self.international_prefixes is None:
            return after_international_prefix(digits, self.region)
        found = next((p for p in self.international_prefixes if digits.startswith(p)), None)
        return "" if found is None else digits[len(found) :]


def codes_after(code: str, left: tuple[str, ...]) -> tuple[str, ...]:
    """What of the codes ``left`` may follow ``code``: each goes once, one access code at most."""
    access = code.isdigit()
    return tuple(other for other in left if other != code and not (access and other.isdigit()))


def after_international_prefix(digits: str, region: str | None) -> str:
    """What follows the international prefix of ``region``, or ``00`` where that is free for it."""
    if region is not None:
        rules = rules_of_region(region)
        found = rules.own_international.match(digits)
        if found is not None and digits[found.end() :][:1] not in ("", "0"):
            return digits[found.end() :]
        if not digits.startswith("00") or not _double_zero_is_free(region):
            return ""
    return digits[2:] if digits.startswith("00") and digits[2:3] != "0" else ""


@lru_cache(maxsize=512)
def _double_zero_is_free(region: str) -> bool:
    """Whether no national number is dialled beginning with ``00``."""
    rules: Rules = rules_of_region(region)
    return not rules.can_begin("00") and not (rules.trunk == "0" and rules.can_begin("0"))


@lru_cache(maxsize=1024)
def _intern(
    region: str | None,
    format: str,
    prefixes: tuple[str, ...] | None,
    strip: tuple[str, ...],
    extensions: tuple[str, ...],
    emergency_region: str | None,
) -> NumberPlan:
    if format not in FORMATS:
        raise BadEntry(f"unknown format {format!r}: one of {', '.join(FORMATS)}")
    if format == "national" and region is None:
        raise BadEntry("format national needs a region")
    _all_match(strip, _STRIP, "strip", "1 to 10 of 0-9 * #, such as 9 or *67")
    _all_match(prefixes or (), _PREFIX, "international prefix", "1 to 8 digits, such as 00")
    return NumberPlan(
        region=region,
        format=format,
        international_prefixes=None if prefixes is None else _longest_first(prefixes),
        strip=_longest_first(strip),
        extensions=extensions,
        emergency_region=emergency_region,
        _extension=compile_patterns(extensions),
        _longest_strip=sum(map(len, set(strip))),
    )


def known_region(name: str | None) -> str | None:
    """The region in capitals; raises ``BadEntry`` for what is none."""
    if name is None:
        return None
    if name.upper() not in SUPPORTED_REGIONS:
        raise BadEntry(f"unknown region {name!r}: two letters of ISO 3166, such as FR")
    return name.upper()


def _all_match(items: Sequence[str], shape: re.Pattern[str], what: str, wanted: str) -> None:
    for item in items:
        if not shape.fullmatch(item):
            raise BadEntry(f"{what} {item!r} must be {wanted}")


def _longest_first(items: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(items), key=lambda item: (-len(item), item)))
