"""A file of leads with the label of each number beside it.

Rule 1: whatever a row had, it has still, byte for byte; what is added stands behind its last cell,
in the file's own delimiter, line end and encoding. Empty lines stay as they are.
Rule 2: what is added is never a formula for a spreadsheet (``gateway.attempts.export``).
Rule 3: a row that cannot be read is kept, and is ``Invalid``: nobody can say whom it would call.
Rule 4: memory does not grow with the file: one piece of output is made at a time.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from gateway.attempts.export import safe
from gateway.review.columns import find_column
from gateway.review.labels import Label, Labelled, Labels
from gateway.review.rows import Row, Source, text_of

COLUMNS = tuple(f"callgate_{name}" for name in ("label", "list", "entry", "reason", "number"))
EMERGENCY = "emergency"
KINDS = {
    "blacklisted": Label.BLACKLISTED,
    "invalid": Label.INVALID,
    "exception": Label.EXCEPTION,
    "clear": Label.CLEAR,
}
"""What rows can be asked for; and ``emergency``, which ``clear`` leaves out: those are no leads."""
WORDS = {label: word for word, label in KINDS.items()}

TOO_FEW = "too few columns"
_PIECE = 2**18
_KNOWN = 2**16
"""Numbers whose label is remembered, for files that repeat them."""
_NEEDS_QUOTES = re.compile(r'[,;\t|"\r\n]')


@dataclass(slots=True)
class Summary:
    """What was found. ``rows`` are those that a label belongs to: no header, no empty line.

    ``kinds`` counts them by the words of ``KINDS`` and ``EMERGENCY``; ``would`` those that shadow
    lists would have blacklisted; ``broken`` those that could not be read. ``seconds`` is how long
    it took.
    """

    column: str = ""
    rows: int = 0
    written: int = 0
    broken: int = 0
    would: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds if self.seconds else 0.0


class _Added(NamedTuple):
    """What is written behind a row, and how it is counted."""

    cells: bytes
    kind: str
    would: bool


class Scrub:
    """One file, read once. Raises BadRows where it is no text or has no numbers.

    ``column`` is the name of the column of numbers or its place from 1, empty: it is found.
    ``only`` are kinds of row to write, empty: all.
    """

    def __init__(
        self,
        file: BinaryIO,
        labels: Labels,
        *,
        column: str = "",
        only: Collection[str] = (),
    ) -> None:
        self.source = Source(file)
        self.labels = labels
        self.column = find_column(self.source, labels.reads, column)
        self.summary = Summary(self.column.name)
        self._only = frozenset(only)
        self._added = lru_cache(maxsize=_KNOWN)(self._label)

    def pieces(self) -> Iterator[bytes]:
        """The file with its labels, in pieces of about 256 KiB. The summary counts along."""
        started = time.perf_counter()
        outward = self.source.outward
        yield self.source.before
        piece: list[bytes] = []
        size = 0
        for row in self._rows():
            piece.append(row)
            size += len(row)
            if size >= _PIECE:
                self.summary.seconds = time.perf_counter() - started
                yield outward(b"".join(piece))
                piece, size = [], 0
        self.summary.seconds = time.perf_counter() - started
        yield outward(b"".join(piece))

    def _rows(self) -> Iterator[bytes]:
        summary, place, only = self.summary, self.column.place, self._only
        header = bool(self.column.names)
        width = max(len(self.column.names), place + 1) if header else 0
        for row in self.source.rows():
            if header and any(row.cells):
                header = False
                yield self._with(row, self._cells(COLUMNS), 0)
                continue
            if row.cells == [b""]:
                if not only:
                    yield row.raw
                continue
            if place < len(row.cells):
                added = self._added(row.cells[place])
            else:
                added = self._unread(row.fault or TOO_FEW)
            summary.rows += 1
            summary.kinds[added.kind] += 1
            summary.would += added.would
            if not only or added.kind in only:
                summary.written += 1
                yield self._with(row, added.cells, width)

    def _with(self, row: Row, cells: bytes, width: int) -> bytes:
        """A row with cells behind it, under the header's where it has fewer cells itself."""
        raw = row.raw
        body = raw.rstrip(b"\r\n") if raw.endswith((b"\n", b"\r")) else raw
        missing = 0 if row.fault else max(0, width - len(row.cells))
        return body + self.source.delimiter * missing + cells + raw[len(body) :]

    def _label(self, cell: bytes) -> _Added:
        found = self.labels.of(text_of(cell), inbound=False)
        would = found.would is not None and found.would.label is Label.BLACKLISTED
        return _Added(self._cells(cells_of(found)), kind_of(found), would)

    def _unread(self, fault: str) -> _Added:
        self.summary.broken += 1
        cells = self._cells((Label.INVALID, "", "", f"row: {fault}", ""))
        return _Added(cells, WORDS[Label.INVALID], would=False)

    def _cells(self, texts: tuple[str, ...]) -> bytes:
        delimiter = self.source.delimiter
        cells = [_cell(text, delimiter.decode()) for text in texts]
        return delimiter + delimiter.join(map(self.source.encode, cells))


def kind_of(found: Labelled) -> str:
    """The word by which rows of this label are asked for."""
    return EMERGENCY if found.outbound.emergency else WORDS[found.label]


def cells_of(found: Labelled) -> tuple[str, ...]:
    """The texts of ``COLUMNS``. The reason is its code, with the note that people wrote."""
    reason = f"{found.reason}: {found.note}" if found.note else found.reason.value
    return found.label.value, found.list, found.entry, reason, found.e164


def _cell(text: str, delimiter: str) -> str:
    clean = safe(text)
    if _NEEDS_QUOTES.search(clean) or delimiter in clean:
        return '"' + clean.replace('"', '""') + '"'
    return clean


def scrub(
    file: BinaryIO,
    write: Callable[[bytes], object],
    labels: Labels,
    *,
    column: str = "",
    only: Collection[str] = (),
) -> Summary:
    """Read a file to its end and write it with its labels. Raises BadRows."""
    scrubbing = Scrub(file, labels, column=column, only=only)
    for piece in scrubbing.pieces():
        write(piece)
    return scrubbing.summary
