"""What every listener has in common: accept, a cap, a deadline for each connection, drain.

Rule 1: a connection is bounded in time from its first moment to its last, whatever its peer does
or leaves undone, and their number is bounded. Past the cap a new one is closed at once: the PBX
then takes its outage branch in milliseconds instead of waiting.
Rule 2: nothing here waits on a peer. A peer that does not read is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

BACKLOG: Final = 2048
"""Calls come in bursts, and Asterisk gives up a connect after 2 s (asyncio's default is 100)."""
MAX_UNSENT: Final = 64 * 1024
"""Bytes that may wait for a peer that does not read."""
_SLACK: Final = 0.001
"""Seconds by which a timer may be early."""


class Counters(Protocol):
    """Where things are counted; ``gateway.metrics.Metrics`` is one."""

    def inc(self, name: str, amount: float = 1, /, **labels: str) -> None: ...


class Deadlines:
    """One timer for all connections: every delay is the same, so they fall due in order."""

    __slots__ = ("_delay", "_due", "_expire", "_timer")

    def __init__(self, delay: float, expire: Callable[[Connection], None]) -> None:
        self._delay = delay
        self._expire = expire
        self._due: dict[Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Connection) -> None:
        """Start the clock of a connection."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._delay
        self._due[connection] = due
        if self._timer is None:
            self._timer = loop.call_at(due, self._fire)

    def discard(self, connection: Connection) -> None:
        """Stop the clock of a connection, if it runs."""
        self._due.pop(connection, None)

    def cancel(self) -> None:
        """Stop every clock."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time() + _SLACK
        late = []
        for connection, due in self._due.items():
            if due > now:
                break
            late.append(connection)
        for connection in late:
            del self._due[connection]
        first = next(iter(self._due.values()), None)
        self._timer = None if first is None else loop.call_at(first, self._fire)
        for connection in late:
            self._expire(connection)


class Connection(asyncio.Protocol):
    """One accepted connection. Subclasses read in ``data_received`` and end in ``ended``."""

    transport: asyncio.Transport

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._admitted = self._listener.admit(self)
        if not self._admitted:
            self.turned_away()
            return
        self.transport.set_write_buffer_limits(high=MAX_UNSENT)
        self.opened()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._admitted:
            self._admitted = False
            self._listener.release(self)
            self.ended()

    def pause_writing(self) -> None:
        self.expired()

    def opened(self) -> None:
        """The connection was admitted."""

    def turned_away(self) -> None:
        """There is no room: close it now."""
        self.transport.abort()

    def ended(self) -> None:
        """The connection is gone, whoever closed it."""

    def expired(self) -> None:
        """Its time is up, or its peer does not read: end it now."""
        self.transport.abort()


class Listener:
    """Accepts the connections of one frontend.

    ``frontend`` is the label under which they are counted, ``deadline`` the seconds from the
    accept to the close of each, ``max_connections`` how many may be open.
    """

    def __init__(
        self,
        frontend: str,
        connection: Callable[[Listener], Connection],
        *,
        counters: Counters,
        max_connections: int,
        deadline: float,
    ) -> None:
        self._frontend = frontend
        self._connection = connection
        self._counters = counters
        self._max_connections = max_connections
        self._deadlines = Deadlines(deadline, lambda late: late.expired())
        self._open: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that were bound. RuntimeError before ``start``."""
        if self._server is None or not self._server.sockets:
            raise RuntimeError("not listening")
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def start(
        self, host: str | None = None, port: int = 0, *, sock: socket.socket | None = None
    ) -> None:
        """Listen on an address, or on a socket that is bound already. Raises OSError."""
        loop = asyncio.get_running_loop()
        if sock is not None:
            self._server = await loop.create_server(self._accept, sock=sock, backlog=BACKLOG)
        else:
            self._server = await loop.create_server(self._accept, host, port, backlog=BACKLOG)

    async def drain(self, bound: float) -> int:
        """Stop accepting, let live calls end for ``bound`` seconds, then end the rest.

        Returns how many had to be ended.
        """
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), bound)
        rest = list(self._open)
        for connection in rest:
            connection.expired()
        await self._empty.wait()
        self._deadlines.cancel()
        return len(rest)

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more; its clock starts."""
        self._counters.inc("callgate_connections_total", frontend=self._frontend)
        if len(self._open) >= self._max_connections:
            self.unanswered("over_limit")
            return False
        self._open.add(connection)
        self._empty.clear()
        self._deadlines.add(connection)
        return True

    def release(self, connection: Connection) -> None:
        """An admitted connection is gone."""
        self._deadlines.discard(connection)
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    def unanswered(self, cause: str) -> None:
        """Count a peer that gets no answer."""
        self._counters.inc("callgate_unanswered_total", frontend=self._frontend, cause=cause)

    def _accept(self) -> Connection:
        return self._connection(self)
