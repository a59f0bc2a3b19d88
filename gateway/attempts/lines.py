"""The lines of the journal, and how a good one is told from a bad one.

A line is ``<crc> <json>\\n``: eight hexadecimal digits, the CRC-32 (zlib) of the JSON's bytes, a
space, one JSON object in UTF-8 without a line break in it. There are three kinds, told apart by
their first key:

- ``{"id":…}``: an attempt, its keys the fields of ``Attempt``; a field with its default is left
  out;
- ``{"delivery":…,"id":…,"at":…}``: what became of the answer to an attempt;
- ``{"end":N}``: the last line of a segment that its writer closed, N the lines before it.

Rule: a reader takes a line only if its CRC holds, and skips a kind that it does not know.
"""

from __future__ import annotations

import re
from typing import Any
from zlib import crc32

import msgspec

from gateway.attempts.model import Attempt

MAX_LINE = 256 * 1024
"""No line is longer, in bytes. A reader that finds no line break in so many looks at junk."""
MAX_BODY = MAX_LINE - 10
"""Bytes of the JSON on a line."""
MAX_TEXT = 1024
"""Characters that are kept of a text in a line that would be longer than MAX_LINE."""

_SURROGATES = re.compile("[\ud800-\udfff]")


class DeliveryLine(msgspec.Struct, frozen=True, gc=False):
    """What became of the answer to one attempt, at UTC seconds since the epoch."""

    delivery: str
    id: str
    at: float


class EndLine(msgspec.Struct, frozen=True, gc=False):
    """The mark of a segment that was closed; ``end`` counts the lines before it."""

    end: int


Line = Attempt | DeliveryLine | EndLine

_encode = msgspec.json.Encoder().encode
_decode_attempt = msgspec.json.Decoder(Attempt).decode
_decode_delivery = msgspec.json.Decoder(DeliveryLine).decode
_decode_end = msgspec.json.Decoder(EndLine).decode


def encode(record: Line) -> bytes:
    """One line. Total: text that is no UTF-8 is escaped, and text too long is cut."""
    try:
        body = _encode(record)
    except UnicodeEncodeError:
        body = _encode(_mended(msgspec.to_builtins(record)))
    if len(body) > MAX_BODY:
        body = _encode(_mended(msgspec.to_builtins(record), MAX_TEXT))
    return b"%08x %b\n" % (crc32(body), body)


def encode_all(records: list[Line]) -> list[bytes]:
    """One line of each, as ``encode`` makes it, for less."""
    try:
        bodies = list(map(_encode, records))
    except UnicodeEncodeError:
        return list(map(encode, records))
    if max(map(len, bodies)) > MAX_BODY:
        return list(map(encode, records))
    return [b"%08x %b\n" % (crc32(body), body) for body in bodies]


def decode(line: bytes) -> Line | None:
    """What stands on a line, its line break left off; None if the line is bad."""
    body = line[9:]
    try:
        if line[8:9] != b" " or int(line[:8], 16) != crc32(body):
            return None
        if body.startswith(b'{"id":'):
            return _decode_attempt(body)
        if body.startswith(b'{"delivery":'):
            return _decode_delivery(body)
        return _decode_end(body)
    except ValueError:
        return None


def _mended(value: Any, limit: int | None = None) -> Any:
    if isinstance(value, dict):
        return {key: _mended(item, limit) for key, item in value.items()}
    if isinstance(value, str):
        return _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", value[:limit])
    return value
