"""FreeSWITCH's outbound event socket: it connects, is asked about its call, is told the verdict.

Rule 1: we speak first, and nothing but ``connect``: any other first command hangs the channel.
Rule 2: an answer is one write: the variables, ``resume`` if the channel needs it, and ``exit``. A
sync socket is stuck in CS_RESET for ever after ``resume``. An async one needs it unless it has
``socket_resume``, and then must not get it: a ``resume`` that comes after the dialplan gave up
waiting tears down the bridge of a live call and leaves its caller in silence. Whose dialplan gave
up before it was asked for its channel is told nothing.
Rule 3: no call stays parked because of us. A connection is closed before ``connect`` was answered
only when its time is up; where there is no answer in time, the channel is let go without one.
Rule 4: the delivery of an attempt is told once: ``confirmed`` when FreeSWITCH's reply was read,
``sent`` when the answer left and no reply came in time (or the caller hung up), ``lost`` when the
peer was gone before the answer, closed without a reply, or would not run the command;
``reported`` always for a call that had happened before.
Rule 5: where no dialplan can act, we do: a leg that ``execute_on_originate`` stopped before its
INVITE is hung up here when it is blocked, and marked when it is not, so that no guard asks again.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from gateway.attempts.model import Delivery
from gateway.errors import RemoteProtocolError, TooLong
from gateway.frontends.connection import Owner
from gateway.frontends.session import MOST_LOGGED, Frontend, Screened, Session
from gateway.pbx import freeswitch
from gateway.pbx.request import ScreenRequest
from gateway.policy.model import Action
from gateway.protocols.esl import COMMAND_REPLY, DISCONNECT, EslReader, Message
from gateway.protocols.esl_command import CONNECT, EXIT, REJECT, RESUME
from gateway.protocols.esl_headers import Headers

log = logging.getLogger(__name__)

MAX_CHANNEL: Final = 256 * 1024
"""Bytes of a channel's data: about 6,000 for a phone, ten times that for a browser's SDP."""
MAX_MESSAGES: Final = 100
"""Messages of one channel that are read: a real one has four, and some events if it lingers."""


class _Session(Session):
    """One channel of FreeSWITCH's: its data, one answer, its replies."""

    _channel: Headers | None = None
    _undecided = False
    _why_hostile = ""
    _hung_up = False
    _heard = 0
    _deaf = False

    def __init__(self, frontend: Frontend, owner: Owner, fd: int, peer: object, due: float) -> None:
        super().__init__(frontend, owner, fd, peer, due)
        self._reader = EslReader(max_block=MAX_CHANNEL, fields=freeswitch.FIELDS)

    def opened(self) -> None:
        self.send(CONNECT)

    def received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._channel is None and (channel := self._reader.at_once(data)) is not None:
            self._heard += 1
            self._on_message(channel)
        else:
            self._read_on(data)
        if self._undecided and self._channel is not None:
            # Only now is it known that nothing but the channel came before our answer.
            self._undecided = False
            self._decide(self._channel)

    def _read_on(self, data: bytes) -> None:
        """Bytes that are no whole channel, or more than one."""
        self._reader.receive(data)
        try:
            while (message := self._reader.next_message()) is not None:
                self._on_message(message)
                self._heard += 1
                self._deaf = self._deaf or self._heard == MAX_MESSAGES
                if not self.live or self._deaf:
                    break
        except RemoteProtocolError as error:
            self._on_nonsense(error)

    def ended(self) -> None:
        self.unanswered("gone")
        sent = self._written and (self._hung_up or self._deaf)
        self.settle(Delivery.SENT if sent else Delivery.LOST)
        self._pending = None

    def expired(self) -> None:
        if self._channel is None or self._written:
            self.give_up("half" if self._reader.begun else "silent")
            return
        self.unanswered("held")
        self.settle(Delivery.LOST)
        self._pending = None
        self.send(self._let_go(self._channel))

    def answer(self, screened: Screened) -> bytes:
        channel = self._channel
        assert channel is not None
        if freeswitch.gave_up(channel):
            self.settle(Delivery.LOST)
            return EXIT
        verdict = screened.verdict
        leg = freeswitch.is_leg(channel)
        told = freeswitch.command(verdict, screened.attempt_id, leg=leg)
        if leg and verdict.action is Action.BLOCK:
            told += REJECT
        return told + self._let_go(channel)

    def _let_go(self, channel: Headers) -> bytes:
        """What makes the channel go on in its dialplan."""
        return RESUME + EXIT if freeswitch.needs_resume(channel) else EXIT

    def _on_message(self, message: Message) -> None:
        if message.content_type == DISCONNECT and not message.is_channel:
            self._on_disconnect()
        elif self._channel is None:
            self._on_first(message)
        elif not self._written:
            self._turn_hostile("bytes before our answer")
        elif message.content_type == COMMAND_REPLY:
            self._on_reply(message)

    def _on_first(self, message: Message) -> None:
        if message.is_channel:
            self._channel, self._undecided = message, True
        else:
            self.give_up("garbage")

    def _on_disconnect(self) -> None:
        self._hung_up = True
        if self._written:
            self.settle(Delivery.SENT)
        self.close()

    def _on_reply(self, reply: Message) -> None:
        """The first reply is that to our variables; what it says stands."""
        if not reply.ok:
            said = reply.get("Reply-Text")[:MOST_LOGGED]
            self._frontend.seldom.warning("FreeSWITCH refused a command: %s", said)
        self.settle(Delivery.CONFIRMED if reply.ok else Delivery.LOST)

    def _on_nonsense(self, error: RemoteProtocolError) -> None:
        too_long = isinstance(error, TooLong)
        head = self._reader.head
        if self._written or (self._channel is None and not head.is_channel):
            self.give_up("too_long" if too_long else "garbage")
            return
        # A caller can make a channel too long, and whoever has told a channel is answered: a length
        # that is a lie must be no way to the outage branch either.
        self._deaf = True
        self._channel = self._channel or head
        self._turn_hostile(str(error))

    def _turn_hostile(self, why: str) -> None:
        if not self._why_hostile:
            self._why_hostile, self._undecided = why, True

    def _decide(self, channel: Headers) -> None:
        started, at = time.perf_counter(), time.time()
        if not self._why_hostile:
            request = freeswitch.read_request(channel, at=at)
            self._report = isinstance(request, ScreenRequest) and request.report
            self.screen(request, started)
            return
        # A verdict that was still waiting to be written is no longer this peer's.
        self.settle(Delivery.LOST)
        self._report = False
        self.screen(freeswitch.refused(channel, self._why_hostile, at=at), started)


class EslOutbound(Frontend):
    """The outbound socket listener of one process."""

    name = "esl"
    serve = _Session
    farewell = CONNECT + EXIT
