"""Lines and CSV records of any bytes, with the line on which each begins.

Rule: nothing raises for its content, and nothing is kept that has no bound. A line is UTF-8, else
Latin-1: reasons come from old systems, and digits are the same in both.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from gateway.errors import ConfigError, Fault

MAX_LINE = 65536
"""Bytes of one line, and characters of one record."""
MAX_LINES = 100
"""Lines of one record, whose quotes may hold line ends."""
_UTF8 = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
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


def lines(stream: BinaryIO, file: str = "") -> Iterator[Line]:
    """Every line of a stream. ConfigError when it is UTF-16, of which each other byte is NUL."""
    number = 1
    while data := stream.readline(MAX_LINE + 1):
        if number == 1:
            if data.startswith(_UTF16):
                raise ConfigError([Fault(file, 1, 0, "", "UTF-16: save it as UTF-8")])
            data = data.removeprefix(_UTF8)
        if len(data) > MAX_LINE and not data.endswith(b"\n"):
            _skip_line(stream)
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


def _skip_line(stream: BinaryIO) -> None:
    while more := stream.readline(MAX_LINE):
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
