"""CSV with a header: its columns by name, whatever their order and however they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from gateway.entries.sources.lines import Line, Record, delimiter_of, records
from gateway.entries.sources.rows import Options, Refused, Row, Unread, one_line
from gateway.entries.sources.titles import folded
from gateway.errors import ConfigError, Fault

Names = Mapping[str, tuple[str, ...]]
"""What a format calls its columns, each with what a file may call it."""


def plain_name(name: str) -> str:
    """As columns are compared: ``Phone Number`` is ``phone_number``, ``Numéro`` is ``numero``."""
    return folded(name.strip().strip('"').strip()).replace(" ", "_").replace("-", "_")


def header_of(line: Line) -> list[str]:
    """The columns that a first line names, if it is a header."""
    return [cell.strip().strip('"') for cell in line.text.split(delimiter_of(line.text))]


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

    ``called`` finds columns by freer names; the last row then tells which ones were not read.
    Raises ConfigError when none of the columns that are ``needed`` is there.
    """

    def __init__(
        self,
        lines: Iterator[Line],
        options: Options,
        names: Names,
        needed: tuple[str, ...],
        called: Callable[[Sequence[str]], dict[str, int]] | None = None,
    ) -> None:
        first = _first(lines)
        if first is None:
            raise ConfigError([Fault(options.file, 1, 0, "", "there is nothing in it")])
        self._records = records(chain([first], lines), delimiter_of(first.text))
        header = next(self._records)
        self.width = len(header.cells)
        self.header = header
        known = called(header.cells) if called else _known(header, names)
        self.places = _places(header, options, known)
        taken = set(self.places.values())
        self._others = [at for at in range(self.width) if called and at not in taken]
        if not any(name in self.places for name in needed):
            wanted = " or ".join(needed)
            has = ", ".join(cell.strip() for cell in header.cells) or first.text
            message = f"the header has no column {wanted}, but {has[:200]}: name it (column)"
            raise ConfigError([Fault(options.file, header.line, 0, "", message)])

    def __iter__(self) -> Iterator[Cells | Row]:
        """Rows that can be read, and those that cannot, refused; empty ones are left out."""
        unread = set[int]()
        for record in self._records:
            if record.fault:
                yield Row(record.line, Refused(record.text, record.fault))
            elif any(record.cells[self.width :]):
                shown = ", ".join(record.cells)[:80]
                why = "more cells than the header has columns"
                yield Row(record.line, Refused(shown, why))
            elif any(cell.strip() for cell in record.cells):
                unread.update(at for at in self._others if any(record.cells[at : at + 1]))
                yield Cells(record.line, record.cells, self.places)
        if unread:
            yield Row(self.header.line, Unread(tuple(map(self._title, sorted(unread)))))

    def _title(self, place: int) -> str:
        return one_line(self.header.cells[place])[:60] or f"column {place + 1}"


def _first(lines: Iterable[Line]) -> Line | None:
    return next((line for line in lines if line.text.strip()), None)


def _known(header: Record, names: Names) -> dict[str, int]:
    found = [plain_name(cell) for cell in header.cells]
    places = {
        name: next((found.index(each) for each in called if each in found), -1)
        for name, called in names.items()
    }
    return {name: place for name, place in places.items() if place >= 0}


def _places(header: Record, options: Options, known: dict[str, int]) -> dict[str, int]:
    """What is said of the columns, else what their names say; none is taken for two things."""
    found = [plain_name(cell) for cell in header.cells]
    said: dict[str, int] = {}
    for name, column in options.columns.items():
        if plain_name(column) not in found:
            message = f"there is no column {column!r}; there are {', '.join(header.cells)[:200]}"
            raise ConfigError([Fault(options.file, header.line, 0, "", message)])
        said[name] = found.index(plain_name(column))
    others = {name: place for name, place in known.items() if place not in said.values()}
    return others | said
