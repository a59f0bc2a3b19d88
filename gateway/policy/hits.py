"""Which entries cover a number, before any scope is asked.

An impossible number still begins with the digits that it begins with: prefixes that block cover it
by its reach, so that one digit too many slips past none of them. An exact number is no other
number, and an exception is not stretched to what cannot exist.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.numbers import Kind, Number
from gateway.policy.index import Hit
from gateway.policy.model import Action, Policy

_E164 = Kind.E164


def hits_of(number: Number, policy: Policy) -> Sequence[Hit]:
    """Every entry that covers a number, in the order of precedence."""
    index, lists = policy.index, policy.lists
    hits = index.matches(number.digits, number.kind is not _E164)
    if not number.reach:
        return hits
    reached = [
        hit
        for hit in index.matches(number.reach)
        if lists[hit.list_no].action is Action.BLOCK and not index.entry(hit.row).kind.exact
    ]
    return [*hits, *reached]
