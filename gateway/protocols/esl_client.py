"""The client's side of FreeSWITCH's inbound event socket, without I/O.

FreeSWITCH greets with ``auth/request``; from then on every command has exactly one reply, in the
order of the commands (mod_event_socket.c), and events come in between.

Rule 1: replies are matched by order alone. A reply that nobody waits for ends the session: from
there on every answer would be taken for that to another command.
Rule 2: a command stays in the queue until its reply has come, also when whoever sent it has given
up waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.errors import Malformed
from gateway.protocols.esl import (
    API_RESPONSE,
    AUTH_REQUEST,
    COMMAND_REPLY,
    DISCONNECT,
    REJECTED,
    EslReader,
    Message,
)
from gateway.protocols.esl_headers import Headers

MAX_REPLY: Final = 16 * 1024 * 1024
"""Bytes of one reply: the list of all channels has about 1,300 for each, so 12,000 of them: past
what one FreeSWITCH carries, and held twice while it is read."""
EVENT: Final = "text/event-plain"


@dataclass(frozen=True, slots=True)
class Greeted:
    """FreeSWITCH asks for the password."""


@dataclass(frozen=True, slots=True)
class Replied:
    """The reply to the command that was sent with this token."""

    token: object
    message: Message


@dataclass(frozen=True, slots=True)
class Happened:
    """An event; its values are decoded when they are read."""

    event: Headers


@dataclass(frozen=True, slots=True)
class Closing:
    """FreeSWITCH ends the session. ``refused``: its access list does not have us."""

    refused: bool


ClientEvent = Greeted | Replied | Happened | Closing


class EslClient:
    """One session. ``send`` gives the bytes to write, ``receive`` what the peer's bytes mean."""

    __slots__ = ("_reader", "_waiting")

    def __init__(self, *, max_reply: int = MAX_REPLY) -> None:
        self._reader = EslReader(max_body=max_reply)
        self._waiting: deque[object] = deque()

    @property
    def waiting(self) -> int:
        """How many commands have no reply yet."""
        return len(self._waiting)

    def send(self, command: bytes, token: object) -> bytes:
        """Take note of a command, which must be whole; its bytes."""
        self._waiting.append(token)
        return command

    def receive(self, data: bytes) -> Iterator[ClientEvent]:
        """What these bytes complete, in order.

        Raises:
            RemoteProtocolError: no FreeSWITCH sends this; the session cannot go on.
        """
        self._reader.receive(data)
        while (message := self._reader.next_message()) is not None:
            if (event := self._understood(message)) is not None:
                yield event

    def _understood(self, message: Message) -> ClientEvent | None:
        match message.content_type:
            case kind if kind == EVENT:
                block = message.body.partition(b"\n\n")[0]
                return Happened(Headers(block))
            case kind if kind in (COMMAND_REPLY, API_RESPONSE):
                if not self._waiting:
                    raise Malformed("a reply to no command")
                return Replied(self._waiting.popleft(), message)
            case kind if kind == AUTH_REQUEST:
                return Greeted()
            case kind if kind in (DISCONNECT, REJECTED):
                return Closing(kind == REJECTED)
        return None
