"""One session with FreeSWITCH's inbound event socket: from the connect to whatever ends it.

Rule 1: every step has a deadline: the connect, the greeting, each reply. A reply that is late ends
the session, for the next one might be taken for it.
Rule 2: a session that has ended stays so; whoever waits for a reply is told at once, and nothing
is sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from gateway.errors import LinkError, LinkRefused, RemoteProtocolError, TooLong
from gateway.frontends.tcp import MAX_UNSENT
from gateway.protocols.esl import Headers, Message
from gateway.protocols.esl_client import MAX_REPLY, Closing, EslClient, Greeted, Happened, Replied
from gateway.protocols.esl_command import line

log = logging.getLogger(__name__)
_T = TypeVar("_T")


class EslLink(asyncio.Protocol):
    """A session. ``ended`` is done, with the reason, once it is over."""

    def __init__(self, on_event: Callable[[Headers], None], deadline: float) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = loop.create_future()
        self._on_event = on_event
        self._deadline = deadline
        self._client = EslClient()
        self._greeted: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._refused = False

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        password: str,
        *,
        on_event: Callable[[Headers], None],
        deadline: float,
    ) -> EslLink:
        """Connect and give the password. LinkError, or LinkRefused when it is wrong."""
        link = cls(on_event, deadline)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline):
                await loop.create_connection(lambda: link, host, port)
        except OSError as error:  # TimeoutError is one
            why = str(error) or f"no connection within {deadline:g} s"
            raise LinkError(f"{host}:{port}: {why}") from error
        try:
            await link._wait(link._greeted, "asked for no password")
            reply = await link.command(line(f"auth {password}"))
            if not reply.ok:
                raise LinkRefused("the password is wrong")
        except BaseException:
            link.close()
            raise
        return link

    async def command(self, command: bytes) -> Message:
        """Send one command, made whole, and wait for its reply. LinkError when none comes."""
        if self._transport is None or self.ended.done():
            raise LinkError("the event socket is closed")
        reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._transport.write(self._client.send(command, reply))
        return await self._wait(reply, "did not reply")

    def close(self) -> None:
        """End the session now and for good."""
        self._end("closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MAX_UNSENT)

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._client.receive(data):
                match event:
                    case Happened(headers):
                        self._happened(headers)
                    case Replied(asyncio.Future() as reply, message):
                        if not reply.done():
                            reply.set_result(message)
                    case Greeted():
                        if not self._greeted.done():
                            self._greeted.set_result(None)
                    case Closing(refused):
                        self._refused = refused
                        self._end("its access list refused us" if refused else "it said goodbye")
        except TooLong as error:
            self._end(f"it sent more than a guard takes: {error}, and at most {MAX_REPLY} are read")
        except RemoteProtocolError as error:
            self._end(f"it sent what no FreeSWITCH sends: {error}")

    def pause_writing(self) -> None:
        self._end("it does not read")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(str(exc) if exc else "it closed the connection")

    def _happened(self, event: Headers) -> None:
        try:
            self._on_event(event)
        except Exception:
            log.exception("an event could not be used; the link goes on")

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, future: asyncio.Future[_T], otherwise: str) -> _T:
        either: set[asyncio.Future[Any]] = {future, self.ended}
        await asyncio.wait(either, timeout=self._deadline, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        if self._refused:
            raise LinkRefused(self.ended.result())
        if not self.ended.done():
            self._end(f"it {otherwise} within {self._deadline:g} s")
        raise LinkError(self.ended.result())
