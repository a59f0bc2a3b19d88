"""List files: text with one entry a line, or CSV with a header.

Text: a bare line is a number, one that ends in ``*`` a prefix, ``#`` begins a comment. CSV: the
columns ``number`` and ``prefix``, of which each row fills exactly one, ``reason`` and
``expires``; separated by comma, semicolon or tab. Rows that say nothing but a number or prefix
never become objects, and of text the plain lines are read by the million where ``pack`` is given.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.errors import BadEntry, ConfigError, Fault
from gateway.numbers import read_number_entry, read_prefix_entry, read_starred_entry
from gateway.policy.columns import Column
from gateway.policy.index import Bulk
from gateway.policy.model import Entry, EntryKind, Origin
from gateway.policy.table import key_of
from gateway.yamlfile import decode_utf8
from gateway.yamlmodel import either, suggestion

COLUMNS = ("number", "prefix", "reason", "expires")
MAX_FAULTS = 2000
"""After this many faults the rest of a file is not read: it is some other kind of file."""

Pack = Callable[[bytes, Callable[[int, str], int]], tuple[Column, Column]]
"""Reads UTF-8 text with a careful reader of one line, which gives its key or 0: keys and lines."""

_READERS = {EntryKind.NUMBER: read_number_entry, EntryKind.PREFIX: read_prefix_entry}


class _TooManyFaults(Exception):
    """Enough is known about this file."""


@dataclass(slots=True)
class ListFile:
    """What one file brings to one list.

    ``expires`` is the expiry of rows without their own, 0 none; ``expiry`` reads those that have
    one and raises ValueError. ``region`` is the one in which the numbers are written, ``pack``
    what reads text.
    """

    file: str
    name: str
    region: str | None
    expiry: Callable[[str], int]
    expires: int = 0
    pack: Pack | None = None
    entries: list[Entry] = field(default_factory=list)
    bulk: list[Bulk] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.entries) + sum(map(len, self.bulk))

    def read(self, data: bytes) -> None:
        """Take the contents. Everything wrong is in ``faults`` afterwards."""
        try:
            self._refuse_nul(data)
            if self.file.lower().endswith(".csv"):
                self._read_csv(decode_utf8(data, self.file))
            else:
                self._read_text(data)
        except ConfigError as error:
            self.faults += error.faults
        except _TooManyFaults:
            pass

    def _refuse_nul(self, data: bytes) -> None:
        place = data.find(b"\0")
        if place >= 0:
            decode_utf8(data, self.file)
            line = data.count(b"\n", 0, place) + 1
            raise ConfigError([Fault(self.file, line, 0, "", "a NUL byte: this is no text file")])

    def _read_text(self, data: bytes) -> None:
        if self.pack and data.isascii():
            self._keep(*self.pack(data, self._take_line))
            return
        text = decode_utf8(data, self.file)
        if self.pack:
            self._keep(*self.pack(text.encode(), self._take_line))
            return
        plain = _Plain()
        for line, content in enumerate(text.split("\n"), 1):
            if key := self._take_line(line, content):
                plain.add(key, line)
        self._keep(plain.keys, plain.lines)

    def _take_line(self, line: int, content: str) -> int:
        """The key of the entry on a line, 0 if there is none or it is at fault."""
        entry = content.partition("#")[0].strip()
        try:
            if not entry:
                return 0
            if entry[-1] == "*":
                return key_of(read_starred_entry(entry, self.region), EntryKind.PREFIX)
            return key_of(read_number_entry(entry, self.region))
        except BadEntry as error:
            self._refuse(line, str(error))
            return 0

    def _read_csv(self, text: str) -> None:
        rows = _csv_rows(text, self.file)
        header = next(rows, None)
        places = self._columns(*(header or (1, ())))
        plain = _Plain()
        for line, row in rows:
            if any(cell.strip() for cell in row):
                self._take_row(line, row, places, plain)
        self._keep(plain.keys, plain.lines)

    def _columns(self, line: int, header: Sequence[str]) -> dict[str, int]:
        names = [cell.strip().lower() for cell in header]
        if not set(names) & set(COLUMNS):
            missing = f"the header is missing: a line that names {either(COLUMNS)}"
            raise ConfigError([Fault(self.file, line, 0, "", missing)])
        faults = [
            Fault(self.file, line, 0, name, f"unknown column{suggestion(name, COLUMNS)}")
            for name in dict.fromkeys(names)
            if name not in COLUMNS
        ]
        faults += [
            Fault(self.file, line, 0, name, "the header names this column twice")
            for name in COLUMNS
            if names.count(name) > 1
        ]
        if "number" not in names and "prefix" not in names:
            missing = f"the header has no column number or prefix; it may name {either(COLUMNS)}"
            faults.append(Fault(self.file, line, 0, "", missing))
        if faults:
            raise ConfigError(faults)
        return {name: names.index(name) for name in names}

    def _take_row(self, line: int, row: list[str], places: dict[str, int], plain: _Plain) -> None:
        cells = {name: row[at].strip() for name, at in places.items() if at < len(row)}
        written = [kind for kind in _READERS if cells.get(kind.value)]
        if len(row) > len(places) and any(row[len(places) :]):
            return self._refuse(line, "more cells than the header has columns")
        if len(written) != 1:
            return self._refuse(line, "exactly one of number and prefix must be filled")
        kind = written[0]
        try:
            digits = _READERS[kind](cells[kind.value], self.region)
        except BadEntry as error:
            return self._refuse(line, str(error), kind.value)
        reason, until = cells.get("reason", ""), cells.get("expires", "")
        if not reason and not until:
            return plain.add(key_of(digits, kind), line)
        try:
            expires = self.expiry(until) if until else self.expires
        except ValueError as error:
            return self._refuse(line, str(error), "expires")
        origin = Origin(self.file, line)
        self.entries.append(Entry(self.name, kind, digits, reason, expires, origin))
        return None

    def _keep(self, keys: Column, lines: Column) -> None:
        if len(keys):
            self.bulk.append(Bulk(self.name, keys, lines, self.file, self.expires))

    def _refuse(self, line: int, message: str, column: str = "") -> None:
        self.faults.append(Fault(self.file, line, 0, column, message))
        if len(self.faults) >= MAX_FAULTS:
            raise _TooManyFaults


@dataclass(slots=True)
class _Plain:
    """Entries without reason or expiry of their own, as keys, and their lines."""

    keys: array[int] = field(default_factory=lambda: array("Q"))
    lines: array[int] = field(default_factory=lambda: array("I"))

    def add(self, key: int, line: int) -> None:
        self.keys.append(key)
        self.lines.append(line)


def _csv_rows(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line on which each begins. Raises ConfigError for broken quotes."""
    head = text[: text.find("\n")] if "\n" in text else text
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise ConfigError([Fault(file, line, 0, "", f"not CSV: {error}")]) from None
