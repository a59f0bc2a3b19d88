"""One session with a PBX over TCP, from the connect to whatever ends it.

Rule 1: every step has a deadline, the connect too.
Rule 2: a session that has ended stays so. Whoever waits is told at once; nothing is sent again.
Rule 3: an event that its receiver cannot use does not touch the session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from gateway.errors import LinkError
from gateway.frontends.connection import MAX_UNSENT

log = logging.getLogger(__name__)
_Event = TypeVar("_Event")
_T = TypeVar("_T")


class Link(asyncio.Protocol, Generic[_Event]):
    """A session. ``ended`` is done, with the reason, once it is over.

    ``deadline`` is how long the PBX may take for one step, in seconds.
    """

    def __init__(self, on_event: Callable[[_Event], None], deadline: float) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.deadline = deadline
        self._on_event = on_event
        self._transport: asyncio.Transport | None = None

    async def begin(self, host: str, port: int, *credentials: str) -> None:
        """Connect and be let in. LinkError; LinkRefused when the credentials are wrong.

        Events can come before this returns.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.deadline):
                await loop.create_connection(lambda: self, host, port)
        except (OSError, UnicodeError) as error:  # TimeoutError; a name that IDNA does not have
            why = str(error) or f"no connection within {self.deadline:g} s"
            self.end(why)
            raise LinkError(f"{host}:{port}: {why}") from error
        try:
            await self.log_in(*credentials)
        except BaseException:
            self.close()
            raise

    async def log_in(self, *credentials: str) -> None:
        """Give the credentials. LinkError, LinkRefused."""
        raise NotImplementedError

    def close(self) -> None:
        """End the session now and for good."""
        self.end("closed")

    def end(self, why: str) -> None:
        """End the session now and for good, and say why."""
        if not self.ended.done():
            self.ended.set_result(why)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MAX_UNSENT)

    def pause_writing(self) -> None:
        self.end("it does not read")

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(str(exc) if exc else "it closed the connection")

    def happened(self, event: _Event) -> None:
        """Hand an event on."""
        try:
            self._on_event(event)
        except Exception:
            log.exception("an event could not be used; the link goes on")

    async def wait(self, future: asyncio.Future[_T]) -> _T:
        """What a future gives. TimeoutError past the deadline; LinkError when the session ends."""
        either: set[asyncio.Future[Any]] = {future, self.ended}
        await asyncio.wait(either, timeout=self.deadline, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        if self.ended.done():
            raise LinkError(self.ended.result())
        raise TimeoutError
