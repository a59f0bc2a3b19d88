"""The guard before an entry is added: what it would cover that whoever adds it may not think of.

Rule: a slip of the finger must not silence a country, the gateway's own numbers or an exception.
Each of these is named, and goes on when it is confirmed. An emergency call is let out whatever the
lists say; an entry that covers its number is still one that nobody means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from gateway.entries.contradictions import blocks_lifted, exceptions_met, named
from gateway.entries.model import MAX_COVERED
from gateway.errors import EntryError
from gateway.numbers import Kind, NumberPlan, emergency_numbers, reach, read
from gateway.policy.model import Action, EntryKind, ListDef, Policy

EMERGENCY, DID, ALLOW, COUNTRY, BLOCK = "emergency", "did", "allow", "country", "block"
TOLD = 5
"""Clauses in a message; the others are counted."""


@dataclass(frozen=True, slots=True)
class Covered:
    """One thing that an entry would cover.

    ``what`` is ``emergency``, ``did``, ``allow`` or ``country``; ``block`` for an entry that lifts
    a block. ``text`` is a clause about the entry, which it calls *it*; ``entry`` is the entry as
    people write it, such as ``+33162*``.
    """

    what: str
    text: str
    entry: str = ""


class NeedsConfirmation(EntryError):
    """Entries that are added only when somebody confirms what they cover."""

    def __init__(self, covers: Iterable[Covered]) -> None:
        self.covers = tuple(covers)
        super().__init__(f"{described(self.covers)}: confirm it (confirm) if that is meant")


def covered(
    kind: EntryKind, digits: str, item: ListDef, policy: Policy, at: float
) -> tuple[Covered, ...]:
    """What an entry that is added to a list would cover, at a time in seconds; a few at most."""
    found = _blocking if item.action is Action.BLOCK else _allowing
    entry = entry_text(kind, digits)
    return tuple(
        replace(one, text=_printable(one.text), entry=entry)
        for one in found(kind, digits, item, policy, at)
    )


def entry_text(kind: EntryKind, digits: str) -> str:
    """As people write it: ``+33162``, with a star where it is a prefix."""
    return ("" if kind.short else "+") + digits + ("" if kind.exact else "*")


def described(covers: Iterable[Covered]) -> str:
    """One line: each entry with its clauses, the first ones and how many more there are."""
    every = tuple(covers)
    told: dict[str, list[str]] = {}
    for one in every[:TOLD]:
        told.setdefault(one.entry, []).append(one.text)
    parts = [f"{entry}: {'; '.join(texts)}" for entry, texts in told.items()]
    more = [f"and {len(every) - TOLD} more"] if len(every) > TOLD else []
    return "; ".join(parts + more)


def recorded(covers: Iterable[Covered]) -> str:
    """What the change log keeps of it: one line."""
    return "; ".join(one.text for one in covers)[:MAX_COVERED]


def _blocking(
    kind: EntryKind, digits: str, item: ListDef, policy: Policy, at: float
) -> Iterator[Covered]:
    if numbers := _emergency(kind, digits, policy):
        plural = "s" * (len(numbers) > 1)
        yield Covered(EMERGENCY, f"it covers the emergency number{plural} {named(numbers)}")
    yield from (Covered(DID, text) for text in _own(kind, digits, policy))
    for text in exceptions_met(kind, digits, item, policy, at):
        yield Covered(ALLOW, text)
    yield from _country(kind, digits)


def _allowing(
    kind: EntryKind, digits: str, item: ListDef, policy: Policy, at: float
) -> Iterator[Covered]:
    for text in blocks_lifted(kind, digits, item, policy, at):
        yield Covered(BLOCK, text)
    yield from _country(kind, digits)


def _country(kind: EntryKind, digits: str) -> Iterator[Covered]:
    if kind is EntryKind.PREFIX and (all_of := reach(digits)):
        yield Covered(COUNTRY, f"it covers {all_of}")


def _own(kind: EntryKind, digits: str, policy: Policy) -> Iterator[str]:
    if kind.short:
        return
    if kind.exact:
        own = [digits] if digits in policy.dids else []
    else:
        own = [did for did in policy.dids if did.startswith(digits)]
    if own:
        more = f" and {len(own) - 1} more" if len(own) > 1 else ""
        yield f"it covers +{own[0]}, a number of the campaign {policy.dids[own[0]]!r}{more}"


def _emergency(kind: EntryKind, digits: str, policy: Policy) -> tuple[str, ...]:
    """The emergency numbers of any trunk that an entry covers, as they are dialled."""
    plans = frozenset((policy.plan, *policy.trunks.values()))
    return tuple(
        number
        for number, short, shape in _shapes(plans, policy.emergency.extra)
        if short is kind.short and (shape == digits if kind.exact else shape.startswith(digits))
    )


@lru_cache(maxsize=8)
def _shapes(
    plans: frozenset[NumberPlan], extra: frozenset[str]
) -> tuple[tuple[str, bool, str], ...]:
    """Every emergency number as dialled, and the digits that entries cover it by: whether they are
    a short code's, and which. An extra one may read as a number of its country.
    """
    found: set[tuple[str, bool, str]] = set()
    for plan in plans:
        for number in emergency_numbers(plan.emergency_region, extra):
            meant = read(number, plan)
            found.add((number, meant.kind is not Kind.E164, meant.digits or number))
    return tuple(sorted(found))


def _printable(text: str) -> str:
    """One line, whatever names of files the policy has."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
