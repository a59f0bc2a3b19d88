"""Whether the keys of a category list hold for a number: ANDed, the values of one key ORed.

The keys that ask libphonenumber come last, and only when a list has them.
"""

from __future__ import annotations

from gateway import numbers
from gateway.numbers import Kind, Number
from gateway.policy.model import Match, Reason


def holds(match: Match, remote: Number, *, hidden: bool) -> Reason | None:
    """The reason to give when every key holds: that of the costliest one; else None.

    ``hidden``: the remote party withholds its number.
    """
    reason = None
    if match.anonymous:
        if not (hidden or remote.kind is Kind.ANONYMOUS):
            return None
        reason = Reason.ANONYMOUS
    if match.no_number:
        if remote.kind is not Kind.ANONYMOUS:
            return None
        reason = Reason.NO_NUMBER
    if match.invalid:
        if remote.kind is not Kind.INVALID:
            return None
        reason = Reason.INVALID
    if match.unassigned or match.regions or match.types:
        return _of_a_number(match, remote.digits) if remote.kind is Kind.E164 else None
    return reason


def _of_a_number(match: Match, digits: str) -> Reason | None:
    reason = None
    if match.unassigned:
        if numbers.is_valid(digits):
            return None
        reason = Reason.UNASSIGNED
    if match.regions:
        if numbers.region_of(digits) not in match.regions:
            return None
        reason = Reason.REGION
    if match.types:
        if numbers.type_of(digits) not in match.types:
            return None
        reason = Reason.TYPE
    return reason
