"""Which column of somebody's file has the telephone numbers, and whether its first row has names.

Rule: whoever names a column is obeyed. Else it is a column whose name says so, in which the most
cells are numbers; else the one in which more than half of the cells are. A first row is a header
when the column that it has there names it, or is no number where others below are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.entries.sources.titles import PHONES, words
from gateway.review.rows import BadRows, Row, Source, text_of

MOST_DIGITS = 3
"""Of a column's name, such as ``Phone 123``: more are somebody's number, if a bad one."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where the numbers are, from 0, and the names of all columns; none without a header."""

    place: int
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As people call it: its name, else its number from 1."""
        named = self.names[self.place] if self.place < len(self.names) else ""
        return named or str(self.place + 1)


def find_column(source: Source, reads: Callable[[str], bool], wanted: str = "") -> Column:
    """The column of numbers. ``reads`` tells a number; ``wanted`` is a name or a place from 1.

    Raises BadRows when there is none, or none of that name.
    """
    rows = [row for row in source.sample() if any(row.cells)]
    first = [text_of(cell).strip() for cell in rows[0].cells] if rows else []
    place = _named(wanted, first) if wanted else None
    if place is not None:
        return Column(place, tuple(first))
    if wanted:
        place = _numbered(wanted, first)
    elif not rows:
        return Column(0)
    else:
        place = _guessed(first, rows, reads)
    is_header = place < len(first) and _is_header(first[place], place, rows[1:], reads)
    return Column(place, tuple(first) if is_header else ())


def _named(wanted: str, first: Sequence[str]) -> int | None:
    plain = [name.casefold() for name in first]
    name = wanted.strip().casefold()
    return plain.index(name) if name in plain else None


def _numbered(wanted: str, first: Sequence[str]) -> int:
    if re.fullmatch("[0-9]{1,4}", wanted) and 0 < int(wanted) <= max(len(first), 1):
        return int(wanted) - 1
    shown = ", ".join(first)[:200]
    raise BadRows(f"it has no column {wanted!r}; its first row is: {shown}")


def _guessed(first: Sequence[str], rows: Sequence[Row], reads: Callable[[str], bool]) -> int:
    named = [place for place, name in enumerate(first) if is_name(name)]
    is_data = any(map(reads, first))
    below = rows if is_data else rows[1:]
    if named and not is_data:
        best = [(_share(below, place, reads), _exact(first[place])) for place in named]
        return named[best.index(max(best))]
    widest = max(len(row.cells) for row in rows)
    if widest == 1:
        return 0
    shares = [_share(below, place, reads) for place in range(widest)]
    if max(shares) <= 0.5:
        raise BadRows("no column of it has telephone numbers")
    return shares.index(max(shares))


def is_name(text: str) -> bool:
    """Whether a column of this name has telephone numbers: ``Phone 1``, ``numéro_mobile``."""
    said = words(text)
    return "".join(said) in PHONES or any(word in PHONES for word in said)


def _exact(text: str) -> bool:
    return "".join(words(text)) in PHONES


def _share(rows: Sequence[Row], place: int, reads: Callable[[str], bool]) -> float:
    """Which part of the filled cells of a column are numbers, 0 to 1."""
    cells = [text_of(row.cells[place]) for row in rows if place < len(row.cells)]
    filled = [cell for cell in cells if cell.strip()]
    return sum(map(reads, filled)) / len(filled) if filled else 0.0


def _is_header(name: str, place: int, below: Sequence[Row], reads: Callable[[str], bool]) -> bool:
    """Whether it is a name that stands above numbers, and not the first of them."""
    if reads(name) or sum(map(str.isdigit, name)) > MOST_DIGITS:
        return False
    return is_name(name) or (name != "" and _share(below, place, reads) > 0)
