"""What a policy that loads may still not mean: findings, none of which stops it.

An entry that stands alone, covered by nothing and reaching nothing, is passed over by its key and
link alone; the others are held against the nearest prefix around them, and only what is told
becomes an object. Findings of one code are capped; a last one counts the rest.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import partial

from gateway.numbers import covers_country, emergency_numbers, reach
from gateway.policy.findings import Code, Finding, Level, Report
from gateway.policy.loader import Loaded
from gateway.policy.model import (
    Action,
    Entry,
    EntryKind,
    ListDef,
    Match,
    Mode,
    Origin,
    Party,
    Policy,
)
from gateway.policy.table import LOW, digits_of, key_of, kind_of

__all__ = ["SHOWN", "Code", "Finding", "Level", "lint"]

SHOWN = 200
"""How many findings of one code are given one by one."""


_WIDE = 4 << 1
"""The low bits of the key of a prefix of four digits: none that is longer is wide."""


def lint(loaded: Loaded, now: float | None = None, *, shown: int = SHOWN) -> list[Finding]:
    """Findings in the order of their places. ``now``, in seconds, is when entries have expired."""
    report = Report(shown)
    _lint_lists(loaded.policy, report)
    _EntryLint(loaded, time.time() if now is None else now, report).run()
    return report.all()


class _EntryLint:
    """Holds each entry against what covers it, and against own and emergency numbers."""

    def __init__(self, loaded: Loaded, now: float, report: Report) -> None:
        policy = loaded.policy
        self.index, self.table = policy.index, policy.index.table
        self.confirmed = loaded.confirmed
        self.now = now
        self.report = report
        self.lists = policy.lists
        self.effects = [_effect(item) for item in policy.lists]
        self.binding = any(item.binding for item in policy.lists)
        self.own = _by_leading_digits(policy.dids)
        self.owners = policy.dids
        self.emergency = _by_leading_digits(_emergency_numbers(policy))

    def run(self) -> None:
        """Kind by kind, each backwards: of twins the later one is told of."""
        rows = self._remarkable()
        for kind in reversed(EntryKind):
            before = -1
            for row in reversed(rows[kind]):
                self._lint(row, before)
                before = row

    def _remarkable(self) -> dict[EntryKind, list[int]]:
        """The rows of which anything could be said: all twins, all under a prefix, all that end,
        and what reaches far or our own numbers."""
        table = self.table
        reached = [(digits, short) for short in (False, True) for digits in self._reached(short)]
        rows = {row for begin in reached for row in self._rows_of(*begin)}
        twin = -1
        columns = zip(table.keys, table.link, table.expires, strict=True)
        for row, (key, link, expires) in enumerate(columns):
            if link >= 0 or expires or key == twin or key & LOW <= _WIDE:
                rows.add(row)
            twin = key
        found: dict[EntryKind, list[int]] = {kind: [] for kind in EntryKind}
        for row in sorted(rows):
            found[kind_of(table.keys[row])].append(row)
        return found

    def _reached(self, short: bool) -> dict[str, str]:
        return self.emergency if short else self.own

    def _rows_of(self, digits: str, short: bool) -> range:
        """The rows of exactly these digits, prefixes first."""
        keys = self.table.keys
        exact, prefix = (EntryKind.SHORT, EntryKind.SHORT_PREFIX)
        if not short:
            exact, prefix = (EntryKind.NUMBER, EntryKind.PREFIX)
        first, last = key_of(digits, prefix), key_of(digits, exact)
        return range(bisect_left(keys, first), bisect_right(keys, last))

    def _lint(self, row: int, before: int) -> None:
        table = self.table
        own = self.lists[table.list_no[row]]
        if 0 < table.expires[row] <= self.now:
            self.report.add(Code.EXPIRED, lambda: self._told(row, "has expired"))
        if before < 0 or not self._same(row, before):
            self._lint_shadowed(row)
        if own.action is Action.ALLOW:
            if self.binding:
                self._lint_allow(self.index.entry(row), own)
        elif own.mode is Mode.ENFORCE:
            self._lint_reach(row)

    def _told(self, row: int, what: str) -> tuple[Origin, str]:
        entry = self.index.entry(row)
        return entry.origin, f"{_named(entry)} {what}"

    def _same(self, row: int, before: int) -> bool:
        """Whether a row says the same as the one before it, which was written later."""
        table, effects = self.table, self.effects
        same = (
            table.keys[row] == table.keys[before]
            and effects[table.list_no[row]] == effects[table.list_no[before]]
        )
        if same:
            self.report.add(
                Code.DUPLICATE,
                lambda: self._told(before, f"is also at {self.index.entry(row).origin}"),
            )
        return same

    def _lint_shadowed(self, row: int) -> None:
        table, effects = self.table, self.effects
        first = by = self._nearest(row)
        effect, expires = effects[table.list_no[row]], table.expires[row]
        while by >= 0:
            if effects[table.list_no[by]] != effect or not _outlives(table.expires[by], expires):
                return
            by = self._twin(by)
        if first >= 0:
            self.report.add(Code.SHADOWED, lambda: self._covered(row, first))

    def _covered(self, row: int, by: int) -> tuple[Origin, str]:
        outer = self.index.entry(by)
        return self._told(row, f"is covered by {outer.text} at {outer.origin}")

    def _twin(self, row: int) -> int:
        """The next row of the same key, -1 for none."""
        after = self.table.link[row]
        return after if after >= 0 and self.table.keys[after] == self.table.keys[row] else -1

    def _nearest(self, row: int) -> int:
        """The first row of the longest shorter prefix that covers a row, -1 for none."""
        while (twin := self._twin(row)) >= 0:
            row = twin
        return self.table.link[row]

    def _lint_allow(self, entry: Entry, own: ListDef) -> None:
        for hit in self.index.matches(entry.digits, entry.kind.short):
            by = self.lists[hit.list_no]
            if not (by.binding and _outlives(hit.expires, entry.expires)):
                continue
            other = self.index.entry(hit.row)
            if (entry.kind.exact or not other.kind.exact) and _scope_covers(by, own):
                what = f"can never win: {other.text} at {other.origin} is binding"
                message = f"{_named(entry)} {what}"
                self.report.add(Code.ALLOW_NEVER_WINS, partial(_place, entry, message))
                return

    def _lint_reach(self, row: int) -> None:
        """A block that covers more than its writer may know."""
        key = self.table.keys[row]
        kind, digits = kind_of(key), digits_of(key)
        reached = self._reached(kind.short).get(digits, "")
        if reached or key & LOW <= _WIDE:
            self._lint_reaching(self.index.entry(row), reached)

    def _lint_reaching(self, entry: Entry, reached: str) -> None:
        digits, short, exact = entry.digits, entry.kind.short, entry.kind.exact
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
            self.report.add(code, partial(_place, entry, message))


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


def _outlives(other: int, own: int) -> bool:
    """Whether what expires then is there as long as what expires at ``own``; 0 is never."""
    return other == 0 or 0 < own <= other


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


def _place(item: ListDef | Entry, message: str) -> tuple[Origin, str]:
    return item.origin, message


def _lint_lists(policy: Policy, report: Report) -> None:
    for item in policy.lists:
        if item.match is not None and _matches_nothing(item.match):
            message = f"nothing can be all that '{item.name}' matches at once"
            report.add(Code.MATCH_NEVER, partial(_place, item, message))
        if item.trunks and item.campaigns:
            _lint_scope(policy, item, report)


def _lint_scope(policy: Policy, item: ListDef, report: Report) -> None:
    """A campaign that names its trunks is on no other; one that names none may be on any."""
    used = {name: policy.campaigns[name].trunks or item.trunks for name in sorted(item.campaigns)}
    if not any(item.trunks & trunks for trunks in used.values()):
        message = f"no call reaches '{item.name}': its campaigns use none of its trunks"
        report.add(Code.UNREACHABLE_LIST, partial(_place, item, message))
        return
    for name, trunks in used.items():
        for trunk in sorted(item.trunks - trunks):
            message = f"'{item.name}' names the trunk '{trunk}', which '{name}' does not use"
            report.add(Code.TRUNK_NOT_OF_CAMPAIGN, partial(_place, item, message))


def _matches_nothing(match: Match) -> bool:
    """No number has no region; an impossible one has no type; and so on."""
    of_a_number = bool(match.unassigned or match.regions or match.types)
    return (match.no_number and (match.invalid or of_a_number)) or (match.invalid and of_a_number)
