"""CSV with a header: its columns by name, whatever their order and however they are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from gateway.entries.sources.lines import Line, Record, delimiter_of, records
from gateway.entries.sources.rows import Options, Refused, Row
from gateway.errors import ConfigError, Fault

Names = Mapping[str, tuple[str, ...]]
"""What a format calls its columns, each with what a file may call it."""


def plain_name(name: str) -> str:
    """As columns are compared: ``Phone Number`` is ``phone_number``."""
    return name.strip().strip('"').strip().lower().replace(" ", "_").replace("-", "_")


def header_of(line: Line) -> frozenset[str]:
    """The columns that a first line names, if it is a header."""
    return frozenset(plain_name(cell) for cell in line.text.split(delimiter_of(line.text)))


@dataclass(frozen=True, slots=True)
class Cells:
    """One row; what its sheet has no column for is empty."""

    line: int
    cells: Sequence[str]
    places: dict[str, int]

    def __getitem__(self, name: str) -> str:
        place = self.places.get(name, -1)
        return self.cells[place].strip() if 0 <= place < len(self.cells) else ""


class Sheet:
    """The rows of a CSV file under the names that a format knows its columns by.

    Raises ConfigError when none of the columns that are ``needed`` is there.
    """

    def __init__(
        self,
        lines: Iterator[Line],
        options: Options,
        names: Names,
        needed: tuple[str, ...],
    ) -> None:
        first = _first(lines)
        if first is None:
            raise ConfigError([Fault(options.file, 1, 0, "", "there is nothing in it")])
        self._records = records(chain([first], lines), delimiter_of(first.text))
        header = next(self._records)
        self.width = len(header.cells)
        self.places = _places(header, options, names)
        if not any(name in self.places for name in needed):
            wanted = " or ".join(needed)
            has = ", ".join(cell.strip() for cell in header.cells) or first.text
            message = f"the header has no column {wanted}, but {has[:200]}: name it with --column"
            raise ConfigError([Fault(options.file, header.line, 0, "", message)])

    def __iter__(self) -> Iterator[Cells | Row]:
        """Rows that can be read, and those that cannot, refused; empty ones are left out."""
        for record in self._records:
            if record.fault:
                yield Row(record.line, Refused(record.text, record.fault))
            elif any(record.cells[self.width :]):
                shown = ", ".join(record.cells)[:80]
                why = "more cells than the header has columns"
                yield Row(record.line, Refused(shown, why))
            elif any(cell.strip() for cell in record.cells):
                yield Cells(record.line, record.cells, self.places)


def _first(lines: Iterable[Line]) -> Line | None:
    return next((line for line in lines if line.text.strip()), None)


def _places(header: Record, options: Options, names: Names) -> dict[str, int]:
    found = [plain_name(cell) for cell in header.cells]
    places: dict[str, int] = {}
    for name, called in names.items():
        place = next((found.index(each) for each in called if each in found), -1)
        if place >= 0 and name not in options.columns:
            places[name] = place
    for name, column in options.columns.items():
        if plain_name(column) not in found:
            message = f"there is no column {column!r}; there are {', '.join(header.cells)[:200]}"
            raise ConfigError([Fault(options.file, header.line, 0, "", message)])
        places[name] = found.index(plain_name(column))
    return places
