"""FastAGI: Asterisk connects, tells about a call, is told the verdict in one command.

Rule 1: a peer that sends nothing, half an environment, or bytes of another protocol gets no
answer and leaves no attempt; it is counted. Everybody who has named a call is answered.
Rule 2: an answer is one write of one whole line, after the attempt stands in the journal.
Rule 3: the delivery of an attempt is told once: ``confirmed`` when Asterisk's reply was read,
``sent`` when the answer left and the reply did not come in time (or the caller hung up), ``lost``
when the peer was gone before the answer, closed without a reply, or would not run the command,
``reported`` always for a call that had happened before.
Rule 4: after a hostile environment our side is closed behind the answer and the peer's bytes are
read to their end: closing with bytes unread resets the connection, and the answer with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from gateway.attempts.model import Delivery
from gateway.calls import Call
from gateway.errors import RemoteProtocolError, TooLong
from gateway.frontends.tcp import Connection, Counters, Listener
from gateway.pbx import asterisk
from gateway.pbx.asterisk import EntryRequest, ProbeRequest
from gateway.pbx.request import Refused, ScreenRequest
from gateway.policy.model import Reason, Verdict
from gateway.protocols.agi import NEED_DATA, AgiServer, Event, Hostile, Request
from gateway.protocols.agi_reply import Hangup, Reply

log = logging.getLogger(__name__)
_T = TypeVar("_T")

FRONTEND: Final = "agi"
REFUSED: Final = "refused"
"""The status of a star code that was not carried out."""


class Screened(Protocol):
    """A verdict and the id of its attempt."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def attempt_id(self) -> str: ...


class Screener(Protocol):
    """What decides and records; ``gateway.screener.Screener`` is one. Nothing of it raises."""

    def screen(self, call: Call, frontend: str, *, started: float | None = None) -> Screened: ...
    def refuse(self, call: Call, frontend: str, reason: Reason, why: str) -> Screened: ...
    def hostile(self, call: Call, frontend: str, why: str) -> Screened: ...
    def delivered(self, attempt_id: str, delivery: Delivery) -> None: ...
    def durable(self) -> Awaitable[None] | None: ...


Entries = Callable[[EntryRequest], Awaitable[str]]
"""Carries out a star code; gives ``added``, ``exists``, ``removed``, ``absent`` or ``refused``."""


class FastAgi:
    """The FastAGI listener of one process.

    ``secret`` must be in the URL of every call when it is set, and star codes need one.
    ``deadline`` is in seconds, from the accept to the close.
    """

    def __init__(
        self,
        screener: Screener,
        *,
        counters: Counters,
        entries: Entries | None = None,
        secret: str = "",
        max_connections: int = 1000,
        deadline: float = 1.0,
    ) -> None:
        self.screener = screener
        self._entries = entries
        self._secret = secret.encode()
        self._tasks: set[asyncio.Future[Any]] = set()
        self.listener = Listener(
            FRONTEND,
            lambda listener: _Session(listener, self),
            counters=counters,
            max_connections=max_connections,
            deadline=deadline,
        )

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that were bound."""
        return self.listener.address

    async def start(
        self, host: str | None = None, port: int = 0, *, sock: socket.socket | None = None
    ) -> None:
        """Listen on an address, or on a socket that is bound already. Raises OSError."""
        await self.listener.start(host, port, sock=sock)

    async def drain(self, bound: float) -> int:
        """Stop accepting, wait ``bound`` seconds for live calls, end the rest; how many."""
        return await self.listener.drain(bound)

    def decide(self, request: ScreenRequest | Refused, started: float) -> Screened:
        """The verdict on a request; only one with the secret reaches the decision."""
        if isinstance(request, Refused):
            return self.screener.hostile(request.call, FRONTEND, request.why)
        if self._secret and not self._knows(request.key):
            why = "the secret is wrong" if request.key else "no secret in the URL"
            return self.screener.refuse(request.call, FRONTEND, Reason.UNAUTHORISED, why)
        return self.screener.screen(request.call, FRONTEND, started=started)

    def change(self, request: EntryRequest) -> asyncio.Future[str] | None:
        """Start to carry out a star code; None when it is refused outright."""
        if self._entries is None or not self._secret or not self._knows(request.key):
            return None
        return self.keep(asyncio.ensure_future(self._entries(request)))

    def keep(self, task: asyncio.Future[_T]) -> asyncio.Future[_T]:
        """Hold on to a task: the loop itself does not."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _knows(self, key: str) -> bool:
        return hmac.compare_digest(key.encode(), self._secret)


class _Session(Connection):
    """One connection of Asterisk's: one request, one answer."""

    def __init__(self, listener: Listener, service: FastAgi) -> None:
        super().__init__(listener)
        self._service = service
        self._agi = AgiServer()
        self._request: Request | None = None
        self._channel = ""
        self._pending: object = None  # what the answer waits for; replaced if turned hostile
        self._attempt = ""
        self._report = False
        self._hostile = False
        self._hung_up = False
        self._written = False
        self._counted = False

    def data_received(self, data: bytes) -> None:
        self._agi.receive(data)
        try:
            while (event := self._agi.next_event()) is not NEED_DATA:
                self._on_event(event)
        except RemoteProtocolError as error:
            self._give_up("too_long" if isinstance(error, TooLong) else "garbage")
        if self._request is not None and not self.transport.is_closing():
            # Only now is it known that nothing followed the environment.
            request, self._request = self._request, None
            self._on_request(request)

    def eof_received(self) -> None:
        reply = self._agi.receive_eof()
        if isinstance(reply, Reply):
            self._on_reply(reply)
        elif self._hostile and self._written:
            self._settle(Delivery.SENT)

    def ended(self) -> None:
        self._unanswered("gone")
        self._settle(Delivery.SENT if self._written and self._hung_up else Delivery.LOST)
        self._pending = None

    def expired(self) -> None:
        waiting = "held" if self._pending is not None else "silent"
        self._give_up("half" if self._agi.begun else waiting)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Request):
            self._request, self._channel = event, event.unique_id
        elif isinstance(event, Reply):
            self._on_reply(event)
        elif isinstance(event, Hangup):
            self._hung_up = True
        elif isinstance(event, Hostile):
            self._on_hostile(event)

    def _on_request(self, event: Request) -> None:
        started = time.perf_counter()
        request = asterisk.read_request(event.path, at=time.time(), channel_id=event.unique_id)
        if isinstance(request, ProbeRequest):
            self._write(asterisk.status("ok"))
        elif isinstance(request, EntryRequest):
            self._change(request)
        else:
            self._report = isinstance(request, ScreenRequest) and request.report
            self._screen(request, started)

    def _on_hostile(self, event: Hostile) -> None:
        self._request, self._hostile = None, True
        # A verdict that was still waiting to be written is no longer this peer's.
        self._settle(Delivery.LOST)
        self._report = False
        request = asterisk.refused(event.path, event.why, at=time.time(), channel_id=self._channel)
        self._screen(request, time.perf_counter())

    def _screen(self, request: ScreenRequest | Refused, started: float) -> None:
        if isinstance(request, Refused):
            peer = self.transport.get_extra_info("peername")
            log.warning("hostile AGI request from %s: %s", peer, request.why)
        screened = self._service.decide(request, started)
        self._attempt = screened.attempt_id
        answer = asterisk.answer(screened.verdict, screened.attempt_id)
        self._pending = answer
        waiting = self._service.screener.durable()
        if waiting is None:
            self._write(answer)
        else:
            task = self._service.keep(asyncio.ensure_future(waiting))
            task.add_done_callback(lambda done: self._synced(done, answer))

    def _synced(self, done: asyncio.Future[None], answer: Mapping[str, str]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("an answer leaves before its attempt is on the disk: %s", error)
        if self._pending is answer:
            self._write(answer)

    def _change(self, request: EntryRequest) -> None:
        task = self._service.change(request)
        if task is None:
            self._write(asterisk.status(REFUSED))
            return
        self._pending = request
        task.add_done_callback(lambda done: self._changed(done, request))

    def _changed(self, done: asyncio.Future[str], request: EntryRequest) -> None:
        status = REFUSED
        if not done.cancelled():
            error = done.exception()
            status = REFUSED if error is not None else done.result()
            if error is not None:
                log.error("a star code failed: %s", error)
        if self._pending is request:
            self._write(asterisk.status(status))

    def _write(self, values: Mapping[str, str]) -> None:
        self._pending = None
        if self.transport.is_closing():
            return
        self.transport.write(self._agi.command(values))
        self._written = True
        if self._hostile:
            with contextlib.suppress(OSError):  # the peer may have reset the connection
                self.transport.write_eof()

    def _on_reply(self, reply: Reply) -> None:
        if not reply.done:
            log.warning("Asterisk did not set the variables: %d %s", reply.code, reply.result)
        self._settle(Delivery.CONFIRMED if reply.done else Delivery.LOST)
        self.transport.close()

    def _settle(self, delivery: Delivery) -> None:
        if self._attempt:
            attempt_id, self._attempt = self._attempt, ""
            told = Delivery.REPORTED if self._report else delivery
            self._service.screener.delivered(attempt_id, told)

    def _give_up(self, cause: str) -> None:
        """End the connection from our side."""
        self._unanswered(cause)
        self._settle(Delivery.SENT if self._written else Delivery.LOST)
        self._pending = None
        self.transport.abort()

    def _unanswered(self, cause: str) -> None:
        if not self._written and not self._counted:
            self._counted = True
            self._listener.unanswered(cause)
