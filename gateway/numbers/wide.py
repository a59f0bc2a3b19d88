"""Prefixes so short that they cover a country, or a large part of one.

Rule: a prefix is wide with at most one national digit behind its country code. One slip of the
finger makes it, and it stops a tenth of a country's numbers or more.
"""

from __future__ import annotations

from functools import lru_cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

_CODES = {str(code): regions for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()}
_LONGEST = max(map(len, _CODES)) + 1
_NAMED = 3
_NO_COUNTRY = "001"


def reach(digits: str) -> str:
    """What a wide prefix covers, in words, such as ``all of +33 (FR)``; empty if it is not wide."""
    return _reach(digits) if len(digits) <= _LONGEST else ""


def covers_country(digits: str) -> bool:
    """Whether a prefix covers a whole country code or more."""
    return len(digits) < _LONGEST and any(code.startswith(digits) for code in _CODES)


@lru_cache(maxsize=1024)
def _reach(digits: str) -> str:
    codes = [code for code in _CODES if code.startswith(digits)]
    if digits in _CODES:
        return f"all of {_named(digits)}"
    if codes:
        return f"all of the {len(codes)} country codes that begin with +{digits}"
    code, last = digits[:-1], digits[-1:]
    return f"all numbers of {_named(code)} that begin with {last}" if code in _CODES else ""


def _named(code: str) -> str:
    """``+33 (FR)``, ``+1 (US, AG, AI and 22 more)``, ``+881`` where it is no country's."""
    regions = [region for region in _CODES[code] if region != _NO_COUNTRY]
    if not regions:
        return f"+{code}"
    shown, rest = ", ".join(regions[:_NAMED]), len(regions) - _NAMED
    return f"+{code} ({shown} and {rest} more)" if rest > 0 else f"+{code} ({shown})"
