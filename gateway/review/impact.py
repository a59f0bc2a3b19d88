"""What an entry would have changed: past calls decided with it and without it.

Rule: which calls an entry may touch is looked up by number, as it was read when the call came;
what becomes of each is the answer of the decision alone, at the time of the call.
A call back after an emergency call is let in either way, as the record says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from msgspec import structs

from gateway import numbers
from gateway.attempts.model import Attempt
from gateway.attempts.query import Terms, prefix_range, term
from gateway.attempts.store import AttemptStore
from gateway.calls import Direction
from gateway.numbers import Kind, Number
from gateway.policy.model import Action, Entry, EntryKind, ListDef, Party, Policy, Reason
from gateway.review.decider import Decider
from gateway.review.overlap import Overlap, looked_at, overlap
from gateway.review.past import Example, call_of, example_of, remote_of

BUDGET: Final = 50_000
"""Attempts that one question looks at: some seconds."""
EXAMPLES: Final = 10
MOST_TEXTS: Final = 5_000
"""Texts that are no numbers, of one party and direction, by which attempts are searched."""
_NEW: Final = 2**53
"""The id of an entry that has none yet: greater than all, so a managed one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What an entry would have done to the calls from ``since`` to ``until`` (UTC seconds).

    ``action`` is that of its list: ``block``, then ``calls`` counts allowed calls that would have
    been blocked, or ``allow``, then blocked ones that would have been allowed. ``numbers`` are
    their distinct remote parties. ``campaigns`` and ``directions`` count calls, most first; the
    campaign is empty where there was none. ``examples`` are the newest calls of distinct numbers.
    ``examined`` attempts were decided again and ``left_out`` ones never were the policy's; not
    ``complete``: there were more, and older ones are not in the counts.
    """

    action: Action
    since: float
    until: float
    calls: int
    numbers: int
    campaigns: tuple[tuple[str, int], ...]
    directions: tuple[tuple[str, int], ...]
    examples: tuple[Example, ...]
    examined: int
    left_out: int
    complete: bool
    overlap: Overlap


@dataclass(slots=True)
class _Tally:
    calls: int = 0
    examined: int = 0
    left_out: int = 0
    numbers: set[str] = field(default_factory=set)
    campaigns: Counter[str] = field(default_factory=Counter)
    directions: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    def add(self, attempt: Attempt, campaign: str) -> None:
        self.calls += 1
        self.campaigns[campaign] += 1
        self.directions[attempt.direction] += 1
        remote = remote_of(attempt)
        if remote not in self.numbers and len(self.examples) < EXAMPLES:
            self.examples.append(example_of(attempt))
        self.numbers.add(remote)


def impact(
    policy: Policy,
    entry: Entry,
    attempts: AttemptStore | Iterable[Attempt],
    *,
    since: float,
    until: float,
    budget: int = BUDGET,
) -> Impact:
    """Decide the attempts of ``[since, until)`` again, newest first, ``budget`` at most.

    Attempts that are given, not looked up, must be of that time and in that order. A managed entry
    that the policy has is taken out of it first. Raises StoreError.
    """
    item = next((one for one in policy.lists if one.name == entry.list), None)
    action = item.action if item else Action.BLOCK
    tally, complete, met = _Tally(), True, Overlap()
    if item is not None and item.match is None:
        before, after, added = _both(policy, entry)
        if isinstance(attempts, AttemptStore):
            search = _Search(attempts, added, item, policy, since, until)
            attempts, complete = search.attempts(budget + 1)
        complete &= _weigh(attempts, Decider(before), Decider(after), budget, tally)
        met = overlap(added, after, until)
    return Impact(
        action=action,
        since=since,
        until=until,
        calls=tally.calls,
        numbers=len(tally.numbers),
        campaigns=tuple(tally.campaigns.most_common()),
        directions=tuple(tally.directions.most_common()),
        examples=tuple(tally.examples),
        examined=tally.examined,
        left_out=tally.left_out,
        complete=complete,
        overlap=met,
    )


def _both(policy: Policy, entry: Entry) -> tuple[Policy, Policy, Entry]:
    """The policy without and with an entry, and the entry as it lies in the latter."""
    added = structs.replace(entry, managed=_NEW)
    without = policy.index.with_managed([], [entry.managed] if entry.managed else [])
    before = replace(policy, index=without, revision=f"{policy.revision}-")
    after = replace(policy, index=without.with_managed([added]), revision=f"{policy.revision}~")
    return before, after, added


def _weigh(
    attempts: Iterable[Attempt], before: Decider, after: Decider, budget: int, tally: _Tally
) -> bool:
    """Whether all were looked at."""
    rows = iter(attempts)
    for attempt in islice(rows, budget):
        call = call_of(attempt)
        if call is None:
            tally.left_out += 1
            continue
        tally.examined += 1
        if attempt.reason == Reason.EMERGENCY_CALLBACK:
            continue
        would = after.verdict(call)
        if would.blocked != before.verdict(call).blocked:
            tally.add(attempt, would.campaign or call.campaign)
    return next(rows, None) is None


@dataclass(frozen=True, slots=True)
class _Search:
    """Finds attempts that an entry of a list may touch."""

    store: AttemptStore
    entry: Entry
    item: ListDef
    policy: Policy
    since: float
    until: float

    def attempts(self, limit: int) -> tuple[Iterator[Attempt], bool]:
        """The newest ``limit``; whether every search was made."""
        searches, complete = [], True
        for way in Direction:
            for party in sorted(looked_at(self.item, way)):
                only = term("+direction = ?", way.value)
                texts = self._texts(way, party)
                complete &= len(texts) <= MOST_TEXTS
                if not self.entry.kind.short:
                    searches.append(_numbers(self.entry, party) + only)
                if texts:
                    searches.append(_written(texts[:MOST_TEXTS], party) + only)
        found = self.store.any_of(searches, since=self.since, until=self.until, limit=limit)
        return found, complete

    def _texts(self, way: Direction, party: Party) -> list[str]:
        """What parties wrote that is no number in E.164, and that the entry may cover."""
        if not (self.entry.kind.short or _reaches(self.entry, self.item)):
            return []
        plans, general = self.policy.trunks, self.policy.plan
        extensions = party is Party.CALLEE or way is Direction.OUTBOUND
        pairs = self.store.unread(party.value, way.value, since=self.since, until=self.until)
        found = {
            text
            for text, trunk in pairs
            if _may_cover(
                self.entry,
                numbers.read(text, plans.get(trunk, general), extensions=extensions),
            )
        }
        return sorted(found)


def _numbers(entry: Entry, party: Party) -> Terms:
    if entry.kind.exact:
        return term(f"{party}_e164 = ?", f"+{entry.digits}")
    bounds = prefix_range(f"+{entry.digits}")
    return term(f"{party}_e164 >= ? AND {party}_e164 < ?", *bounds)


def _written(texts: list[str], party: Party) -> Terms:
    places = ", ".join("?" * len(texts))
    return term(f"{party} IN ({places})", *texts) + term(f"+{party}_e164 = ''")


def _reaches(entry: Entry, item: ListDef) -> bool:
    """Whether an entry covers what is impossible, too: see ``gateway.policy.hits``."""
    return entry.kind is EntryKind.PREFIX and item.action is Action.BLOCK


def _may_cover(entry: Entry, number: Number) -> bool:
    if entry.kind is EntryKind.SHORT:
        return number.digits == entry.digits
    if entry.kind is EntryKind.SHORT_PREFIX:
        return number.digits.startswith(entry.digits)
    return number.reach.startswith(entry.digits) or (
        number.kind is Kind.E164 and number.digits.startswith(entry.digits)
    )
