"""Every entry of a policy by its digits: the one interface through which decisions look.

The bulk lies in a table that is compiled once and can be shared; managed entries that came after
it lie in a small overlay beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from gateway.policy.columns import open_columns
from gateway.policy.model import Entry, EntryKind, ListDef
from gateway.policy.table import Table, key_of, rank_of
from gateway.policy.table_build import Bulk, compile_table, read_table, save_table

__all__ = ["Bulk", "Hit", "Index", "build_index"]


class Hit(NamedTuple):
    """One entry that covers a number: its list's place, expiry (0 never) and row."""

    list_no: int
    expires: int
    row: int


@dataclass(frozen=True, slots=True)
class Overlay:
    """Managed entries added since the table was built, and the ids of those taken away."""

    added: Mapping[tuple[bool, str], tuple[int, ...]]
    entries: tuple[Entry, ...]
    removed: frozenset[int]


_NO_OVERLAY = Overlay({}, (), frozenset())


class Index:
    """Every entry of a policy by its digits. Immutable; the interface that ``decide`` sees."""

    __slots__ = ("_lists", "_numbers", "_overlay", "_places", "_table")

    def __init__(
        self, table: Table, lists: Sequence[ListDef], overlay: Overlay = _NO_OVERLAY
    ) -> None:
        self._table = table
        self._lists = tuple(lists)
        self._places = {item.name: place for place, item in enumerate(self._lists)}
        self._overlay = overlay
        self._numbers = {
            short: (
                table.sections[EntryKind.SHORT if short else EntryKind.NUMBER],
                table.sections[EntryKind.SHORT_PREFIX if short else EntryKind.PREFIX],
            )
            for short in (False, True)
        }

    @classmethod
    def open(cls, path: Path, lists: Sequence[ListDef]) -> Index:
        """Map a compiled table. Raises StoreError when it is unusable or of other lists."""
        return cls(read_table(*open_columns(path), lists), lists)

    def save(self, path: Path) -> None:
        """Write the table without its overlay, so that ``open`` maps it."""
        save_table(self._table, self._lists, path)

    def matches(self, digits: str, short: bool = False) -> list[Hit]:
        """Every entry that covers the digits: longest first, exact before prefix, ties in order.

        ``short`` looks among short codes, which are another namespace than E.164 numbers.
        """
        if not 0 < len(digits) <= 15:
            return []
        key = key_of(digits)
        exact, prefixes = self._numbers[short]
        rows = list(exact.exact(key))
        for place in prefixes.prefixes(key):
            rows.extend(prefixes.rows(place))
        if self._overlay is not _NO_OVERLAY:
            return self._merged(digits, short, rows)
        table = self._table
        return [Hit(table.list_no[row], table.expires[row], row) for row in rows]

    def under(self, digits: str, short: bool, lists: Collection[int]) -> Iterator[Hit]:
        """Every entry of some lists, by their places, whose digits begin with these.

        Exact entries come before prefixes, each in the order of digits, the overlay's last.
        """
        if not lists or not 0 < len(digits) <= 15:
            return
        table, removed = self._table, self._overlay.removed
        for section in self._numbers[short]:
            rows = section.beginning(digits)
            for row, list_no in enumerate(table.list_no[rows.start : rows.stop], rows.start):
                if list_no in lists and table.managed[row] not in removed:
                    yield Hit(list_no, table.expires[row], row)
        for (is_short, begins), found in self._overlay.added.items():
            if is_short is short and begins.startswith(digits):
                hits = ((self.entry(row), row) for row in found)
                places = ((self._places[entry.list], entry.expires, row) for entry, row in hits)
                yield from (Hit(*place) for place in places if place[0] in lists)

    def _merged(self, digits: str, short: bool, rows: Iterable[int]) -> list[Hit]:
        overlay = self._overlay
        found = [row for row in rows if self._table.managed[row] not in overlay.removed]
        for length in range(1, len(digits) + 1):
            found.extend(overlay.added.get((short, digits[:length]), ()))
        entries = [(self.entry(row), row) for row in found]
        covering = [item for item in entries if not item[0].kind.exact or item[0].digits == digits]
        covering.sort(key=lambda item: self._precedence(item[0]))
        return [Hit(self._places[entry.list], entry.expires, row) for entry, row in covering]

    def _precedence(self, entry: Entry) -> tuple[bool, int, tuple[int, bool, bool, int]]:
        rank = rank_of(self._lists[self._places[entry.list]], entry.managed > 0)
        return (not entry.kind.exact, -len(entry.digits), rank)

    def entry(self, row: int) -> Entry:
        """The entry of a hit."""
        if row < 0:
            return self._overlay.entries[-row - 1]
        return self._table.entry(row, self._lists)

    def entries(self) -> Iterator[Entry]:
        """Every entry, kind by kind in the order of digits, then the overlay's."""
        removed = self._overlay.removed
        for row in range(len(self._table.list_no)):
            if self._table.managed[row] not in removed:
                yield self.entry(row)
        for rows in self._overlay.added.values():
            yield from map(self.entry, rows)

    def written(
        self, digits: str = "", *, list_name: str = "", after: int = -1, limit: int = 100
    ) -> list[tuple[int, Entry]]:
        """Entries that people wrote into files, with their rows, in the order of rows.

        ``digits`` is how they begin, ``after`` the last row of the page before.
        """
        table, wanted = self._table, self._places.get(list_name, -1) if list_name else None
        rows = (
            row
            for section in table.sections.values()
            for row in _later(section.beginning(digits), after)
            if not table.managed[row] and (wanted is None or table.list_no[row] == wanted)
        )
        return [(row, self.entry(row)) for row in islice(rows, limit)]

    def counts(self) -> dict[str, int]:
        """How many entries each list has."""
        counts = dict.fromkeys((item.name for item in self._lists), 0)
        names = [item.name for item in self._lists]
        for row, list_no in enumerate(self._table.list_no):
            if not self._overlay.removed or self._table.managed[row] not in self._overlay.removed:
                counts[names[list_no]] += 1
        for rows in self._overlay.added.values():
            for row in rows:
                counts[self.entry(row).list] += 1
        return counts

    def __len__(self) -> int:
        return (
            sum(self.counts().values())
            if self._overlay.removed
            else (len(self._table.list_no) + sum(map(len, self._overlay.added.values())))
        )

    def with_managed(self, added: Iterable[Entry], removed: Iterable[int] = ()) -> Index:
        """A cheap copy with managed entries added and others, by id, taken away.

        Entries of lists that the policy does not have are left out. The overlay is copied whole,
        so only what is quick in C may be done to all of it.
        """
        gone = frozenset(removed)
        entries = list(self._overlay.entries)
        overlay = dict(self._overlay.added)
        for place in [place for place, entry in enumerate(entries) if entry.managed in gone]:
            key = (entries[place].kind.short, entries[place].digits)
            overlay[key] = tuple(row for row in overlay.get(key, ()) if row != -place - 1)
            if not overlay[key]:
                del overlay[key]
        for entry in added:
            if entry.list in self._places:
                entries.append(entry)
                key = (entry.kind.short, entry.digits)
                overlay[key] = (*overlay.get(key, ()), -len(entries))
        fresh = Overlay(overlay, tuple(entries), self._overlay.removed | gone)
        return Index(self._table, self._lists, fresh)


def _later(rows: range, after: int) -> range:
    return range(max(rows.start, after + 1), rows.stop)


def build_index(
    entries: Iterable[Entry], lists: Sequence[ListDef], bulk: Iterable[Bulk] = ()
) -> Index:
    """Compile entries and plain lines. Entries of lists that are not given are left out."""
    return Index(compile_table(entries, lists, bulk), lists)
