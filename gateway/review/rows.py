"""Rows of a CSV or text file of anybody's making: the cells to read, the bytes to keep.

Rule 1: a row is handed on with exactly the bytes it has in the file; all rows joined are the file.
Rule 2: nothing about a file is demanded. Its delimiter (``, ; tab |``), line ends (LF, CRLF, CR),
byte order mark and encoding (UTF-8, Windows-1252, UTF-16 with a mark) are found out.
Rule 3: quotes are those of RFC 4180. What they do not close within ``MOST_OF_A_ROW`` bytes and
``MOST_LINES``, or close in the middle of a cell, spoils its own line only: the next line is read
as a row again.
Rule 4: memory does not grow with the file. A longer line than ``MOST_OF_A_LINE`` is no text.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import BinaryIO, NamedTuple

from gateway.errors import GatewayError

DELIMITERS = (b",", b";", b"\t", b"|")
MOST_OF_A_ROW = 2**16
MOST_LINES = 1000
MOST_OF_A_LINE = 2**20
CHUNK = 2**18
HEAD = 2**18
"""Bytes in which the delimiter and the column of numbers are looked for."""
SAMPLE = 200
"""Rows of the head that are looked at."""

UNBALANCED = "quotes are not balanced"

_MARKS = {codecs.BOM_UTF8: "", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_QUOTED = re.compile(rb'"(?:[^"]++|"")*+" *')
_LINE_END = re.compile(rb"\r\n?|\n")
_SEPARATOR_LINE = re.compile(rb"sep=([^\"\r\n\x80-\xffA-Za-z0-9])\r?\n", re.IGNORECASE)


class BadRows(GatewayError):
    """A file that cannot be read, is no text, or has no column of numbers: the message says."""


class Row(NamedTuple):
    """One row. ``raw`` has its line end. A row with a ``fault`` has no cells."""

    raw: bytes
    cells: list[bytes]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Wide:
    """UTF-16 from and to the UTF-8 in which rows are split; lone surrogates survive."""

    name: str

    def decode(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(self.name)("surrogatepass")
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
        rest, _ = decoder.getstate()
        if len(rest) % 2:
            raise BadRows("it ends in half a character of UTF-16")
        yield rest.decode(self.name, "surrogatepass").encode("utf-8", "surrogatepass")

    def encode(self, data: bytes) -> bytes:
        return data.decode("utf-8", "surrogatepass").encode(self.name, "surrogatepass")


class Source:
    """A file that is read once, from its beginning to its end.

    ``before`` is what the file has before its first row: a mark, a line that names the delimiter.
    ``read`` counts the bytes that were taken from the file. Raises BadRows, from all that reads,
    for what is no text or cannot be read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.read = 0
        self._file = file
        chunks = self._chunks()
        first = next(chunks, b"")
        mark, encoding = self._marked(first)
        self._wide = Wide(encoding) if encoding else None
        chunks = _chained(first[len(mark) :], chunks)
        self.head, chunks = _filled(self._wide.decode(chunks) if self._wide else chunks)
        if b"\0" in self.head:
            raise BadRows("it has NUL bytes: it is no text, or UTF-16 without its mark")
        said = _SEPARATOR_LINE.match(self.head)
        self._said = said[1] if said else b""
        self.before = mark + self.outward(said[0] if said else b"")
        self.head = self.head[said.end() :] if said else self.head
        self._rest = _chained(self.head, chunks)

    def _chunks(self) -> Iterator[bytes]:
        try:
            while chunk := self._file.read(CHUNK):
                self.read += len(chunk)
                yield chunk
        except OSError as error:
            raise BadRows(f"cannot be read: {error.strerror}") from None

    def _marked(self, first: bytes) -> tuple[bytes, str]:
        found = ((mark, name) for mark, name in _MARKS.items() if first.startswith(mark))
        return next(found, (b"", ""))

    @cached_property
    def end(self) -> bytes:
        """What ends a line: LF, of CRLF too, or CR where the first line ends so, as most do."""
        first = _LINE_END.search(self.head)
        alone = first is not None and first[0] == b"\r"
        most = self.head.count(b"\r") > self.head.count(b"\n")
        return b"\r" if alone and most else b"\n"

    @cached_property
    def delimiter(self) -> bytes:
        """What stands between cells: what Excel's ``sep=`` says, else what fits the head best."""
        return self._said or max(DELIMITERS, key=self._fit)

    def _fit(self, delimiter: bytes) -> tuple[bool, float, int]:
        """How well a delimiter cuts the head into rows of one width, the first row above all."""
        widths = [len(row.cells) for row in self._sample(delimiter) if row.cells != [b""]]
        if not widths:
            return False, 0.0, 0
        (width, rows), *_ = Counter(widths).most_common(1)
        return (False, 0.0, 0) if width < 2 else (widths[0] == width, rows / len(widths), width)

    def sample(self) -> list[Row]:
        """The first rows, but one that the end of the head may have cut."""
        return self._sample(self.delimiter)

    def _sample(self, delimiter: bytes) -> list[Row]:
        lines = list(islice(split_lines([self.head], self.end), SAMPLE + 1))
        whole = lines[:-1] if len(lines) > 1 and len(self.head) >= HEAD else lines
        return list(islice(split_rows(iter(whole), delimiter), SAMPLE))

    @cached_property
    def is_utf8(self) -> bool:
        """Whether the head is UTF-8, which then all of it is taken for."""
        try:
            codecs.getincrementaldecoder("utf-8")("surrogatepass").decode(self.head)
        except UnicodeDecodeError:
            return False
        return True

    def rows(self) -> Iterator[Row]:
        """Every row, the header too; once."""
        rest, self._rest = self._rest, iter(())
        return split_rows(split_lines(rest, self.end), self.delimiter)

    def encode(self, text: str) -> bytes:
        """Text as it stands between the raw rows of this file."""
        if self.is_utf8:
            return text.encode("utf-8", "replace")
        return text.encode("cp1252", "replace")

    @property
    def outward(self) -> Callable[[bytes], bytes]:
        """From rows to the bytes of the file."""
        return self._wide.encode if self._wide else bytes


def text_of(cell: bytes) -> str:
    """A cell as people read it: UTF-8, else Windows-1252, as old spreadsheets write."""
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell.decode("cp1252", "replace")


def split_lines(chunks: Iterable[bytes], end: bytes) -> Iterator[bytes]:
    """Lines with their ends; the last may have none. Raises BadRows for an endless one."""
    rest = b""
    for chunk in chunks:
        first, *lines = chunk.split(end)
        rest += first
        if len(rest) > MOST_OF_A_LINE:
            raise BadRows(f"a line has more than {MOST_OF_A_LINE:,} bytes: this is no text file")
        for line in lines:
            yield rest + end
            rest = line
    if rest:
        yield rest


def split_rows(lines: Iterator[bytes], delimiter: bytes) -> Iterator[Row]:
    """Rows of lines."""
    waiting: deque[bytes] = deque()
    plain = re.compile(rb"[^%b]*" % re.escape(delimiter))
    while (line := waiting.popleft() if waiting else next(lines, b"")) != b"":
        if b'"' not in line:
            yield Row(line, line.rstrip(b"\r\n").split(delimiter))
            continue
        row = [line]
        size = len(line)
        cells = _cells(line, delimiter, plain)
        while cells is None and size < MOST_OF_A_ROW and len(row) < MOST_LINES:
            more = waiting.popleft() if waiting else next(lines, b"")
            if not more:
                break
            row.append(more)
            size += len(more)
            if b'"' in more:
                cells = _cells(b"".join(row), delimiter, plain)
        if cells:
            yield Row(b"".join(row), cells)
        else:
            waiting.extendleft(reversed(row[1:]))
            yield Row(line, [], UNBALANCED)


def _cells(raw: bytes, delimiter: bytes, plain: re.Pattern[bytes]) -> list[bytes] | None:
    """The cells of a row; none when its quotes are wrong, None when one is still open."""
    body = raw.rstrip(b"\r\n")
    cells = []
    place = 0
    while True:
        if body.startswith(b'"', place):
            found = _QUOTED.match(body, place)
            if found is None:
                return None
            cells.append(found[0].rstrip(b" ")[1:-1].replace(b'""', b'"'))
        else:
            found = plain.match(body, place)
            assert found is not None  # it matches the empty text too
            cells.append(found[0])
        place = found.end()
        if place >= len(body):
            return cells
        if not body.startswith(delimiter, place):
            return []
        place += len(delimiter)


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _filled(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """At least ``HEAD`` bytes if there are as many, and what follows."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD:
            break
    return head, chunks
