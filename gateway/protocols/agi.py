"""The server's side of AGI: bytes in, events out. No sockets, clocks or logs here.

Asterisk sends an environment, a blank line, and then answers one command at a time.

Rule 1: the facts of a call are in the URL, on lines 2 and 3, before any byte of the caller's.
Lines from ``agi_callerid`` on can hold what a caller wrote, newlines and blank lines included
(a ``From`` with ``%0A``): their keys are checked, their values are never handed out.
Rule 2: an environment whose keys are not exactly Asterisk's, in order, is hostile, and so are
bytes after it before our first command. After that nothing of it is trusted but its URL.
Rule 3: a peer whose first line is not Asterisk's is not Asterisk: an error, not an event.
Rule 4: the events depend on the bytes alone, never on how they were cut into reads.
Rule 5: one command is in flight at a time: Asterisk stalls on a second one.
Rule 6: what nearly every call consists of, an honest environment (once its end has come) and a
plain reply in one read, is recognised whole (1.5 us where reading line by line takes 10). Whatever
is not, goes the careful way, which gives the same events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from gateway.errors import LocalProtocolError, Malformed, TooLong
from gateway.protocols.agi_command import mset
from gateway.protocols.agi_environment import (
    FIRST_LINE,
    MAX_ENVIRONMENT,
    Request,
    fault_of,
    path_of,
    request_of,
    request_on,
)
from gateway.protocols.agi_reply import HANGUP, Hangup, Reply, ReplyReader
from gateway.protocols.buffer import Buffer

MAX_REPLY_LINE: Final = 4096
MAX_HANGUPS: Final = 16
"""How often a caller may hang up: Asterisk can say so twice. Each one more costs us time."""
MAX_AFTER: Final = 64 * 1024
"""Bytes read after the environment in all: replies, or what follows a hostile environment."""

_REPLIES: Final = {b"200 result=%d\n" % result: Reply(200, str(result)) for result in (0, 1)}


class NeedData(Enum):
    """No event until more bytes arrive."""

    NEED_DATA = auto()


NEED_DATA: Final = NeedData.NEED_DATA


@dataclass(frozen=True, slots=True)
class Hostile:
    """What no Asterisk with an honest caller sends. ``path`` is empty when no URL was whole."""

    why: str
    path: str = ""


Event = Request | Hostile | Reply | Hangup | NeedData


class _State(Enum):
    ENVIRONMENT = auto()
    REQUESTED = auto()  # a whole environment was read; a command is ours to send
    WAITING = auto()  # our command is out
    HOSTILE = auto()  # nothing is believed any more but the very last line
    DONE = auto()


_ENVIRONMENT, _REQUESTED, _WAITING = _State.ENVIRONMENT, _State.REQUESTED, _State.WAITING
_OUR_TURN: Final = (_State.REQUESTED, _State.HOSTILE)
_NOTHING: Final = Buffer(MAX_ENVIRONMENT)
"""What every session begins with: most of them never keep a byte."""


class AgiServer:
    """One AGI session as its server sees it.

    Feed it with ``receive`` (and ``receive_eof``), call ``next_event`` until it returns
    ``NEED_DATA``, and write what ``command`` returns in one write.
    """

    _state = _State.ENVIRONMENT
    _buffer = _NOTHING
    _replies: ReplyReader | None = None
    _path = ""
    _after = 0
    _hangups = 0
    _sent = False

    @property
    def begun(self) -> bool:
        """Whether any byte of an environment is waiting for the rest of it."""
        return self._state is _State.ENVIRONMENT and len(self._buffer) > 0

    def at_once(self, data: bytes) -> Request | Reply | None:
        """The one event that these bytes are and nothing else; None when they are not taken.

        A short way past ``receive`` and ``next_event``, which take whatever this does not.
        """
        if self._state is _ENVIRONMENT:
            whole = data if self._buffer is _NOTHING else self._ended_by(data)
            request = request_of(whole)
            if request is not None:
                self._state = _REQUESTED
                self._path = request.path
                self._buffer, self._after = _NOTHING, 0
            return request
        if self._buffer is not _NOTHING:
            return None
        if self._state is _WAITING and (reply := _REPLIES.get(data)) is not None:
            self._state = _State.DONE
            self._after = len(data)
            return reply
        return None

    def _ended_by(self, data: bytes) -> bytes:
        """The environment whose pieces end with this one; empty when it does not end it.

        Asterisk writes each line by itself, and the empty one.
        """
        begun = self._buffer
        ends = data.endswith(b"\n\n") or (data == b"\n" and begun.endswith(b"\n"))
        return begun.head() + data if ends else b""

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._after += len(data)
        if self._buffer is _NOTHING:
            self._buffer = Buffer(
                MAX_REPLY_LINE if self._state is _State.WAITING else MAX_ENVIRONMENT
            )
        self._buffer.extend(data)

    def next_event(self) -> Event:
        """The next event, or ``NEED_DATA``.

        Raises:
            RemoteProtocolError: this peer is not Asterisk, or not in its senses.
        """
        event: Event = NEED_DATA
        if self._state is _State.ENVIRONMENT:
            return self._next_environment()
        if self._state is _State.WAITING:
            event = self._next_reply()
        elif self._state is _State.REQUESTED and len(self._buffer):
            event = self._early()
        if event is NEED_DATA and self._after > MAX_AFTER:
            raise TooLong(f"more than {MAX_AFTER} bytes after the environment")
        return event

    def receive_eof(self) -> Event:
        """The peer has closed: the reply that a hostile session ended with, if it is one.

        A forged environment puts lines of the caller's before the reply to our command, so only
        the last line can be that reply. Otherwise ``NEED_DATA``: there is none.
        """
        if self._state is not _State.HOSTILE or not self._sent:
            return NEED_DATA
        self._state = _State.DONE
        lines = [line for line in self._buffer.drain().split(b"\n")[-8:] if line != HANGUP]
        if len(lines) < 2 or lines[-1]:
            return NEED_DATA
        try:
            return ReplyReader().read(lines[-2]) or NEED_DATA
        except Malformed:
            return NEED_DATA

    def command(self, values: Mapping[str, str]) -> bytes:
        """The line that sets these variables, for one single write.

        Raises:
            LocalProtocolError: it is not our turn, or ``mset`` refuses the values.
        """
        return self.send(mset(values))

    def send(self, line: bytes) -> bytes:
        """A line of ``mset``'s, which goes out now.

        Raises:
            LocalProtocolError: it is not our turn.
        """
        if self._sent or self._state not in _OUR_TURN:
            raise LocalProtocolError("a command is sent once, after the environment")
        self._sent = True
        if self._state is _State.HOSTILE:
            self._buffer.drain()  # no reply comes before its command
        else:
            self._state = _State.WAITING
            if self._buffer is not _NOTHING:
                self._buffer.limit = MAX_REPLY_LINE
        return line

    def _next_environment(self) -> Event:
        if not self._buffer.startswith(FIRST_LINE):
            raise Malformed("not the first line of an AGI environment")
        try:
            block = self._buffer.take(b"\n\n")
        except TooLong as error:
            return self._oversize(error)
        if block is None:
            return NEED_DATA
        self._after = len(self._buffer)
        return self._read(block)

    def _read(self, block: bytes) -> Event:
        lines = block.split(b"\n")
        path = path_of(lines)
        if path is None:
            return self._hostile("no URL that its two lines agree on")
        self._path = path
        fault = "a NUL" if b"\0" in block else fault_of(lines)
        if fault:
            return self._hostile(fault)
        self._state = _State.REQUESTED
        return request_on(path, lines)

    def _oversize(self, error: TooLong) -> Event:
        # A caller can make an environment long (Diversion has no bound), so a peer that has
        # named its call is blocked; it must not reach the outage branch that way.
        path = path_of(self._buffer.head().split(b"\n")[:-1])
        if path is None:
            raise error
        self._path = path
        return self._hostile(str(error))

    def _early(self) -> Event:
        """Bytes between the environment and our command: a hangup, or hostile."""
        if not self._buffer.startswith(HANGUP + b"\n") or self._hangups == MAX_HANGUPS:
            return self._hostile("bytes between the environment and the first command")
        if len(self._buffer) <= len(HANGUP):
            return NEED_DATA
        self._buffer.take(b"\n")
        self._hangups += 1
        return Hangup()

    def _hostile(self, why: str) -> Hostile:
        self._state = _State.HOSTILE
        return Hostile(why, self._path)

    def _next_reply(self) -> Event:
        while (line := self._buffer.take(b"\n")) is not None:
            if self._replies is None:
                self._replies = ReplyReader()
            event = self._replies.read(line)
            if isinstance(event, Reply):
                self._state = _State.DONE
            elif isinstance(event, Hangup):
                self._hangups += 1
                if self._hangups > MAX_HANGUPS:
                    raise Malformed(f"more than {MAX_HANGUPS} hangups")
            if event is not None:
                return event
        return NEED_DATA
