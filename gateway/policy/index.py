"""Every entry of a policy by its digits: the one interface through which decisions look.

The bulk lies in a table that is compiled once and can be shared; managed entries that came after
it lie in a small overlay beside it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import msgspec

from gateway.policy.columns import open_columns
from gateway.policy.model import Entry, ListDef
from gateway.policy.sorting import Sorter, sort_plainly
from gateway.policy.table import (
    EXACT,
    IN_ZONE,
    LOW,
    SHORT,
    SPANS,
    UNITS,
    WIDTH,
    ZONE,
    Table,
    rank_of,
)
from gateway.policy.table_build import Bulk, compile_table, read_table, save_table

__all__ = ["Bulk", "Hit", "Index", "build_index"]


class Hit(msgspec.Struct, frozen=True, gc=False):
    """One entry that covers a number: its list's place, expiry (0 never) and row."""

    list_no: int
    expires: int
    row: int


@dataclass(frozen=True, slots=True)
class Overlay:
    """Managed entries added since the table was built, and the ids of those taken away.

    ``lengths`` are those of prefixes among them: only such beginnings of a number are looked up.
    """

    added: Mapping[tuple[bool, str], tuple[int, ...]]
    entries: tuple[Entry, ...]
    removed: frozenset[int]
    lengths: frozenset[int]


_NO_OVERLAY = Overlay({}, (), frozenset(), frozenset())
_NOTHING: tuple[Hit, ...] = ()


class Index:
    """Every entry of a policy by its digits. Immutable; the interface that ``decide`` sees."""

    __slots__ = (
        *("_lists", "_overlay", "_places", "_table"),
        *("_expires", "_heads", "_keys", "_link", "_list_no", "_zone_first", "_zone_shift"),
    )

    def __init__(
        self, table: Table, lists: Sequence[ListDef], overlay: Overlay = _NO_OVERLAY
    ) -> None:
        self._table = table
        self._lists = tuple(lists)
        self._places = {item.name: place for place, item in enumerate(self._lists)}
        self._overlay = overlay
        self._keys, self._link, self._heads = table.keys, table.link, table.heads
        self._list_no, self._expires = table.list_no, table.expires
        self._zone_first, self._zone_shift = tuple(table.zone_first), tuple(table.zone_shift)

    @classmethod
    def open(cls, path: Path, lists: Sequence[ListDef]) -> Index:
        """Map a compiled table. Raises StoreError when it is unusable or of other lists."""
        return cls(read_table(*open_columns(path), lists), lists)

    def save(self, path: Path) -> None:
        """Write the table without its overlay, so that ``open`` maps it."""
        save_table(self._table, self._lists, path)

    @property
    def table(self) -> Table:
        """What was compiled, without the overlay."""
        return self._table

    def matches(self, digits: str, short: bool = False) -> Sequence[Hit]:
        """Every entry that covers the digits: longest first, exact before prefix, ties in order.

        ``short`` looks among short codes, which are another namespace than E.164 numbers.
        """
        size = len(digits)
        if not 0 < size <= WIDTH:
            return _NOTHING
        key = int(digits) * UNITS[size] + (size << 1 | EXACT)
        keys, link = self._keys, self._link
        if short:
            key += SHORT
            row = bisect_right(keys, key) - 1
        else:
            zone = key >> ZONE
            part = self._zone_first[zone] + ((key & IN_ZONE) >> self._zone_shift[zone])
            heads = self._heads
            row = bisect_right(keys, key, heads[part], heads[part + 1]) - 1
        if row >= 0:
            found = keys[row]
            end = key | LOW
            while found != key and end - found >= SPANS[found & LOW]:
                row = link[row]
                if row < 0:
                    break
                found = keys[row]
            else:  # the last of twins was found, and the first one wins
                while row and keys[row - 1] == found:
                    row -= 1
        if self._overlay is not _NO_OVERLAY:
            return self._merged(digits, short, row)
        if row < 0:
            return _NOTHING
        list_no, expires = self._list_no, self._expires
        hits = []
        while row >= 0:
            hits.append(Hit(list_no[row], expires[row], row))
            row = link[row]
        return hits

    def under(self, digits: str, short: bool, lists: Collection[int]) -> Iterator[Hit]:
        """Every entry of some lists, by their places, whose digits begin with these.

        Exact entries come before prefixes, each in the order of digits, the overlay's last.
        """
        if not lists or not 0 < len(digits) <= WIDTH:
            return
        table, removed = self._table, self._overlay.removed
        prefixes: list[Hit] = []
        for row in self._of_lists(table.beginning(digits, short), lists):
            if table.managed[row] not in removed:
                hit = Hit(table.list_no[row], table.expires[row], row)
                if table.keys[row] & EXACT:
                    yield hit
                else:
                    prefixes.append(hit)
        yield from prefixes
        for (is_short, begins), found in self._overlay.added.items():
            if is_short is short and begins.startswith(digits):
                hits = ((self.entry(row), row) for row in found)
                places = ((self._places[entry.list], entry.expires, row) for entry, row in hits)
                yield from (Hit(*place) for place in places if place[0] in lists)

    def _of_lists(self, rows: range, lists: Collection[int]) -> Iterator[int]:
        """Those of some rows that are of some lists; ends when the lists have no more."""
        left = sum(self._table.counts[place] for place in lists)
        if left:
            for row, list_no in enumerate(self._list_no[rows.start : rows.stop], rows.start):
                if list_no in lists:
                    yield row
                    left -= 1
                    if not left:
                        return

    def _merged(self, digits: str, short: bool, row: int) -> Sequence[Hit]:
        """The table's rows from ``row`` on, without those taken away, among those added."""
        overlay, table = self._overlay, self._table
        added: list[int] = []
        if overlay.added:
            added.extend(overlay.added.get((short, digits), ()))
            for size in overlay.lengths:
                if size < len(digits):
                    added.extend(overlay.added.get((short, digits[:size]), ()))
        found = []
        while row >= 0:
            if not (managed := table.managed[row]) or managed not in overlay.removed:
                found.append(row)
            row = table.link[row]
        if not added:
            return [Hit(table.list_no[row], table.expires[row], row) for row in found]
        entries = [(self.entry(row), row) for row in chain(found, added)]
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
        """Every entry in the order of digits, E.164 before short codes, then the overlay's."""
        removed = self._overlay.removed
        for row in range(len(self._table)):
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
            for short in (False, True)
            for row in _later(table.beginning(digits, short), after)
            if not table.managed[row] and (wanted is None or table.list_no[row] == wanted)
        )
        return [(row, self.entry(row)) for row in islice(rows, limit)]

    def counts(self) -> dict[str, int]:
        """How many entries each list has."""
        counts = dict(zip((item.name for item in self._lists), self._table.counts, strict=True))
        removed = self._overlay.removed
        if removed:
            for row, managed in enumerate(self._table.managed):
                if managed in removed:
                    counts[self._lists[self._table.list_no[row]].name] -= 1
        for rows in self._overlay.added.values():
            for row in rows:
                counts[self.entry(row).list] += 1
        return counts

    def __len__(self) -> int:
        return sum(self.counts().values())

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
        first = len(self._overlay.entries)
        lengths = {len(entry.digits) for entry in entries[first:] if not entry.kind.exact}
        fresh = Overlay(
            overlay,
            tuple(entries),
            self._overlay.removed | gone,
            self._overlay.lengths | lengths,
        )
        return Index(self._table, self._lists, fresh)


def _later(rows: range, after: int) -> range:
    return range(max(rows.start, after + 1), rows.stop)


def build_index(
    entries: Iterable[Entry],
    lists: Sequence[ListDef],
    bulk: Iterable[Bulk] = (),
    sorter: Sorter = sort_plainly,
) -> Index:
    """Compile entries and plain lines. Entries of lists that are not given are left out."""
    return Index(compile_table(entries, lists, bulk, sorter), lists)
