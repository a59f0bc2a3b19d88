"""Rows of several sources as one sorted table's columns: the plain way, for lists of any size.

``gateway.policy.vectors`` does the same for millions, and both give the same columns (a test holds
them together). What is built here is small, or built where no other package may be loaded.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Protocol

from gateway.policy.columns import Column
from gateway.policy.table import LOW, SHORT, SPANS, ZONE, ZONES, covers


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one source; a plain number where all rows have the same."""

    list_no: int
    keys: Column
    expires: Column | int
    managed: Column | int
    file: Column | int
    line: Column | int
    reason: Column | int

    def __len__(self) -> int:
        return len(self.keys)


ROW_COLUMNS = {
    "list_no": "H",
    "expires": "I",
    "managed": "I",
    "file": "H",
    "line": "I",
    "reason": "I",
}
"""What is kept of each row, and its type as an ``array`` names it."""


class Sorter(Protocol):
    """From sources, in the order in which ties are won, to columns of a ``Table`` by name.

    ``keys`` sorted, ``link``, ``heads`` with their zones, the ``ROW_COLUMNS``, and ``counts`` of
    ``lists`` lists.
    """

    def __call__(self, sources: Sequence[Rows], lists: int) -> Mapping[str, Any]: ...


def zones_of(ends: Sequence[int]) -> Mapping[str, array[int]]:
    """The parts of each zone, two to four rows for each; ``ends`` are the zones' last rows + 1."""
    first, shift = array("I"), array("B")
    parts = before = 0
    for end in ends:
        bits = max(0, (end - before).bit_length() - 2)
        first.append(parts)
        shift.append(ZONE - bits)
        parts += 1 << bits
        before = end
    return {"zone_first": first, "zone_shift": shift}


def sort_plainly(sources: Sequence[Rows], lists: int) -> Mapping[str, Any]:
    """The ``Sorter`` in nothing but Python: a second or two for a million rows."""
    unsorted = list(chain.from_iterable(source.keys for source in sources))
    order = sorted(range(len(unsorted)), key=unsorted.__getitem__)
    keys = array("Q", [unsorted[place] for place in order])
    columns: dict[str, Any] = {}
    for name, code in ROW_COLUMNS.items():
        column = array(code)
        for source in sources:
            value = getattr(source, name)
            column.extend(repeat(value, len(source)) if isinstance(value, int) else value)
        columns[name] = array(code, map(column.__getitem__, order))
    counts = Counter(columns["list_no"])
    ends = [bisect_left(keys, (zone + 1) << ZONE) for zone in range(ZONES - 1)]
    ends.append(bisect_left(keys, SHORT))
    zones = zones_of(ends)
    heads = array("I")
    for zone, shift in enumerate(zones["zone_shift"]):
        low, high = ends[zone - 1] if zone else 0, ends[zone]
        bounds = range(zone << ZONE, (zone + 1) << ZONE, 1 << shift)
        heads.extend([bisect_left(keys, bound, low, high) for bound in bounds])
    heads.append(ends[-1])
    return {
        **columns,
        **zones,
        "keys": keys,
        "link": _links(keys),
        "heads": heads,
        "counts": [counts[place] for place in range(lists)],
    }


def _links(keys: Sequence[int]) -> array[int]:
    """The next row that covers the same digits, -1 for none."""
    link = array("i", [-1]) * len(keys)
    around: list[int] = []
    previous, outer = -1, -1
    for row, key in enumerate(keys):
        if key == previous:
            link[row - 1] = row
        else:
            while around and not covers(keys[around[-1]], key):
                around.pop()
            outer = around[-1] if around else -1
            if SPANS[key & LOW]:
                around.append(row)
        link[row] = outer
        previous = key
    return link
