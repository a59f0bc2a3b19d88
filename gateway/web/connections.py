"""Connections to the HTTP side, and what bounds one that sends no request.

Rule 1: where there is no room, the connection that has been silent longest makes it: whoever opens
many and asks nothing keeps nobody out. Requests that are being answered are never cut off.
Rule 2: nobody is listened to for long without a request, and no head of one grows without end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # it is optional, and only faster
    HttpToolsProtocol = None  # type: ignore[assignment,misc]

SILENCE = 30.0
"""Seconds that a connection may take for the head of its first or next request."""
HEAD = 64 * 1024
"""Bytes of a head, or of anything else between two parts of a body."""
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)

if TYPE_CHECKING:
    _Uvicorn = HttpToolsProtocol
else:
    _Uvicorn = object


class _Bounded(_Uvicorn):
    """What both of uvicorn's protocols have added. ``since`` is when its last answer ended."""

    since = 0.0

    @property
    def silent(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since = time.monotonic()
        if self.limit_concurrency and len(self.connections) >= self.limit_concurrency:
            others = _silent(self.connections) - {self}
            if others:
                cut_off(min(others, key=_since))

    def on_response_complete(self) -> None:
        self.since = time.monotonic()
        super().on_response_complete()


if HttpToolsProtocol is not None:

    class HttpTools(_Bounded, HttpToolsProtocol):
        """It has no bounds of its own: what nothing came of is counted."""

        _vain = 0

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            self._vain += len(data)
            super().data_received(data)
            if self.cycle is not before:
                self._vain = 0
            elif self._vain > HEAD and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

        def on_body(self, body: bytes) -> None:
            self._vain = 0
            super().on_body(body)


class H11(_Bounded, H11Protocol):  # type: ignore[misc]
    """It bounds a head by itself."""


def protocol() -> type[asyncio.Protocol]:
    """The faster of the two that is installed."""
    return H11 if HttpToolsProtocol is None else HttpTools


def cut_off(connection: _Bounded) -> None:
    """Close a connection at once; it counts no longer."""
    connection.connections.discard(connection)
    connection.transport.abort()


def overdue(connections: Collection[object], now: float) -> list[_Bounded]:
    """Those that have asked nothing for too long, ``now`` being of the monotonic clock."""
    return [one for one in _silent(connections) if now - one.since > SILENCE]


def _silent(connections: Collection[object]) -> set[_Bounded]:
    return {one for one in connections if isinstance(one, _Bounded) and one.silent}


def _since(connection: _Bounded) -> float:
    return connection.since
