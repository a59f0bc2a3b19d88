"""Where entries of lists that block and entries of lists that allow meet.

Rule: they meet when some party of some call is looked at by both lists. The longest match wins, so
an entry beats what covers it and is beaten by what it covers, unless the list that blocks is
binding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from gateway.calls import Direction
from gateway.policy.index import Hit
from gateway.policy.model import Action, Entry, EntryKind, ListDef, Mode, Party, Policy
from gateway.policy.table import rank_of

NAMED = 3
MOST = 1000
"""Entries that are counted; beyond them they are only many."""


def exceptions_met(
    kind: EntryKind, digits: str, item: ListDef, policy: Policy, at: float
) -> Iterator[str]:
    """The exceptions that an entry of a list that blocks runs against: at most two clauses."""
    if met := _nearest(kind, digits, item, policy, at):
        other, entry = met
        same = (entry.kind, entry.digits) == (kind, digits)
        over = item.binding or not same or rank_of(item, True) < rank_of(other, entry.managed > 0)
        what = _described(entry)
        yield f"it beats the exception {what}" if over else f"the exception {what} still beats it"
    if not kind.exact and (inside := _inside(kind, digits, item, policy, at)):
        one = len(inside) == 1
        wins = "it beats" if item.binding else "still beats it" if one else "still beat it"
        yield f"it covers the exception{'' if one else 's'} {named(inside)}, which {wins}"


def blocks_lifted(
    kind: EntryKind, digits: str, item: ListDef, policy: Policy, at: float
) -> Iterator[str]:
    """What an entry of a list that allows lifts: a block of its own digits, or, for a prefix, part
    of the block of a shorter one. One number out of a blocked prefix is what exceptions are for.
    """
    met = _nearest(kind, digits, item, policy, at)
    if not met:
        return
    other, entry = met
    if (entry.kind, entry.digits) == (kind, digits):
        if rank_of(item, True) < rank_of(other, entry.managed > 0):
            yield f"it lifts the block {_described(entry)}"
    elif not kind.exact:
        yield f"it lifts a part of the block {_described(entry)}"


def named(entries: Sequence[str]) -> str:
    """The first of some texts, and how many more there are."""
    shown, more = entries[:NAMED], len(entries) - NAMED
    if more > 0:
        return f"{', '.join(shown)} and {more}{'+' * (len(entries) >= MOST)} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _nearest(
    kind: EntryKind, digits: str, item: ListDef, policy: Policy, at: float
) -> tuple[ListDef, Entry] | None:
    """The longest entry to the contrary that covers all that the new one covers."""
    for hit in policy.index.matches(digits, kind.short):
        other = policy.lists[hit.list_no]
        if _meets(hit, other, item, at):
            entry = policy.index.entry(hit.row)
            if kind.exact or not entry.kind.exact:
                return other, entry
    return None


def _inside(
    kind: EntryKind, digits: str, item: ListDef, policy: Policy, at: float
) -> tuple[str, ...]:
    """Entries to the contrary that a prefix covers, but for those that cover it."""
    lists = policy.lists
    contrary = {place for place, other in enumerate(lists) if _contrary(other, item)}
    found = policy.index.under(digits, kind.short, contrary)
    alive = (hit for hit in found if _meets(hit, lists[hit.list_no], item, at))
    entries = (policy.index.entry(hit.row) for hit in alive)
    below = (entry for entry in entries if entry.kind.exact or entry.digits != digits)
    return tuple(map(_described, islice(below, MOST)))


def _described(entry: Entry) -> str:
    return f"{entry.text} of {entry.list!r} ({entry.origin})"


def _meets(hit: Hit, other: ListDef, item: ListDef, at: float) -> bool:
    return _contrary(other, item) and not 0 < hit.expires <= at


def _contrary(other: ListDef, item: ListDef) -> bool:
    """Whether one list allows calls that the other blocks, in force and not for good."""
    return (
        other.action is not item.action
        and other.mode is Mode.ENFORCE
        and not (other.action is Action.BLOCK and other.binding)
        and not _apart(other.campaigns, item.campaigns)
        and not _apart(other.trunks, item.trunks)
        and not _apart(other.extensions, item.extensions)
        and not _looks(other).isdisjoint(_looks(item))
    )


def _apart(one: frozenset[str], other: frozenset[str]) -> bool:
    """An empty scope is everywhere."""
    return bool(one and other) and one.isdisjoint(other)


def _looks(item: ListDef) -> set[tuple[Direction, Party]]:
    """The parties that a list looks at in each direction."""
    directions: Iterable[Direction] = (item.direction,) if item.direction else Direction
    return {(way, party) for way in directions for party in _parties(item.party, way)}


def _parties(party: Party, way: Direction) -> tuple[Party, ...]:
    if party is Party.ANY:
        return (Party.CALLER, Party.CALLEE)
    if party is Party.REMOTE:
        return (Party.CALLER if way is Direction.INBOUND else Party.CALLEE,)
    return (party,)
