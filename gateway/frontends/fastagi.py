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
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Unpack

from gateway.attempts.model import Delivery
from gateway.errors import RemoteProtocolError, TooLong
from gateway.frontends.connection import Owner
from gateway.frontends.session import MOST_LOGGED, Bounds, Frontend, Screened, Screener, Session
from gateway.pbx import asterisk
from gateway.pbx.asterisk import EntryRequest, ProbeRequest
from gateway.pbx.request import ScreenRequest
from gateway.protocols.agi import NEED_DATA, AgiServer, Event, Hostile
from gateway.protocols.agi_environment import Request
from gateway.protocols.agi_reply import Hangup, Reply

log = logging.getLogger(__name__)

REFUSED: Final = "refused"
"""The status of a star code that was not carried out."""

Entries = Callable[[EntryRequest], Awaitable[str]]
"""Carries out a star code; gives ``added``, ``exists``, ``removed``, ``absent`` or ``refused``."""


class _Session(Session):
    """One connection of Asterisk's: one request, one answer."""

    _request: Request | None = None
    _channel = ""
    _hostile = False
    _hung_up = False

    def __init__(self, service: FastAgi, owner: Owner, fd: int, peer: object, due: float) -> None:
        super().__init__(service, owner, fd, peer, due)
        self._service = service
        self._agi = AgiServer()

    def received(self, data: bytes) -> None:
        event = self._agi.at_once(data)
        if event is None:
            self._read_on(data)
        elif type(event) is Request:
            self._channel = event.unique_id
            self._on_request(event)
        else:
            self._on_event(event)

    def _read_on(self, data: bytes) -> None:
        """Bytes that are no whole event, or more than one."""
        if self._hostile and not self._written:
            return  # nothing counts before its answer, least of all that it is too much
        self._agi.receive(data)
        try:
            while (event := self._agi.next_event()) is not NEED_DATA:
                self._on_event(event)
                if self._hostile and not self._written:
                    break
        except RemoteProtocolError as error:
            self.give_up("too_long" if isinstance(error, TooLong) else "garbage")
        if self._request is not None and self.live:
            # Only now is it known that nothing followed the environment.
            request, self._request = self._request, None
            self._on_request(request)

    def finished(self) -> None:
        reply = self._agi.receive_eof()
        if isinstance(reply, Reply):
            self._on_reply(reply)
        elif self._hostile and self._written:
            self.settle(Delivery.SENT)

    def ended(self) -> None:
        self.unanswered("gone")
        self.settle(Delivery.SENT if self._written and self._hung_up else Delivery.LOST)
        self._pending = None

    def expired(self) -> None:
        waiting = "held" if self._pending is not None else "silent"
        self.give_up("half" if self._agi.begun else waiting)

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
        if isinstance(request, ScreenRequest):
            self._report = request.report
            self.screen(request, started)
        elif isinstance(request, ProbeRequest):
            self._tell_status("ok")
        elif isinstance(request, EntryRequest):
            self._change(request)
        else:
            self.screen(request, started)

    def _on_hostile(self, event: Hostile) -> None:
        self._request, self._hostile = None, True
        # A verdict that was still waiting to be written is no longer this peer's.
        self.settle(Delivery.LOST)
        self._report = False
        request = asterisk.refused(event.path, event.why, at=time.time(), channel_id=self._channel)
        self.screen(request, time.perf_counter())

    def _change(self, request: EntryRequest) -> None:
        task = self._service.change(request)
        if task is None:
            self._tell_status(REFUSED)
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
            self._tell_status(status)

    def _tell_status(self, text: str) -> None:
        self.write(self._agi.command(asterisk.status(text)))

    def answer(self, screened: Screened) -> bytes:
        return self._agi.send(asterisk.command(screened.verdict, screened.attempt_id))

    def write(self, answer: bytes) -> None:
        super().write(answer)
        if self._hostile and self._written:
            self.send_end()

    def _on_reply(self, reply: Reply) -> None:
        if not reply.done:
            self._frontend.seldom.warning(
                "Asterisk did not set the variables: %d %s", reply.code, reply.result[:MOST_LOGGED]
            )
        self.settle(Delivery.CONFIRMED if reply.done else Delivery.LOST)
        self.close()


class FastAgi(Frontend):
    """The FastAGI listener of one process. Star codes need a ``secret``."""

    name = "agi"
    serve = _Session

    def __init__(
        self, screener: Screener, *, entries: Entries | None = None, **bounds: Unpack[Bounds]
    ) -> None:
        super().__init__(screener, **bounds)
        self._entries = entries

    def change(self, request: EntryRequest) -> asyncio.Future[str] | None:
        """Start to carry out a star code; None when it is refused outright."""
        if self._entries is None or not self.knows(request.key):
            return None
        return self.keep(asyncio.ensure_future(self._entries(request)))
