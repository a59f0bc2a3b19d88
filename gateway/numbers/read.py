"""Reading a number: one total function from raw text and a plan to a ``Number``.

The order: cleaning, extensions, the plan's stripping, ``+``, international prefix, then the
plan's format. docs/numbers.md states it for people, with examples that a test runs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from gateway.numbers.clean import RAW_LIMIT, clean
from gateway.numbers.facts import is_valid
from gateway.numbers.metadata import LONGEST, international, national, short_code
from gateway.numbers.model import Kind, Number
from gateway.numbers.plan import NumberPlan
from gateway.numbers.resolve import reach_of

STAND_IN = "266696687"
"""ANONYMOUS on a keypad, which carriers send as ``+266696687`` (impossible in Lesotho)."""

_SHORT_LIMIT = 8
_E164, _BAD = Kind.E164, Kind.INVALID


class _Meaning(NamedTuple):
    kind: Kind
    digits: str = ""
    internal: bool = False
    reach: str = ""


_INVALID = _Meaning(Kind.INVALID)
_ANONYMOUS = _Meaning(Kind.ANONYMOUS)


def read(raw: str, plan: NumberPlan, extensions: bool = True) -> Number:
    """Read ``raw`` as the trunk of ``plan`` writes numbers. Never raises.

    ``extensions=False`` is for inbound callers: one that looks like an extension is none.
    """
    if len(raw) > RAW_LIMIT:
        return Number(raw, Kind.INVALID)
    return _read(raw, plan, extensions)


@lru_cache(maxsize=8192)
def _read(raw: str, plan: NumberPlan, extensions: bool) -> Number:
    digits = raw[1:]
    if raw[:1] == "+" and digits.isdigit() and digits.isascii() and (e164 := international(digits)):
        return Number(raw, _E164, e164, False, "", "+" + e164)
    kind, digits, internal, reach = _meaning(raw, plan, extensions)
    return Number(raw, kind, digits, internal, reach, "+" + digits if kind is _E164 else "")


def _meaning(raw: str, plan: NumberPlan, extensions: bool) -> _Meaning:
    text, context, anonymous = clean(raw)
    if anonymous:
        return _ANONYMOUS
    if not text:
        return _INVALID
    if context and text.isdigit() and (e164 := international(context + text)):
        return _Meaning(Kind.E164, e164)
    meaning = _dialled(text, plan, extensions)
    if meaning.kind is _BAD:
        return meaning._replace(reach=reach_of(plan.stripped(text), plan))
    return meaning


def _dialled(text: str, plan: NumberPlan, extensions: bool) -> _Meaning:
    if extensions and plan.is_extension(text):
        return _extension(text)
    stripped = plan.stripped(text)
    if stripped == text:
        return _interpreted(text, plan)
    if extensions and plan.is_extension(stripped):
        return _extension(stripped)
    return _likelier(_interpreted(stripped, plan), text, plan)


def _likelier(rest: _Meaning, text: str, plan: NumberPlan) -> _Meaning:
    """A caller's number may begin with an access digit: then only the whole is a known number."""
    if _is_known(rest):
        return rest
    whole = _interpreted(text, plan)
    if _is_known(whole):
        return whole
    return rest if rest.kind is not Kind.INVALID or whole.kind is Kind.INVALID else whole


def _is_known(meaning: _Meaning) -> bool:
    return meaning.kind is Kind.E164 and is_valid(meaning.digits)


def _extension(text: str) -> _Meaning:
    return _Meaning(Kind.SHORT, text if text.isdigit() else "", internal=True)


def _interpreted(text: str, plan: NumberPlan) -> _Meaning:
    """No country code begins with 0, so that ``+00`` can only be a doubled prefix."""
    if text[0] == "+":
        return _with_code(text.lstrip("+").removeprefix("00"))
    if not text.isdigit():
        return _INVALID
    if not text.strip("0"):
        return _ANONYMOUS
    rest = plan.after_international_prefix(text)
    meaning = _with_code(rest) if rest else _INVALID
    return _bare(text, plan) if meaning is _INVALID else meaning


def _with_code(digits: str) -> _Meaning:
    """Digits that should begin with a country code."""
    if not digits.isdigit():
        return _INVALID
    if not digits.strip("0") or digits == STAND_IN:
        return _ANONYMOUS
    e164 = international(digits)
    return _Meaning(_E164, e164) if e164 else _INVALID


def _bare(text: str, plan: NumberPlan) -> _Meaning:
    possible, valid = _short(text, plan.region)
    e164 = _national(text, plan)
    if valid and not (e164 and is_valid(e164)):
        return _Meaning(Kind.SHORT, text)
    if not e164 and plan.format != "national":
        meaning = _with_code(text)
        if meaning is not _INVALID:
            return meaning
    if e164:
        return _Meaning(_E164, e164)
    if possible:
        return _Meaning(Kind.SHORT, text)
    return _Meaning(Kind.INVALID, text if len(text) <= LONGEST else "")


def _national(text: str, plan: NumberPlan) -> str:
    if plan.region is None or plan.format == "e164" or len(text) > 2 * LONGEST:
        return ""
    return national(text, plan.region, plan.format == "auto")


def _short(text: str, region: str | None) -> tuple[bool, bool]:
    if region is None or len(text) > _SHORT_LIMIT:
        return False, False
    return short_code(text, region)
