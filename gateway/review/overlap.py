"""Which entries an entry meets: those that win over it, and those that it makes superfluous.

Rule: a longer entry wins; of equal length the order of ``Index.matches`` does. What is told is
about entries, not calls: lists whose scopes share no call do not meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from gateway.calls import Direction
from gateway.policy.index import Hit, Index
from gateway.policy.model import Entry, ListDef, Mode, Party, Policy

SHOWN = 20
"""How many entries are given one by one."""


@dataclass(frozen=True, slots=True)
class Some:
    """How many entries there are, and the first of them."""

    total: int = 0
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Overlap:
    """``exceptions`` have the other action and win over the entry where they cover a number.

    ``redundant`` ones lie under the entry and do the same, so they could go.
    """

    exceptions: Some = Some()
    redundant: Some = Some()


def overlap(entry: Entry, policy: Policy, at: float) -> Overlap:
    """What an entry meets in a policy that has it. What has expired at ``at`` is no entry."""
    lists = policy.lists
    own = next((item for item in lists if item.name == entry.list), None)
    if own is None or own.match is not None:
        return Overlap()
    against = {place for place, item in enumerate(lists) if _wins_over(item, own)}
    same = {place for place, item in enumerate(lists) if _is_of(item, own)}
    index = policy.index
    under = _under(entry, index, against | same)
    longer = [hit for hit in under if not 0 < hit.expires <= at]
    equal = [hit for hit in _before(entry, index) if not 0 < hit.expires <= at]
    exceptions = [hit for hit in (*equal, *longer) if hit.list_no in against]
    sheltered = _sheltered(index, exceptions, entry.kind.short, same)
    redundant = [
        hit
        for hit in longer
        if hit.list_no in same and hit.row not in sheltered and _outlives(entry, hit)
    ]
    return Overlap(_some(index, exceptions), _some(index, redundant))


def _some(index: Index, hits: list[Hit]) -> Some:
    return Some(len(hits), tuple(index.entry(hit.row) for hit in hits[:SHOWN]))


def _before(entry: Entry, index: Index) -> Iterator[Hit]:
    """Entries of the same kind and digits that win over the entry."""
    hits = index.matches(entry.digits, entry.kind.short)
    for hit in takewhile(lambda hit: index.entry(hit.row) != entry, hits):
        if index.entry(hit.row).kind is entry.kind:
            yield hit


def _under(entry: Entry, index: Index, lists: set[int]) -> Iterator[Hit]:
    """Entries of some lists that win by their length: longer ones, and exact numbers."""
    short = entry.kind.short
    if entry.kind.exact:
        return
    level = {
        hit.row for hit in index.matches(entry.digits, short) if not index.entry(hit.row).kind.exact
    }
    for hit in index.under(entry.digits, short, lists):
        if hit.row not in level:
            yield hit


def _sheltered(index: Index, exceptions: list[Hit], short: bool, same: set[int]) -> set[int]:
    """Rows below a prefix that is an exception: without them it would decide, not the entry."""
    found = (index.entry(hit.row) for hit in exceptions)
    rows: set[int] = set()
    outer = "-"
    for digits in sorted(entry.digits for entry in found if not entry.kind.exact):
        if not digits.startswith(outer):
            outer = digits
            rows.update(hit.row for hit in index.under(digits, short, same))
    return rows


def _outlives(entry: Entry, hit: Hit) -> bool:
    return not entry.expires or 0 < hit.expires <= entry.expires


def _wins_over(item: ListDef, own: ListDef) -> bool:
    """Whether a longer entry of ``item`` is an exception to one of ``own``."""
    return (
        item.action is not own.action
        and item.match is None
        and item.mode in (Mode.ENFORCE, own.mode)
        and not own.binding
        and _share(item, own)
    )


def _is_of(item: ListDef, own: ListDef) -> bool:
    """Whether ``own`` does to every call of ``item`` what ``item`` does."""
    effects = [
        (each.action, each.response, each.network_blocked, each.mode, each.match)
        for each in (item, own)
    ]
    scopes = zip(_scopes(own), _scopes(item), strict=True)
    return (
        effects[0] == effects[1]
        and (own.binding or not item.binding)
        and all(parties <= looked_at(own, way) for way, parties in _ways(item))
        and all(not wide or (narrow and narrow <= wide) for wide, narrow in scopes)
    )


def _share(one: ListDef, other: ListDef) -> bool:
    """Whether there are calls that both lists look at, and the same party of them."""
    scopes = zip(_scopes(one), _scopes(other), strict=True)
    return any(parties & looked_at(other, way) for way, parties in _ways(one)) and all(
        not left or not right or left & right for left, right in scopes
    )


def _scopes(item: ListDef) -> tuple[frozenset[str], ...]:
    return item.campaigns, item.trunks, item.extensions


def _ways(item: ListDef) -> Iterator[tuple[Direction, frozenset[Party]]]:
    for way in Direction:
        if parties := looked_at(item, way):
            yield way, parties


def looked_at(item: ListDef, way: Direction) -> frozenset[Party]:
    """The parties, ``caller`` and ``callee``, that a list looks at in calls of a direction."""
    if item.direction not in (None, way):
        return frozenset()
    if item.party is Party.ANY:
        return frozenset({Party.CALLER, Party.CALLEE})
    if item.party is not Party.REMOTE:
        return frozenset({item.party})
    return frozenset({Party.CALLER if way is Direction.INBOUND else Party.CALLEE})
