"""FreeSWITCH's event socket without I/O: bytes in, messages out; both ends of it.

A message is a block of ``Name: value`` lines, a blank line, and as many bytes of body as its
``Content-Length`` says (mod_event_socket.c).

Rule 1: a block is split into lines before anything is decoded. Values are URL-encoded, so that a
caller's ``%0A`` stays inside its value; a codec that decodes first lets it forge headers.
Rule 2: a value is decoded when somebody reads it: decoding the 130 headers of a channel costs
several times the whole rest of a call.
Rule 3: of a channel only the few headers are picked out that a call is read from (``Fields``), all
in one pass: 12 us, where cutting the block into all its names and values takes 33 and a search for
one after the other 50. Whoever asks for another header gets it, from a second look at the whole.
Rule 4: every buffer is bounded, and the messages depend on the bytes alone, never on their cuts.
Rule 5: what nearly every call consists of, a whole channel in one read and short replies, is told
apart in that same pass, or was read before. Whatever is not, goes the careful way, which gives the
same messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, Protocol
from urllib.parse import unquote
from xml.etree import ElementTree

from gateway.errors import Malformed, TooLong
from gateway.protocols.buffer import Buffer

MAX_BLOCK: Final = 64 * 1024
"""Bytes of one header block; a real channel has about 6,000."""
MAX_BODY: Final = 1024 * 1024
SHORT: Final = 64
"""Bytes of a block that is kept once it was read: nearly every reply is one of a few."""

COMMAND_REPLY: Final = "command/reply"
API_RESPONSE: Final = "api/response"
AUTH_REQUEST: Final = "auth/request"
DISCONNECT: Final = "text/disconnect-notice"
REJECTED: Final = "text/rude-rejection"
_CHANNEL: Final = b"Event-Name: CHANNEL_DATA"


class Event(Protocol):
    """Something that happened in FreeSWITCH, in whichever format it was sent."""

    def get(self, name: str, default: str = "") -> str:
        """One header, decoded."""
        ...


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
        """The first header of that name, decoded."""
        value = self._held(name)
        return default if value is None else decode(value)

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


class Message(Headers):
    """A whole message: its headers and its body, which is empty when it has none."""

    __slots__ = ("body", "content_type")

    def __init__(
        self,
        block: bytes,
        body: bytes = b"",
        fields: Fields | None = None,
        values: dict[str, str] | None = None,
    ) -> None:
        super().__init__(block, fields, values)
        self.body = body
        self.content_type = self.get("Content-Type")

    @property
    def ok(self) -> bool:
        """Whether a reply or response says that the command was accepted."""
        said = self.body if self.content_type == API_RESPONSE else None
        text = said.decode("utf-8", "replace") if said is not None else self.get("Reply-Text")
        return not text.startswith("-")

    def event(self) -> Event:
        """The event in the body of ``text/event-plain``, ``-json`` or ``-xml``.

        Raises:
            Malformed: the body is no event of the format that it claims.
        """
        try:
            reader = _EVENTS[self.content_type]
        except KeyError:
            raise Malformed(f"{self.content_type or 'a message'} carries no event") from None
        return reader(self.body)


@lru_cache(maxsize=128)
def _short_message(block: bytes, *, fields: Fields | None) -> Message:
    """A message without a body; the same one for the same block."""
    return Message(block, fields=fields)


class _Values:
    """An event of named texts."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def get(self, name: str, default: str = "") -> str:
        return self._values.get(name, default)


def _plain(body: bytes) -> Event:
    block, _, inner = body.partition(b"\n\n")
    return Message(block, inner)


def _json(body: bytes) -> Event:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("an event that is not JSON") from None
    if not isinstance(values, dict):
        raise Malformed("an event that is no JSON object")
    return _Values({name: value for name, value in values.items() if isinstance(value, str)})


def _xml(body: bytes) -> Event:
    if b"<!" in body.replace(b"\0", b""):  # in UTF-16 too
        raise Malformed("an event with a document type; FreeSWITCH sends none")
    try:
        headers = ElementTree.fromstring(body).find("headers")
    except (ElementTree.ParseError, ValueError):
        raise Malformed("an event that is not XML") from None
    if headers is None:
        raise Malformed("an XML event without headers")
    return _Values({item.tag: unquote(item.text or "", errors="replace") for item in headers})


_EVENTS: Final = {
    "text/event-plain": _plain,
    "text/event-json": _json,
    "text/event-xml": _xml,
}


class EslReader:
    """Cuts a stream into messages. Feed it with ``receive``; ``next_message`` until None.

    ``fields`` are the headers that will be read of them, if that is known.
    """

    __slots__ = ("_body_size", "_buffer", "_fields", "_max_body", "_message")

    def __init__(
        self,
        *,
        max_block: int = MAX_BLOCK,
        max_body: int = MAX_BODY,
        fields: Fields | None = None,
    ) -> None:
        self._max_body = max_body
        self._fields = fields
        self._buffer = Buffer(max_block)
        self._message: Message | None = None  # whose headers are here, and not yet its body
        self._body_size = 0

    @property
    def begun(self) -> bool:
        """Whether part of a message is waiting for the rest of it."""
        return self._message is not None or len(self._buffer) > 0

    @property
    def head(self) -> Headers:
        """The headers that have arrived whole of a message that has not: for the record of it."""
        if self._message is not None:
            return self._message
        return Headers(self._buffer.head().rpartition(b"\n")[0])

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._buffer.extend(data)

    def at_once(self, data: bytes) -> Message | None:
        """The one message that these bytes are and nothing else; None when they are not taken.

        A short way past ``receive`` and ``next_message``, which take whatever this does not.
        """
        fields = self._fields
        whole = fields is not None and data.endswith(b"\n\n") and not self.begun
        if not whole or fields is None or len(data) > self._buffer.limit:
            return None
        block = data[:-2]
        values = fields.pick_at_once(block.decode("latin-1"))
        return None if values is None else Message(block, fields=fields, values=values)

    def next_message(self) -> Message | None:
        """The next whole message; None until more bytes arrive.

        Raises:
            RemoteProtocolError: a block or body passes its bound, or a length is no number.
        """
        message = self._message or self._take_head()
        if message is None or len(self._buffer) < self._body_size:
            return None
        if self._body_size:
            message.body = self._buffer.take_bytes(self._body_size)
        self._message = None
        return message

    def _take_head(self) -> Message | None:
        self._buffer.skip_newlines()  # a blank line too many between two messages
        block = self._buffer.take(b"\n\n")
        if block is None:
            return None
        make = _short_message if len(block) <= SHORT else Message
        self._message = message = make(block, fields=self._fields)
        self._body_size = self._length(message)
        if self._body_size:
            self._message = message = Message(block, fields=self._fields)
        return message

    def _length(self, message: Message) -> int:
        text = message.raw("Content-Length")
        if text is None:
            return 0
        text = text.strip()
        if not text.isdigit() or len(text) > 10:
            raise Malformed("a Content-Length that is no number")
        if int(text) > self._max_body:
            raise TooLong(f"a body of {int(text)} bytes")
        return int(text)
