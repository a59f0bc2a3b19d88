"""A listener on loopback with a screener that decides nothing, for the tests of a frontend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.frontends.session import Frontend
from tests.fakes.screener import FakeScreener, WatchedMetrics


@dataclass
class Gateway:
    """One frontend that listens, and what it was asked and what was counted."""

    server: Frontend
    screener: FakeScreener
    metrics: WatchedMetrics

    @property
    def port(self) -> int:
        return self.server.address[1]

    async def connected(self, times: int) -> None:
        await self.metrics.until(
            times, "callgate_connections_total", frontend=self.screener.frontend
        )

    async def unanswered(self, cause: str, times: int = 1) -> None:
        await self.metrics.until(
            times, "callgate_unanswered_total", frontend=self.screener.frontend, cause=cause
        )

    @asynccontextmanager
    async def peer(
        self, data: bytes = b""
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection that sends these bytes and then does what the test says."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            yield reader, writer
        finally:
            writer.close()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Everything until the other side ended the connection, by a close or by a reset."""
    data = b""
    with suppress(ConnectionResetError):
        while part := await reader.read(4096):
            data += part
    return data


G = TypeVar("G", bound=Gateway)


@asynccontextmanager
async def gateways(
    kind: type[G], frontend: Callable[..., Frontend], name: str
) -> AsyncIterator[Callable[..., Awaitable[G]]]:
    """Starts gateways with the settings that a test names; drains them all at its end."""
    started: list[G] = []

    async def start(screener: FakeScreener | None = None, **settings: Any) -> G:
        metrics, screener = WatchedMetrics(), screener or FakeScreener()
        screener.frontend = name
        server = frontend(screener, counters=metrics, **{"deadline": 30.0, **settings})
        await server.start("127.0.0.1", 0)
        started.append(kind(server, screener, metrics))
        return started[-1]

    yield start
    for gateway in started:
        await gateway.server.drain(0)
