"""What the scripted management sockets of both PBXs share: clients, one after the other, and news.

Rule: when a test ends, no client of it is still being served.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar


@dataclass
class Client:
    """One connection."""

    writer: asyncio.StreamWriter

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    def close(self) -> None:
        self.writer.close()


_Client = TypeVar("_Client", bound=Client)
_Told = TypeVar("_Told")


@dataclass
class Manager(Generic[_Client, _Told]):
    """A server whose commands end in ``end``; the newest of its ``sessions`` is ``session``."""

    sessions: list[_Client] = field(default_factory=list, kw_only=True)
    port: int = field(default=0, kw_only=True)
    _news: asyncio.Event = field(default_factory=asyncio.Event, kw_only=True)
    _serving: set[asyncio.Task[None]] = field(default_factory=set, kw_only=True)

    end = b"\n\n"

    @property
    def session(self) -> _Client:
        return self.sessions[-1]

    def begin(self, writer: asyncio.StreamWriter) -> _Client:
        """Greet a client."""
        raise NotImplementedError

    def obey(self, session: _Client, command: str) -> None:
        """Do what a client says, without the ``end``."""
        raise NotImplementedError

    def told(self, name: str) -> list[_Told]:
        """The commands of this name, of all clients so far."""
        raise NotImplementedError

    async def until(self, name: str, times: int = 1) -> list[_Told]:
        """Wait for so many commands of this name."""
        while len(self.told(name)) < times:
            self._news.clear()
            await self._news.wait()
        return self.told(name)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        session = self.begin(writer)
        self.sessions.append(session)
        try:
            while True:
                block = await reader.readuntil(self.end)
                self.obey(session, block.removesuffix(self.end).decode())
                self._news.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            self._serving.discard(task)

    async def stop(self) -> None:
        """Send every client away."""
        for session in self.sessions:
            session.writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)


_Fake = TypeVar("_Fake", bound=Manager[Any, Any])


@asynccontextmanager
async def served(fake: _Fake) -> AsyncIterator[_Fake]:
    """The fake, on a port of loopback."""
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        await fake.stop()
