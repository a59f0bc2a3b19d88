"""Imports: any number of rows into the managed entries, each added, already there, or refused.

Rule 1: the rows go into the change log by the importing process itself, a chunk in a transaction:
the gateway, which answers calls, only learns that the log has grown.
Rule 2: what is refused costs nothing but itself, and is told with its line.
Rule 3: nothing is kept that grows with the file, but what a dry run has seen of it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from gateway.entries.model import NewChange, Op, Status
from gateway.entries.reading import Asked, Understood, understand
from gateway.entries.sources import Refused, Row, Skipped, Unread
from gateway.entries.store import EntryStore
from gateway.errors import EntryError
from gateway.policy.model import EntryKind, Policy
from gateway.policy.table import key_of

CHUNK = 2000
"""Rows of one transaction: others who write wait for no longer."""
_NANP = 10
"""Digits of a number of North America, as its dialers keep them."""
KEPT = 100
"""Refusals and warnings that a report keeps unless more are asked for."""


class Remark(NamedTuple):
    """What is said of one row: its line, what it says, and why it was refused or is doubtful."""

    line: int
    text: str
    why: str


@dataclass(slots=True)
class ImportReport:
    """What became of the rows.

    ``added``, ``exists``, ``removed`` and ``absent`` are foreseen in a dry run. ``skipped`` rows
    are meant to be no entries, counted by reason in ``skips``. ``refusals`` and ``warnings`` are
    the first ones, ``unread`` the columns that were not taken. ``rev`` is the last change that was
    written, 0 when none was.
    """

    dry_run: bool = False
    rows: int = 0
    added: int = 0
    exists: int = 0
    removed: int = 0
    absent: int = 0
    refused: int = 0
    skipped: int = 0
    warned: int = 0
    rev: int = 0
    skips: Counter[str] = field(default_factory=Counter)
    refusals: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def run_import(
    rows: Iterable[Row],
    policy: Policy,
    store: EntryStore | None,
    *,
    who: str,
    source: str,
    op: Op = Op.ADD,
    dry_run: bool = False,
    keep: int | None = KEPT,
    progress: Callable[[ImportReport], None] | None = None,
    rejected: Callable[[Remark], None] | None = None,
) -> ImportReport:
    """Add what the rows name, or remove it, chunk by chunk.

    It blocks: call it in a thread or process of its own. ``progress`` is told after every chunk,
    ``rejected`` of every refused row; either may raise to end it, and what was written stays. A
    dry run needs no store: it looks into the policy. StoreError when the store cannot be written.
    """
    report = ImportReport(dry_run=dry_run)
    run = _Run(report, policy, who, source, op, keep, rejected)
    foreseen = _Foreseen(policy)
    for chunk in _chunks(rows):
        understood = [item for row in chunk if (item := run.understood(row))]
        if store is None or dry_run:
            for _, found in understood:
                run.count(foreseen.status(found.change))
        elif understood:
            run.write(store, understood)
        if progress:
            progress(report)
    return report


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


@dataclass(slots=True)
class _Run:
    """One import on its way."""

    report: ImportReport
    policy: Policy
    who: str
    source: str
    op: Op
    keep: int | None
    rejected: Callable[[Remark], None] | None

    def understood(self, row: Row) -> tuple[Row, Understood] | None:
        """The change that a row asks for; None for one that is skipped or refused."""
        report = self.report
        report.rows += not isinstance(row.found, Unread)
        match row.found:
            case Unread(columns):
                report.unread += columns
            case Skipped(why):
                report.skipped += 1
                report.skips[why] += 1
            case Refused(text, why):
                self.refuse(Remark(row.line, text, why))
            case Asked() as asked:
                try:
                    found = understand(
                        asked, self.op, self.policy, who=self.who, source=self.source
                    )
                except EntryError as error:
                    self.refuse(Remark(row.line, asked.number, _advised(asked, str(error))))
                else:
                    if found.warning:
                        report.warned += 1
                        self._keep(report.warnings, Remark(row.line, asked.number, found.warning))
                    return row, found
        return None

    def write(self, store: EntryStore, items: Sequence[tuple[Row, Understood]]) -> None:
        """All in one transaction; one by one if one of them can be no entry."""
        try:
            applied = store.apply_all([item.change for _, item in items])
        except EntryError as error:
            if len(items) > 1:
                for item in items:
                    self.write(store, [item])
                return
            [(row, _)] = items
            self.refuse(Remark(row.line, _text(row), str(error)))
            return
        for answer in applied:
            self.count(answer.status)
            if answer.status in (Status.ADDED, Status.REMOVED):
                self.report.rev = answer.rev

    def count(self, status: Status) -> None:
        setattr(self.report, status.value, getattr(self.report, status.value) + 1)

    def refuse(self, remark: Remark) -> None:
        self.report.refused += 1
        self._keep(self.report.refusals, remark)
        if self.rejected:
            self.rejected(remark)

    def _keep(self, kept: list[Remark], remark: Remark) -> None:
        if self.keep is None or len(kept) < self.keep:
            kept.append(remark)


def _advised(asked: Asked, why: str) -> str:
    """Digits that lack a + lack it in the whole file: that is said of all of them at once."""
    number = asked.number
    if not (number.isascii() and number.isdigit()) or number[0] == "0" or ": write" not in why:
        return why
    before = "where the country codes have no +, put it before them (before +)"
    if len(number) == _NANP and asked.kind in (None, EntryKind.NUMBER):
        dialer = "a dialer's list of North America is imported as vicidial (from vicidial)"
        return f"{why.partition(': write')[0]}: {dialer}; {before}"
    return f"{why}; {before}"


def _text(row: Row) -> str:
    return row.found.number if isinstance(row.found, Asked) else ""


class _Foreseen:
    """What would become of changes, from the policy and those before them."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._at = time.time()
        self._there: dict[tuple[str, EntryKind], dict[int, bool]] = {}

    def status(self, change: NewChange) -> Status:
        known = self._there.setdefault((change.list, change.kind), {})
        key = key_of(change.digits)
        there = known.get(key)
        if there is None:
            there = self._has(change)
        known[key] = change.op is Op.ADD
        if change.op is Op.ADD:
            return Status.EXISTS if there else Status.ADDED
        return Status.REMOVED if there else Status.ABSENT

    def _has(self, change: NewChange) -> bool:
        """Whether it is among the managed entries; to add one that has expired revives it."""
        for hit in self._policy.index.matches(change.digits, change.kind.short):
            entry = self._policy.index.entry(hit.row)
            key = (entry.list, entry.kind, entry.digits)
            alive = not entry.expires or self._at < entry.expires
            if entry.managed and key == (change.list, change.kind, change.digits):
                return alive or change.op is not Op.ADD
        return False
