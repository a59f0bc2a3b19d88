"""Lines and CSV records of any bytes, with the line on which each begins.

Rule: nothing raises for its content, and nothing is kept that has no bound. A line is UTF-8, else
Latin-1: reasons come from old systems, and digits are the same in both. UTF-16 is told by its mark.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

MAX_LINE = 65536
"""Bytes of one line, and characters of one record."""
MAX_LINES = 100
"""Lines of one record, whose quotes may hold line ends."""
_UTF8 = b"\xef\xbb\xbf"
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_SHOWN = 80


class Line(NamedTuple):
    """A line without its end. With a ``fault`` it cannot be used."""

    number: int
    text: str
    fault: str = ""


class Record(NamedTuple):
    """The cells of a row. With a ``fault`` there are none, and ``text`` is how it begins."""

    line: int
    cells: list[str]
    fault: str = ""
    text: str = ""


class _Readable(Protocol):
    def readline(self, limit: int, /) -> bytes: ...


class _Recoded:
    """UTF-16 as UTF-8; what is no character becomes U+FFFD."""

    def __init__(self, stream: BinaryIO, begins: bytes, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._has = io.BytesIO(self._decoder.decode(begins).encode())

    def readline(self, limit: int, /) -> bytes:
        line = self._has.readline(limit)
        while len(line) < limit and not line.endswith(b"\n"):
            data = self._stream.read(MAX_LINE)
            self._has = io.BytesIO(self._decoder.decode(data, not data).encode())
            more = self._has.readline(limit - len(line))
            line += more
            if not data and not more:
                break
        return line


def lines(stream: BinaryIO) -> Iterator[Line]:
    """Every line of a stream, which is UTF-16 where it begins with the mark of that."""
    source: _Readable = stream
    number = 1
    while data := source.readline(MAX_LINE + 1):
        if number == 1:
            if encoding := _UTF16.get(data[:2]):
                source = _Recoded(stream, data[2:], encoding)
                data = source.readline(MAX_LINE + 1)
            data = data.removeprefix(_UTF8)
        if len(data) > MAX_LINE and not data.endswith(b"\n"):
            _skip_line(source)
            fault = f"a line of more than {MAX_LINE} bytes"
            yield Line(number, _decoded(data[:_SHOWN]), fault)
            number += 1
        elif b"\0" in data:
            yield Line(number, _decoded(data[:_SHOWN]), "a NUL byte: this is no text")
            number += 1
        else:
            for text in _decoded(data).rstrip("\r\n").split("\r"):
                yield Line(number, text)
                number += 1


def _skip_line(source: _Readable) -> None:
    while more := source.readline(MAX_LINE):
        if more.endswith(b"\n"):
            return


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def delimiter_of(header: str) -> str:
    """Comma, semicolon or tab: what the header has most of."""
    return max(",;\t", key=header.count)


def records(source: Iterator[Line], delimiter: str) -> Iterator[Record]:
    """Rows of CSV. A quote that nothing closes costs its own line, not all that follow it."""
    waiting = deque[Line]()
    while line := (waiting.popleft() if waiting else next(source, None)):
        if line.fault:
            yield Record(line.number, [], line.fault, line.text[:_SHOWN])
        elif '"' not in line.text:
            yield Record(line.number, line.text.split(delimiter))
        else:
            yield _quoted(line, source, waiting, delimiter)


def _quoted(first: Line, source: Iterator[Line], waiting: deque[Line], delimiter: str) -> Record:
    """A record with quotes, and as many lines as it takes; those that do not belong to it wait."""
    taken = [first]
    size = 0
    fault = "a quote that is not closed"
    while True:
        if '"' in taken[-1].text:
            try:
                texts = [f"{line.text}\n" for line in taken]
                cells = next(csv.reader(texts, delimiter=delimiter, strict=True))
                return Record(first.number, cells)
            except csv.Error as error:
                if "unexpected end" not in str(error):
                    fault = f"not CSV: {error}"
                    break
        size += len(taken[-1].text)
        line = waiting.popleft() if waiting else next(source, None)
        if line is None:
            break
        taken.append(line)
        if line.fault or len(taken) > MAX_LINES or size > MAX_LINE:
            break
    waiting.extendleft(reversed(taken[1:]))
    return Record(first.number, [], fault, first.text[:_SHOWN])
