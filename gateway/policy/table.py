"""The sorted table behind longest-prefix match: what it holds and how it is walked.

An entry's key is one integer: its digits padded to 15 decimal places, then in five bits how many
they are and whether they are meant exactly; short codes lie behind all E.164 numbers. Such keys
sort like the digits themselves, a prefix right before everything that begins with it. One row is
one entry, and each row links to the next one that covers the same digits: its twin of equal key,
or the first row of the longest prefix around it. So all that covers a number is one bisection and
a walk along links.

The E.164 keys are cut into zones by their first bits, about the first three digits, and each zone
into parts, as many as its rows deserve: ``heads`` has the first row of each part, which leaves the
bisection two to eight rows. The columns can be mapped from a file by many processes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.policy.columns import Column
from gateway.policy.model import Action, Entry, EntryKind, ListDef, Origin

WIDTH = 15
"""Digits of the longest number."""
LOW_BITS = 5
LOW = 31
EXACT = 1
UNITS: tuple[int, ...] = tuple(10 ** (WIDTH - size) << LOW_BITS for size in range(WIDTH + 1))
"""What the last of so many digits is worth in a key: what a prefix of that length spans."""
SHORT: int = 10**WIDTH << LOW_BITS
"""Added to the key of a short code."""
SPANS: tuple[int, ...] = tuple(
    0 if low & EXACT or low >> 1 > WIDTH else UNITS[low >> 1] for low in range(LOW + 1)
)
"""The keys that an entry covers, by the low bits of its own: none for exact ones."""
ZONE: int = (SHORT - 1).bit_length() - 10
"""Bits of a key behind those that name its zone."""
IN_ZONE = (1 << ZONE) - 1
ZONES = (SHORT - 1 >> ZONE) + 1
_KINDS = {
    (False, True): EntryKind.NUMBER,
    (False, False): EntryKind.PREFIX,
    (True, True): EntryKind.SHORT,
    (True, False): EntryKind.SHORT_PREFIX,
}


def key_of(digits: str, kind: EntryKind = EntryKind.NUMBER) -> int:
    """The sort key of 1 to 15 digits."""
    size = len(digits)
    base = SHORT if kind.short else 0
    return base + int(digits) * UNITS[size] + (size << 1 | kind.exact)


def digits_of(key: int) -> str:
    """The digits that ``key_of`` was given."""
    size = (key & LOW) >> 1
    return str(key % SHORT // UNITS[size]).zfill(size)


def kind_of(key: int) -> EntryKind:
    """The kind that ``key_of`` was given."""
    return _KINDS[key >= SHORT, bool(key & EXACT)]


def covers(prefix: int, key: int) -> bool:
    """Whether the entry of one key covers the digits of another of the same name space."""
    return prefix <= key and (key | LOW) - prefix < SPANS[prefix & LOW]


def rank_of(item: ListDef, managed: bool) -> tuple[int, bool, bool, int]:
    """The order of entries with equal digits: the smallest wins."""
    return (-item.scope_rank, managed, item.action is Action.BLOCK, item.order)


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of each row, column by column, and how rows are found (``Index.matches``).

    The part of a key is its bits in its zone, without the last ``zone_shift`` of that zone, counted
    from ``zone_first``; behind the head of the last part stands the number of all E.164 rows.
    ``counts`` are the rows of each list, by its place.
    """

    keys: Column
    link: Column
    heads: Column
    zone_first: Sequence[int]
    zone_shift: Sequence[int]
    list_no: Column
    expires: Column
    managed: Column
    file: Column
    line: Column
    reason: Column
    reason_end: Column
    reason_text: Sequence[int]
    files: Sequence[str]
    counts: Sequence[int]

    def __len__(self) -> int:
        return len(self.keys)

    def beginning(self, digits: str, short: bool) -> range:
        """The rows of every key of a name space whose digits begin with some; of all for none."""
        base = SHORT if short else 0
        if not digits:
            return range(bisect_left(self.keys, base), bisect_left(self.keys, base + SHORT))
        low = key_of(digits, EntryKind.SHORT_PREFIX if short else EntryKind.PREFIX)
        high = base + (int(digits) + 1) * UNITS[len(digits)]
        return range(bisect_left(self.keys, low), bisect_left(self.keys, high))

    def reason_of(self, row: int) -> str:
        number = self.reason[row]
        if not number:
            return ""
        start = self.reason_end[number - 1]
        return bytes(self.reason_text[start : self.reason_end[number]]).decode()

    def entry(self, row: int, lists: Sequence[ListDef]) -> Entry:
        """The entry of a row; ``lists`` are those that the table was built for."""
        key = self.keys[row]
        return Entry(
            lists[self.list_no[row]].name,
            kind_of(key),
            digits_of(key),
            self.reason_of(row),
            self.expires[row],
            Origin(self.files[self.file[row]], self.line[row]),
            self.managed[row],
        )
