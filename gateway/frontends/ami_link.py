"""One session with Asterisk's manager interface through panoramisk, which is kept on a short lead.

panoramisk gives us actions, replies, lists and events. What it would do besides was seen to go
wrong, so here:

Rule 1: a session is one connection with one manager of its own. panoramisk never connects by
itself, so it never sends again what was written before a drop (a second ``Originate`` is a second
call) and ``close`` is final.
Rule 2: it gets whole messages, one at a time, behind a guard: neither a character that two reads
cut apart nor an exception, its own or a callback's, touches the link.
Rule 3: every action has a deadline, the login too, and what is too late is forgotten. Who waits
when the link ends is told at once. A guard asks for its channels again and again: a link that
does not answer is dead.
Rule 4: lines that a caller wrote into a message do not make another of it for panoramisk.
Rule 5: no value holds a line end or NUL: it would be a second action. ``Originate`` is always
``Async``: without it, panoramisk drops the link at the answer and Asterisk serves nobody meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Container, Mapping
from importlib import import_module
from typing import Any, Final

from gateway.errors import LinkError, LinkRefused, LocalProtocolError, TooLong
from gateway.frontends.link import Link
from gateway.logs import Seldom
from gateway.pbx.legs import NAMES
from gateway.protocols.buffer import Buffer

log = logging.getLogger(__name__)

MISSING: Final = "panoramisk is not installed: pip install 'callgate[ami]'"
MAX_MESSAGE: Final = 256 * 1024
"""Bytes of one message. ListCommands, the longest, has about 10,000."""
MAX_ANSWERS: Final = 8 * 1024 * 1024
"""Bytes of the answers to the actions under way. A Status has about 1,000 for each channel, so
8,000 of them, of which panoramisk makes 75 MB."""
_END: Final = b"\r\n\r\n"
_LINE_END: Final = "\r\n"
_KINDS: Final = ("Event", "Response", "SubEvent")
_SPELT: Final = {name.lower(): name for name in (*_KINDS, "ActionID", *NAMES)}
_is_name = re.compile(r"[A-Za-z][A-Za-z0-9-]*").fullmatch
_ends_line = re.compile(r"[\r\n\0]").search

Event = Mapping[str, object]
Values = Mapping[str, str]


def panoramisk() -> Any:
    """The library, which only a guard of Asterisk needs. LinkRefused when it is not installed."""
    try:
        return import_module("panoramisk")
    except ImportError:
        raise LinkRefused(MISSING) from None


_is_shutdown = re.compile(rb"^[ \t]*event[ \t]*:[ \t]*shutdown[ \t]*\r?$", re.I | re.M).search
_is_answer = re.compile(rb"^ActionID:", re.I | re.M).search


class AmiLink(Link[Event]):
    """A session. ``ended`` is done, with the reason, once it is over."""

    def __init__(self, on_event: Callable[[Event], None], deadline: float) -> None:
        super().__init__(on_event, deadline)
        self._buffer = Buffer(MAX_MESSAGE)
        self._greeted = False
        self._seldom = Seldom(log)
        self._under_way = 0
        self._answered = 0
        loop, library = asyncio.get_running_loop(), panoramisk()
        self._let_in: asyncio.Future[None] = loop.create_future()
        self._manager: Any = library.Manager(loop=loop, log=logging.getLogger("panoramisk"))
        self._manager.callbacks.clear()
        self._manager.patterns.clear()
        self._manager.connection_lost = lambda _: self.end("Asterisk shuts down")
        self._manager.register_event("*", lambda _, event: self.happened(event))
        self._protocol: Any = import_module("panoramisk.ami_protocol").AMIProtocol()

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        username: str,
        secret: str,
        *,
        on_event: Callable[[Event], None],
        deadline: float,
    ) -> AmiLink:
        """A session that is logged in. LinkError, or LinkRefused for a wrong secret."""
        link = cls(on_event, deadline)
        await link.begin(host, port, username, secret)
        return link

    async def log_in(self, *credentials: str) -> None:
        """With a username and a secret, for the events of calls."""
        username, secret = credentials
        login = {"Username": username, "Secret": secret, "Events": "call"}
        answer = await self.action("Login", login)
        if not answer[0].success:
            raise LinkRefused(f"the login failed: {answer[0].message}")
        self._let_in.set_result(None)

    async def action(self, name: str, values: Values | None = None) -> list[Any]:
        """Send an action, once we are let in; its reply, or for a list the reply and its events.

        LinkError when nothing comes in time, LocalProtocolError for what must not be sent.
        """
        values = {"Action": name, **(values or {})}
        for key, value in values.items():
            if not _is_name(key) or _ends_line(value):
                raise LocalProtocolError(f"not a line of an action: {key!r}: {value!r}")
        as_list = None
        if name.lower() == "originate":
            values = {key: value for key, value in values.items() if key.lower() != "async"}
            values["Async"] = "true"
            as_list = False  # that it was queued is the reply; how it went is an event
        action = self._made(values)
        try:
            if name != "Login" and not self._let_in.done():
                await self.wait(self._let_in)
            if self.ended.done():
                raise LinkError(f"the manager interface is closed: {self.ended.result()}")
            return await self._answer(action, as_list)
        except TimeoutError:
            raise LinkError(f"it did not answer {name} within {self.deadline:g} s") from None

    async def _answer(self, action: Any, as_list: bool | None) -> list[Any]:
        self._under_way += 1
        future: asyncio.Future[Any] = self._manager.send_action(action, as_list=as_list)
        try:
            answer = await self.wait(future)
            return answer if isinstance(answer, list) else [answer]
        finally:
            self._protocol.responses.pop(action.id, None)
            future.cancel()
            self._under_way -= 1
            if not self._under_way:
                self._answered = 0

    def end(self, why: str) -> None:
        self._protocol.closed = True  # so that it begins nothing of its own
        super().end(why)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._protocol.connection_made(transport)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.set_result((transport, self._protocol))
        self._manager.connection_made(done)
        self._manager.pinger.cancel()
        self._manager.pinger = None

    def data_received(self, data: bytes) -> None:
        self._buffer.extend(data)
        try:
            while not self.ended.done() and (message := self._next()) is not None:
                self._give(message)
        except TooLong as error:
            self.end(f"it sent a message without an end: {error}")

    def _next(self) -> bytes | None:
        if not self._greeted:
            if self._buffer.take(b"\r\n") is None:
                return None
            self._greeted = True
        return self._buffer.take(_END)

    def _give(self, message: bytes) -> None:
        if _is_shutdown(message):
            return None  # a caller's number can hold one, and a real one is followed by the end
        if _is_answer(message):
            self._answered += len(message)
            if self._answered > MAX_ANSWERS:
                return self.end(f"it sent more than a guard takes: {MAX_ANSWERS} bytes of answers")
        text = written_by_asterisk(message.decode("utf-8", "ignore"), self._protocol.responses)
        try:
            self._protocol.data_received(text.encode() + _END)
        except Exception as error:
            self._seldom.warning("a message of Asterisk could not be used: %r", error)

    def _made(self, values: Values) -> Any:
        return import_module("panoramisk.actions").Action(dict(values))


def written_by_asterisk(message: str, actions: Container[str]) -> str:
    """A message without the lines by which a caller's number, line ends in it, changes its kind.

    What a message is, its first line says; an answer names one of our ``actions``; and Asterisk
    spells a name in one way, while panoramisk takes any letters for it and the last to come.
    """
    first, *rest = message.lstrip().split(_LINE_END)
    kept = [first]
    for line in rest:
        name, _, value = line.partition(": ")
        is_forged = (
            name in _KINDS
            or (name == "ActionID" and value not in actions)
            or _SPELT.get(name.lower(), name) != name
        )
        if not is_forged:
            kept.append(line)
    return _LINE_END.join(kept)
