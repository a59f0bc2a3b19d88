"""FreeSWITCH's event socket without I/O: bytes in, messages out; both ends of it.

A message is a block of ``Name: value`` lines, a blank line, and as many bytes of body as its
``Content-Length`` says (mod_event_socket.c).

Rule 1: what is in a header block is for ``esl_headers`` to say, which decodes nothing that nobody
reads.
Rule 2: every buffer is bounded, and the messages depend on the bytes alone, never on their cuts.
Rule 3: what nearly every call consists of, a whole channel in one read and short replies, is told
apart in that same pass, or was read before. Whatever is not, goes the careful way, which gives the
same messages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Protocol
from urllib.parse import unquote
from xml.etree import ElementTree

from gateway.errors import Malformed, TooLong
from gateway.protocols.buffer import Buffer
from gateway.protocols.esl_headers import Fields, Headers

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


class Event(Protocol):
    """Something that happened in FreeSWITCH, in whichever format it was sent."""

    def get(self, name: str, default: str = "") -> str:
        """One header, decoded."""
        ...


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
