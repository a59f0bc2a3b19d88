"""Where an impossible number would lead: digits that prefixes can cover.

The rule: a switch forgives. It may drop digits beyond the last, a second international prefix, a
zero too many, or all that follows a star. So what is no possible number still begins like one,
and a prefix of that beginning covers it. Of several beginnings the first counts behind which a
possible number lies, else the first. Total: never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from phonenumbers import ValidationResult

from gateway.numbers.metadata import (
    LONGEST,
    Rules,
    international,
    length_reason,
    rules_for,
    rules_of_region,
)
from gateway.numbers.plan import NumberPlan

_HEAD = re.compile(r"(\+*)([0-9]+)")
_ENOUGH = (ValidationResult.IS_POSSIBLE, ValidationResult.TOO_LONG)
_MOST = 4
"""Prefixes of one kind that are dropped one after the other."""


def reach_of(text: str, plan: NumberPlan) -> str:
    """E.164 digits, 15 at most, that cleaned and stripped ``text`` begins with; may be empty."""
    found = list(_beginnings(text, plan))
    possible = next(filter(None, map(international, found)), "")
    return possible or (found[0][:LONGEST] if found else "")


def _beginnings(text: str, plan: NumberPlan) -> Iterator[str]:
    """The readings of what was dialled, the likeliest first; a later plus may begin anew."""
    places = [place for place, sign in enumerate(text) if sign == "+"]
    for place in [0, *places[-1:]]:
        if head := _HEAD.match(text, place):
            yield from _readings(head[2], plan, coded=bool(head[1]))


def _readings(digits: str, plan: NumberPlan, *, coded: bool) -> Iterator[str]:
    rest, dropped = _after_prefixes(digits, plan)
    if coded or dropped:
        yield from _international((rest if dropped else digits).lstrip("0"))
    if not coded:
        yield from _local(rest, plan)


def _after_prefixes(digits: str, plan: NumberPlan) -> tuple[str, bool]:
    """What follows the international prefixes, and whether there was one."""
    rest = digits
    for _ in range(_MOST):
        after = plan.after_international_prefix(rest) or _after_doubled(rest, plan.region)
        if not after:
            break
        rest = after
    return rest, rest != digits


def _after_doubled(digits: str, region: str | None) -> str:
    """What follows the first of two prefixes: no country code begins with the 0 of the second."""
    own = rules_of_region(region).own_international.match(digits) if region else None
    if own and digits[own.end() : own.end() + 1] == "0":
        return digits[own.end() :]
    return digits[2:] if digits.startswith("00") else ""


def _local(digits: str, plan: NumberPlan) -> Iterator[str]:
    """As dialled inside the region. Without a trunk prefix only as many digits as a number has:
    fewer are somebody's short code, and no beginning of a foreign number.
    """
    rules = rules_of_region(plan.region) if plan.region and plan.format != "e164" else None
    if rules and rules.trunk and digits.startswith(rules.trunk):
        if rest := _without_trunks(digits, rules):
            yield rules.code + rest
        return
    if plan.format != "national" and length_reason(digits) in _ENOUGH:
        yield from _international(digits)
    if rules and rules.reason(digits) in _ENOUGH:
        yield rules.code + digits


def _international(digits: str) -> Iterator[str]:
    """Digits that begin with a country code, or with the same one twice."""
    rules = rules_for(digits)
    if rules is None:
        return
    rest = _without_trunks(digits[len(rules.code) :], rules)
    yield rules.code + rest
    if rest.startswith(rules.code):
        yield rest


def _without_trunks(digits: str, rules: Rules) -> str:
    """National digits without the trunk prefix, as often as no number can begin with it."""
    trunk = rules.trunk
    for _ in range(_MOST):
        if not trunk or not digits.startswith(trunk):
            break
        if rules.can_begin(digits[: len(trunk) + 1]):
            break
        digits = digits.removeprefix(trunk)
    return digits
