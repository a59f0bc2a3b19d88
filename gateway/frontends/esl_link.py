"""One session with FreeSWITCH's inbound event socket.

Rule: a reply that is late ends the session, for the next one might be taken for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from gateway.errors import LinkError, LinkRefused, RemoteProtocolError, TooLong
from gateway.frontends.link import Link
from gateway.protocols.esl import Message
from gateway.protocols.esl_client import (
    MAX_REPLY,
    Closing,
    EslClient,
    Greeted,
    Happened,
    Replied,
)
from gateway.protocols.esl_command import line
from gateway.protocols.esl_headers import Headers

_T = TypeVar("_T")


class EslLink(Link[Headers]):
    """A session. ``ended`` is done, with the reason, once it is over."""

    def __init__(self, on_event: Callable[[Headers], None], deadline: float) -> None:
        super().__init__(on_event, deadline)
        self._client = EslClient()
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
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
        """A session that has been let in. LinkError, or LinkRefused when the password is wrong."""
        link = cls(on_event, deadline)
        await link.begin(host, port, password)
        return link

    async def log_in(self, *credentials: str) -> None:
        (password,) = credentials
        await self._answer(self._greeted, "asked for no password")
        if not (await self.command(line(f"auth {password}"))).ok:
            raise LinkRefused("the password is wrong")

    async def command(self, command: bytes) -> Message:
        """Send one command, made whole, and wait for its reply. LinkError when none comes."""
        if self._transport is None or self.ended.done():
            raise LinkError("the event socket is closed")
        reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._transport.write(self._client.send(command, reply))
        return await self._answer(reply, "did not reply")

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._client.receive(data):
                match event:
                    case Happened(headers):
                        self.happened(headers)
                    case Replied(asyncio.Future() as reply, message):
                        if not reply.done():
                            reply.set_result(message)
                    case Greeted():
                        if not self._greeted.done():
                            self._greeted.set_result(None)
                    case Closing(refused):
                        self._refused = refused
                        self.end("its access list refused us" if refused else "it said goodbye")
        except TooLong as error:
            self.end(f"it sent more than a guard takes: {error}, and at most {MAX_REPLY} are read")
        except RemoteProtocolError as error:
            self.end(f"it sent what no FreeSWITCH sends: {error}")

    async def _answer(self, future: asyncio.Future[_T], otherwise: str) -> _T:
        try:
            return await self.wait(future)
        except TimeoutError:
            why = f"it {otherwise} within {self.deadline:g} s"
            self.end(why)
            raise LinkError(why) from None
        except LinkError as error:
            raise LinkRefused(str(error)) if self._refused else error from None
