"""The sorted table behind longest-prefix match: what it holds and how it is walked.

Digits become one integer: padded to 18 decimal places, then their count in the low four bits.
Such keys sort like the digits themselves, a prefix right before everything that begins with it.
So the longest prefix of a number is the greatest key not above the number's own, or an ancestor
of that key; each key holds a link to the longest other key that it begins with. A look-up is one
bisection and a short walk, and the columns can be mapped from a file by many processes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.policy.columns import Column
from gateway.policy.model import Action, Entry, EntryKind, ListDef, Origin

WIDTH = 18
_PADDING: tuple[int, ...] = tuple(10 ** (WIDTH - length) for length in range(WIDTH + 1))
SECTIONS = tuple(EntryKind)


def key_of(digits: str) -> int:
    """The sort key of 1 to 15 digits."""
    length = len(digits)
    return int(digits) * _PADDING[length] << 4 | length


def digits_of(key: int) -> str:
    """The digits that ``key_of`` was given."""
    length = key & 15
    return str((key >> 4) // _PADDING[length]).zfill(length)


def covers(prefix: int, key: int) -> bool:
    """Whether the digits of ``key`` begin with those of ``prefix``."""
    length = prefix & 15
    if length > key & 15:
        return False
    unit = _PADDING[length]
    return (prefix >> 4) // unit == (key >> 4) // unit


def rank_of(item: ListDef, managed: bool) -> tuple[int, bool, bool, int]:
    """The order of entries with equal digits: the smallest wins."""
    return (-item.scope_rank, managed, item.action is Action.BLOCK, item.order)


@dataclass(frozen=True, slots=True)
class Section:
    """The distinct keys of one kind of entry, sorted, with the rows that each stands for."""

    keys: Column
    first: Column
    parent: Column

    def rows(self, place: int) -> range:
        return range(self.first[place], self.first[place + 1])

    def exact(self, key: int) -> range:
        """The rows of a key, or none."""
        place = bisect_left(self.keys, key)
        if place < len(self.keys) and self.keys[place] == key:
            return self.rows(place)
        return range(0)

    def beginning(self, digits: str) -> range:
        """The rows of every key whose digits begin with some; of all keys for none."""
        if not digits:
            return range(self.first[0], self.first[len(self.keys)])
        unit = _PADDING[len(digits)]
        low = bisect_left(self.keys, key_of(digits))  # behind shorter ones: 33 sorts with 330
        high = bisect_left(self.keys, (int(digits) + 1) * unit << 4)
        return range(self.first[low], self.first[high])

    def prefixes(self, key: int) -> Iterator[int]:
        """The places of every prefix of a key, longest first."""
        keys, parent = self.keys, self.parent
        place = bisect_right(keys, key) - 1
        while place >= 0 and not covers(keys[place], key):
            place = parent[place]
        while place >= 0:
            yield place
            place = parent[place]


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of each row, column by column, and the sections that lead to rows."""

    sections: Mapping[EntryKind, Section]
    list_no: Column
    expires: Column
    managed: Column
    file: Column
    line: Column
    reason: Column
    reason_end: Column
    reason_text: Sequence[int]
    files: Sequence[str]

    def reason_of(self, row: int) -> str:
        number = self.reason[row]
        start = self.reason_end[number - 1] if number else 0
        return bytes(self.reason_text[start : self.reason_end[number]]).decode()

    def entry(self, row: int, lists: Sequence[ListDef]) -> Entry:
        """The entry of a row; ``lists`` are those that the table was built for."""
        kind, section = next(
            item for item in self.sections.items() if row < item[1].first[len(item[1].keys)]
        )
        place = bisect_right(section.first, row, 0, len(section.keys)) - 1
        return Entry(
            list=lists[self.list_no[row]].name,
            kind=kind,
            digits=digits_of(section.keys[place]),
            reason=self.reason_of(row),
            expires=self.expires[row],
            origin=Origin(self.files[self.file[row]], self.line[row]),
            managed=self.managed[row],
        )
