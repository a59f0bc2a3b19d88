"""What a policy that loads may still not mean: findings, none of which stops it.

Each entry is held against the nearest prefix that covers it, found by its leading digits, so a
million entries take seconds. Findings of one code are capped; a last one counts the rest.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.numbers import covers_country, emergency_numbers, reach
from gateway.policy.loader import Loaded
from gateway.policy.model import (
    Action,
    Entry,
    ListDef,
    Match,
    Mode,
    Origin,
    Party,
    Policy,
)

SHOWN = 200
"""How many findings of one code are given one by one."""


class Level(StrEnum):
    """A warning may block or let through what nobody meant; a note is only superfluous."""

    WARNING = "warning"
    NOTE = "note"


class Code(StrEnum):
    """What kind of finding it is."""

    DUPLICATE = "duplicate"
    SHADOWED = "shadowed"
    ALLOW_NEVER_WINS = "allow-never-wins"
    SWALLOWS_EMERGENCY = "swallows-emergency"
    SWALLOWS_OWN_NUMBER = "swallows-own-number"
    SWALLOWS_COUNTRY = "swallows-country"
    WIDE_PREFIX = "wide-prefix"
    EXPIRED = "expired"
    UNREACHABLE_LIST = "unreachable-list"
    TRUNK_NOT_OF_CAMPAIGN = "trunk-not-of-campaign"
    MATCH_NEVER = "match-never"


_NOTES = frozenset({Code.DUPLICATE, Code.SHADOWED, Code.EXPIRED})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at, and where it is written."""

    level: Level
    code: Code
    message: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.origin}: {self.level}: {self.message} [{self.code}]"


@dataclass(slots=True)
class _Report:
    shown: int
    findings: dict[Code, list[Finding]] = field(default_factory=dict)
    hidden: dict[Code, int] = field(default_factory=dict)

    def add(self, code: Code, origin: Origin, message: str) -> None:
        found = self.findings.setdefault(code, [])
        if len(found) < self.shown:
            found.append(Finding(_level(code), code, message, origin))
        else:
            self.hidden[code] = self.hidden.get(code, 0) + 1

    def all(self) -> list[Finding]:
        given = [finding for code in Code for finding in self.findings.get(code, [])]
        given.sort(key=lambda finding: (finding.origin.file, finding.origin.line))
        return given + [
            Finding(_level(code), code, f"and {count:,} more of this kind", Origin(""))
            for code, count in self.hidden.items()
        ]


def lint(loaded: Loaded, now: float | None = None, *, shown: int = SHOWN) -> list[Finding]:
    """Findings in the order of their places. ``now``, in seconds, is when entries have expired."""
    report = _Report(shown)
    _lint_lists(loaded.policy, report)
    _EntryLint(loaded, time.time() if now is None else now, report).run()
    return report.all()


def _level(code: Code) -> Level:
    return Level.NOTE if code in _NOTES else Level.WARNING


class _EntryLint:
    """Holds each entry against what covers it, and against own and emergency numbers."""

    def __init__(self, loaded: Loaded, now: float, report: _Report) -> None:
        policy = loaded.policy
        self.index = policy.index
        self.confirmed = loaded.confirmed
        self.now = now
        self.report = report
        self.lists = {item.name: item for item in policy.lists}
        self.effects = {item.name: _effect(item) for item in policy.lists}
        self.prefixes: dict[tuple[bool, str], list[Entry]] = {}
        self.lengths: dict[bool, list[int]] = {False: [], True: []}
        self.own = _by_leading_digits(policy.dids)
        self.owners = policy.dids
        self.emergency = _by_leading_digits(_emergency_numbers(policy))

    def run(self) -> None:
        """Rows lie number, prefix, short, short prefix; backwards, so prefixes come first."""
        prefixes: list[Entry] = []
        before: Entry | None = None
        for row in reversed(range(len(self.index))):
            entry = self.index.entry(row)
            if not entry.kind.exact:
                prefixes.append(entry)
                continue
            if prefixes:
                self._take_prefixes(prefixes)
                prefixes = []
            self._lint(entry, before)
            before = entry
        self._take_prefixes(prefixes)

    def _take_prefixes(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            short = entry.kind.short
            self.prefixes.setdefault((short, entry.digits), []).append(entry)
            if len(entry.digits) not in self.lengths[short]:
                self.lengths[short].append(len(entry.digits))
                self.lengths[short].sort(reverse=True)
        before: Entry | None = None
        for entry in entries:
            self._lint(entry, before)
            before = entry

    def _lint(self, entry: Entry, before: Entry | None) -> None:
        own = self.lists[entry.list]
        if 0 < entry.expires <= self.now:
            self.report.add(Code.EXPIRED, entry.origin, f"{_named(entry)} has expired")
        if before is None or not self._same(entry, before):
            self._lint_shadowed(entry)
        if own.action is Action.ALLOW:
            self._lint_allow(entry, own)
        elif own.mode is Mode.ENFORCE:
            self._lint_reach(entry)

    def _same(self, entry: Entry, before: Entry) -> bool:
        """Whether an entry says the same as the one before it, which was written later."""
        same = (
            entry.digits == before.digits
            and entry.kind is before.kind
            and self.effects[entry.list] == self.effects[before.list]
        )
        if same:
            message = f"{_named(before)} is also at {entry.origin}"
            self.report.add(Code.DUPLICATE, before.origin, message)
        return same

    def _lint_shadowed(self, entry: Entry) -> None:
        nearest = self._nearest(entry)
        if not nearest:
            return
        effect = self.effects[entry.list]
        if all(self.effects[by.list] == effect and _outlives(by, entry) for by in nearest):
            by = nearest[-1]
            message = f"{_named(entry)} is covered by {by.text} at {by.origin}"
            self.report.add(Code.SHADOWED, entry.origin, message)

    def _nearest(self, entry: Entry) -> list[Entry]:
        """The entries of the longest shorter prefix that covers an entry."""
        short, digits = entry.kind.short, entry.digits
        longest = len(digits) if entry.kind.exact else len(digits) - 1
        for length in self.lengths[short]:
            if length <= longest and (found := self.prefixes.get((short, digits[:length]))):
                return found
        return []

    def _lint_allow(self, entry: Entry, own: ListDef) -> None:
        for hit in self.index.matches(entry.digits, entry.kind.short):
            other = self.index.entry(hit.row)
            by = self.lists[other.list]
            covers = entry.kind.exact or not other.kind.exact
            if by.binding and covers and _outlives(other, entry) and _scope_covers(by, own):
                message = (
                    f"{_named(entry)} can never win: {other.text} at {other.origin} is binding"
                )
                self.report.add(Code.ALLOW_NEVER_WINS, entry.origin, message)
                return

    def _lint_reach(self, entry: Entry) -> None:
        """A block that covers more than its writer may know."""
        digits, short, exact = entry.digits, entry.kind.short, entry.kind.exact
        reached = (self.emergency if short else self.own).get(digits, "")
        if reached and (not exact or reached == digits):
            if short:
                what = f"the emergency number {reached}"
                self._warn(Code.SWALLOWS_EMERGENCY, entry, what)
            else:
                what = f"+{reached}, a number of '{self.owners[reached]}'"
                self._warn(Code.SWALLOWS_OWN_NUMBER, entry, what)
        if not short and not exact and not entry.managed and (what := reach(digits)):
            whole = covers_country(digits)  # a managed one was confirmed when it was added
            self._warn(Code.SWALLOWS_COUNTRY if whole else Code.WIDE_PREFIX, entry, what)

    def _warn(self, code: Code, entry: Entry, what: str) -> None:
        if (entry.list, entry.kind, entry.digits) not in self.confirmed:
            message = f"{_named(entry)} covers {what}; write confirm: true on it if that is meant"
            self.report.add(code, entry.origin, message)


def _named(entry: Entry) -> str:
    return f"{entry.text} of '{entry.list}'"


def _emergency_numbers(policy: Policy) -> set[str]:
    plans = (policy.plan, *policy.trunks.values())
    extra = policy.emergency.extra
    regions = {plan.emergency_region for plan in plans}
    return {number for region in regions for number in emergency_numbers(region, extra)}


def _by_leading_digits(numbers: Iterable[str]) -> dict[str, str]:
    """The first of the numbers that begin with each possible prefix; a number by itself."""
    found: dict[str, str] = {}
    for number in sorted(numbers):
        for length in range(1, len(number)):
            found.setdefault(number[:length], number)
        found[number] = number
    return found


def _outlives(other: Entry, entry: Entry) -> bool:
    return other.expires == 0 or 0 < entry.expires <= other.expires


def _effect(item: ListDef) -> tuple[object, ...]:
    """Equal where it makes no difference in which of two lists an entry lies."""
    scope = (item.campaigns, item.trunks, item.extensions)
    response = (item.response, item.network_blocked)
    return (item.action, item.direction, item.party, *scope, *response, item.mode, item.binding)


def _scope_covers(wide: ListDef, narrow: ListDef) -> bool:
    """Whether every call that ``narrow`` looks at is one that ``wide`` looks at, and enforces."""
    sets = [
        (wide.campaigns, narrow.campaigns),
        (wide.trunks, narrow.trunks),
        (wide.extensions, narrow.extensions),
    ]
    return (
        wide.mode is Mode.ENFORCE
        and wide.party in (narrow.party, Party.ANY)
        and wide.direction in (None, narrow.direction)
        and all(not outer or (inner and inner <= outer) for outer, inner in sets)
    )


def _lint_lists(policy: Policy, report: _Report) -> None:
    for item in policy.lists:
        if item.match is not None and _matches_nothing(item.match):
            message = f"nothing can be all that '{item.name}' matches at once"
            report.add(Code.MATCH_NEVER, item.origin, message)
        if item.trunks and item.campaigns:
            _lint_scope(policy, item, report)


def _lint_scope(policy: Policy, item: ListDef, report: _Report) -> None:
    """A campaign that names its trunks is on no other; one that names none may be on any."""
    used = {name: policy.campaigns[name].trunks or item.trunks for name in sorted(item.campaigns)}
    if not any(item.trunks & trunks for trunks in used.values()):
        message = f"no call reaches '{item.name}': its campaigns use none of its trunks"
        report.add(Code.UNREACHABLE_LIST, item.origin, message)
        return
    for name, trunks in used.items():
        for trunk in sorted(item.trunks - trunks):
            message = f"'{item.name}' names the trunk '{trunk}', which '{name}' does not use"
            report.add(Code.TRUNK_NOT_OF_CAMPAIGN, item.origin, message)


def _matches_nothing(match: Match) -> bool:
    """No number has no region; an impossible one has no type; and so on."""
    of_a_number = bool(match.unassigned or match.regions or match.types)
    return (match.no_number and (match.invalid or of_a_number)) or (match.invalid and of_a_number)
