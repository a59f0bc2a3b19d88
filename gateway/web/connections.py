"""Connections to the HTTP side, and what bounds one that sends no request.

Rule 1: where there is no room, the connection that has been silent longest makes it: whoever opens
many and asks nothing, or takes no answer, keeps nobody out. Whoever takes one is never cut off.
Rule 2: nobody is listened to for long without a request, and no head of one grows without end.
Rule 3: who may not connect takes nobody's room: it is closed before a byte of it is read.
Rule 4: what anybody can send without a token fills no log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.logs import Seldom
from gateway.networks import permitted

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # it is optional, and only faster
    HttpToolsProtocol = None  # type: ignore[assignment,misc]

SILENCE = 30.0
"""Seconds that a connection may take for the head of its first or next request."""
UNREAD = 120.0
"""Seconds in which some of an answer must be taken: a slow line takes a full buffer by then."""
STUCK = 5.0
"""Seconds after which whoever takes nothing may make room."""
HEAD = 64 * 1024
"""Bytes of a head, or of anything else between two parts of a body."""
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)

_log = logging.getLogger("callgate.http")
_seldom = Seldom(_log)
_broken = Seldom(_log)

if TYPE_CHECKING:
    _Uvicorn = HttpToolsProtocol
else:
    _Uvicorn = object


class _Bounded(_Uvicorn):
    """What both of uvicorn's protocols have added. ``since`` is when its last answer ended."""

    may: ClassVar[Callable[[object], bool] | None] = None
    """Whether a peer may connect; None: everybody may."""
    since = 0.0
    full = 0.0
    """Since when its peer takes nothing of what is written, 0: it does."""

    @property
    def silent(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since = time.monotonic()
        peer = transport.get_extra_info("peername")
        may = type(self).may
        if may is not None and not may(peer):
            _seldom.warning("%s is turned away: it is not in http.allow", peer)
            cut_off(self)
        elif self.limit_concurrency and len(self.connections) >= self.limit_concurrency:
            now = time.monotonic()
            others = _silent(self.connections) | _stuck(self.connections, now, STUCK)
            others.discard(self)
            if others:
                cut_off(min(others, key=_since))

    def pause_writing(self) -> None:
        self.full = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.full = 0.0
        super().resume_writing()

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


def protocol(allow: Sequence[str] = ()) -> type[asyncio.Protocol]:
    """The faster of the two that is installed, for peers in these networks; none: everybody."""
    made: type[_Bounded] = H11 if HttpToolsProtocol is None else HttpTools
    may = permitted(allow)
    return made if may is None else type(made.__name__, (made,), {"may": staticmethod(may)})


def limit_log(server: logging.Logger) -> None:
    """Let the server's warnings through seldom: it has one for every broken request."""
    server.setLevel(logging.WARNING)
    server.addFilter(_passes)


def _passes(record: logging.LogRecord) -> bool:
    if record.levelno != logging.WARNING:
        return True
    _broken.warning("%s", record.getMessage())
    return False


def cut_off(connection: _Bounded) -> None:
    """Close a connection at once; it counts no longer."""
    connection.connections.discard(connection)
    connection.transport.abort()


def overdue(connections: Collection[object], now: float) -> list[_Bounded]:
    """Those that have asked or taken nothing for too long, by the monotonic clock."""
    silent = {one for one in _silent(connections) if now - one.since > SILENCE}
    return [*(silent | _stuck(connections, now, UNREAD))]


def _silent(connections: Collection[object]) -> set[_Bounded]:
    return {one for one in connections if isinstance(one, _Bounded) and one.silent}


def _stuck(connections: Collection[object], now: float, seconds: float) -> set[_Bounded]:
    """Those whose peer has taken nothing for so long."""
    bounded = (one for one in connections if isinstance(one, _Bounded))
    return {one for one in bounded if one.full and now - one.full > seconds}


def _since(connection: _Bounded) -> float:
    return connection.full or connection.since
