"""A block of header lines of FreeSWITCH's event socket, as names and values.

Rule 1: a block is split into lines before anything is decoded. Values are URL-encoded, so that a
caller's ``%0A`` stays inside its value; a codec that decodes first lets it forge headers.
Rule 2: a value is decoded when somebody reads it: decoding the 130 headers of a channel costs
several times the whole rest of a call.
Rule 3: of a channel only the few headers are picked out that a call is read from (``Fields``), all
in one pass: 12 us, where cutting the block into all its names and values takes 33 and a search for
one after the other 50. Whoever asks for another header gets it, from a second look at the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

MAX_VALUE: Final = 4096
"""Bytes of a value that are decoded, escapes and all: 250 KB of escapes take 100 ms, and whoever
connects can send them."""
_CHANNEL: Final = b"Event-Name: CHANNEL_DATA"


class Fields:
    """Names of headers that are read together; those that frame a message are among them."""

    __slots__ = ("_line", "_line_or_end", "names")

    def __init__(self, *names: str) -> None:
        self.names: Final = frozenset(("Content-Type", "Content-Length", *names))
        line = rf"({_any_of(map(_as_it_came, sorted(self.names)))}): (.*)"
        self._line: Final = re.compile(f"\n{line}").findall
        self._line_or_end: Final = re.compile(f"\n(?:{line}|\n)").findall

    def pick(self, block: str) -> dict[str, str]:
        """The first header of each name as it came."""
        # The last to be put in stays, and of two headers the first is to count.
        return dict(reversed(self._line(f"\n{block}")))

    def pick_at_once(self, block: str) -> dict[str, str] | None:
        """The same of a whole message; None if the block ends within, or a body follows it."""
        values = dict(reversed(self._line_or_end(f"\n{block}\n")))
        return None if "" in values or "Content-Length" in values else values


def _any_of(words: Iterable[str]) -> str:
    """An expression for any of these words, which looks at each letter once."""
    rests: dict[str, list[str]] = {}
    for word in words:
        rests.setdefault(word[:1], []).append(word[1:])
    ways = [re.escape(first) + _any_of(rest) for first, rest in rests.items() if first]
    return f"(?:{'|'.join(ways)}){'?' if '' in rests else ''}" if ways else ""


class Headers:
    """One block of header lines; nothing of it is decoded until it is read."""

    __slots__ = ("_block", "_fields", "_values")

    def __init__(
        self, block: bytes, fields: Fields | None = None, values: dict[str, str] | None = None
    ) -> None:
        """``values`` are what ``fields`` pick out of the block, where that is known already."""
        self._block = block
        self._fields = fields
        self._values = values

    @property
    def values(self) -> Mapping[str, str]:
        """The first header of each name as it came, one character for a byte (Latin-1).

        All of them, or at least those of the ``fields`` that these headers were made with.
        """
        values = self._values
        if values is None:
            values = self._values = self._cut()
        return values

    def raw(self, name: str) -> bytes | None:
        """The first header of that name as it came; None when there is none."""
        value = self._held(name)
        return None if value is None else value.encode("latin-1")

    def _held(self, name: str) -> str | None:
        if self._fields is not None and name not in self._fields.names:
            self._fields = self._values = None
        return self.values.get(name if name.isascii() else _as_it_came(name))

    def _cut(self) -> dict[str, str]:
        block = self._block.decode("latin-1")
        if self._fields is not None:
            return self._fields.pick(block)
        lines = [line.partition(": ") for line in reversed(block.split("\n"))]
        return {key: value for key, separator, value in lines if separator}

    def get(self, name: str, default: str = "") -> str:
        """The first header of that name, decoded: its first MAX_VALUE bytes."""
        value = self._held(name)
        return default if value is None else decode(value[:MAX_VALUE])

    @property
    def is_channel(self) -> bool:
        """Whether this is the answer to ``connect``: the data of a channel."""
        return self._block.startswith(_CHANNEL + b"\n") or self._block == _CHANNEL

    def __contains__(self, name: str) -> bool:
        return self._held(name) is not None

    def items(self) -> Iterator[tuple[str, str]]:
        """Every header, decoded, in order."""
        for line in self._block.decode("latin-1").split("\n"):
            name, separator, value = line.partition(": ")
            if separator:
                yield _as_utf8(name), decode(value)


def decode(value: str) -> str:
    """A header's value as it came; bytes that are not UTF-8 become replacement characters."""
    text = value if value.isascii() else _as_utf8(value)
    if "%" in text:
        text = text.replace("%2B", "+")  # the one escape of nearly every number
        if "%" in text:
            return unquote(text, errors="replace")
    return text


def _as_it_came(text: str) -> str:
    return text.encode().decode("latin-1")


def _as_utf8(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")
