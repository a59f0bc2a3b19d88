"""The loop under every listener: many connections are read, answered and closed in one turn.

A turn is one callback of the event loop: accept; read everybody who has something to say, and
decide; ``settle``, which writes what was decided to the journal, once for all of them, and only
then the answers; close. There are no transports: the connections are descriptors in an epoll of
our own, which the event loop watches as a single one.

Rule 1: a connection is bounded in time from its first moment to its last, whatever its peer does
or leaves undone, and their number is bounded. Past the cap, or when those before it wait too long,
a new one is closed at once: the PBX then takes its outage branch in milliseconds. Who was let in
is served in the order in which he spoke.
Rule 2: the work of a turn is bounded, in connections and in time. What is still ready is taken by
the next turn, after everything else that waits in the event loop; who had to wait comes first.
Rule 3: a turn closes descriptors at its end: no number comes back within it, and with it what was
told of another connection.
Rule 4: a connection that fails harms no other one of its turn.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile
from select import EPOLLIN, epoll
from time import monotonic
from typing import Final

from gateway.frontends.binding import BACKLOG, bind, listen
from gateway.frontends.connection import Connection, Counters, Owner
from gateway.frontends.door import Door

log = logging.getLogger(__name__)

MOST: Final = 64
"""Connections that a turn reads: a few milliseconds of work."""
SPAN: Final = 0.005
"""Seconds after which a turn reads nobody else, nor lets in: 64 hostile peers can cost 50 ms."""
READ_SIZE: Final = 20 * 1024
"""More than an environment may have: what follows one that came whole is seen with it."""
PATIENCE: Final = 0.25
"""The part of the deadline that whoever is read may have waited, for others to be let in.

A channel of FreeSWITCH is read three times, and waits for each.
"""
OFTEN: Final = 8
"""Reads of one connection from which on it does not count as one that waits: peers who send little
and often would keep others out."""
AGAIN: Final = 0.5
"""The part of the cap at which a door that was shut opens: not for each who leaves."""
LOOK: Final = 0.005
"""Seconds between looks whether a door that was shut may open: who is silent makes no turn."""
SILENT: Final = 0.25
"""Seconds after which a drain waits no more for peers who have said nothing."""
_SLACK: Final = 0.001
"""Seconds by which a timer may be early."""


Make = Callable[[Owner, int, object, float], Connection]
"""What serves one connection: ``Connection`` itself is one."""


def _nothing() -> None:
    """Nobody keeps anything back for the end of a turn."""


class Listener:
    """Accepts and reads the connections of one frontend.

    ``frontend`` is the label under which they are counted, ``deadline`` the seconds from the
    accept to the close of each, ``max_connections`` how many may be open, ``farewell`` what those
    above that are told. ``allow`` says who may connect, by what ``accept`` gives of a peer.
    ``hold`` is called as a turn begins, ``settle`` when all were read; neither may raise.
    """

    def __init__(
        self,
        frontend: str,
        connection: Make,
        *,
        counters: Counters,
        max_connections: int,
        deadline: float,
        farewell: bytes = b"",
        allow: Callable[[object], bool] | None = None,
        hold: Callable[[], None] = _nothing,
        settle: Callable[[], None] = _nothing,
    ) -> None:
        self._frontend = frontend
        self._make = connection
        self._counters = counters
        self._max_connections = max_connections
        self._delay = deadline
        self._door = Door(frontend, self._admit, counters=counters, farewell=farewell, allow=allow)
        self._hold = hold
        self._settle = settle
        self._connections: dict[int, Connection] = {}  # as they came, so in the order of their ends
        self._epoll: epoll  # from start to the end of drain
        self._closing: list[int] | None = None  # what this turn closes; None between two turns
        self._late: list[tuple[Connection, int]] = []  # those ready for whom there was no time yet
        self._full = False  # the last turn read as many as it may
        self._behind = False  # and all of those had waited for too long
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None  # for room, while the door is shut
        self._empty: asyncio.Event | None = None  # set by the last to go, once we drain

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that were bound. RuntimeError before ``start``."""
        if not self._door.sockets:
            raise RuntimeError("not listening")
        host, port = next(iter(self._door.sockets.values())).getsockname()[:2]
        return host, port

    @property
    def sockets(self) -> list[socket.socket]:
        """What it listens on."""
        return list(self._door.sockets.values())

    async def start(
        self, host: str | None = None, port: int = 0, *, sockets: Sequence[socket.socket] = ()
    ) -> None:
        """Listen on an address, or on sockets that are bound already. Raises OSError."""
        for sock in sockets:
            listen(sock)
        sockets = sockets or await bind(host, port)
        self._loop = asyncio.get_running_loop()
        self._epoll = epoll()
        self._door.open(sockets, self._epoll)
        self._loop.add_reader(self._epoll.fileno(), self._turn)

    async def drain(self, bound: float) -> int:
        """Stop accepting, let live calls end for ``bound`` seconds, then end the rest.

        Returns how many had to be ended. Who has said nothing after SILENT seconds is no call.
        """
        if not self._door.sockets:
            return 0
        for sock in list(self._door.listening.values()):
            waiting = BACKLOG
            # Whoever waits to be accepted would be reset; more than a backlog cannot.
            while waiting >= 0 and (came := self._accept_from(sock)):
                waiting -= came
        self._door.close()
        if self._connections:
            self._empty = asyncio.Event()
            if bound > SILENT:
                await _until(self._empty, SILENT)
                for each in [each for each in self._connections.values() if not each.reads]:
                    self._cut(each)
            await _until(self._empty, max(0, bound - SILENT))
        rest = list(self._connections.values())
        for connection in rest:
            self._cut(connection)
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        return len(rest)

    def unanswered(self, cause: str) -> None:
        """Count a peer that gets no answer."""
        self._counters.inc("callgate_unanswered_total", frontend=self._frontend, cause=cause)

    def watch(self, fd: int, events: int) -> None:
        """Learn of these events of a connection from now on, and of no others."""
        self._epoll.modify(fd, events)

    def release(self, fd: int) -> None:
        """Close the descriptor of a connection that is over."""
        del self._connections[fd]
        if self._closing is None:
            os.close(fd)
        else:
            self._closing.append(fd)
        if self._empty is not None and not self._connections:
            self._empty.set()

    def _turn(self) -> None:
        closing = self._closing = []
        self._hold()
        try:
            events = self._ready()
            self._behind = self._behind and len(events) >= MOST
            if self._accept(events) and len(events) < MOST:
                events = self._ready()  # most of the new ones have spoken already
            self._full = len(events) >= MOST
            self._behind = self._full and self._too_long(events)
            self._read(events)
        finally:
            try:
                self._settle()
            finally:  # whatever it raises: an open descriptor is a peer that waits
                self._closing = None
                for fd in closing:
                    os.close(fd)

    def _ready(self) -> list[tuple[int, int]]:
        """Who has something to say, and what, those first for whom there was no time yet.

        Whoever was told of goes to the end of the kernel's list, and would wait for all others.
        """
        late = {each.fd: event for each, event in self._late if each.fd >= 0}
        if not late:
            return self._epoll.poll(0, MOST)
        found = self._epoll.poll(0, MOST) if len(late) < MOST else []
        return [*late.items(), *(each for each in found if each[0] not in late)]

    def _read(self, events: list[tuple[int, int]]) -> None:
        self._late = []
        end = monotonic() + SPAN
        for done, (fd, event) in enumerate(events, start=1):
            if (connection := self._connections.get(fd)) is not None:
                self._serve(connection, event)
                connection.reads += 1
                if done >= MOST or monotonic() > end:
                    known = self._connections
                    self._late = [(known[fd], told) for fd, told in events[done:] if fd in known]
                    break

    def _serve(self, connection: Connection, event: int) -> None:
        try:
            if event != EPOLLIN and not connection.ready(event):
                return
            try:
                data = os.read(connection.fd, READ_SIZE)
            except BlockingIOError:  # told of another that had this number
                return
            except OSError:  # the peer has reset it
                connection.abort()
                return
            if data:
                connection.received(data)
            else:
                connection.finished()
                connection.close()
        except Exception:
            log.exception("a connection of %s failed; it is cut off", self._frontend)
            connection.abort()

    def _accept(self, events: list[tuple[int, int]]) -> bool:
        """Whether anybody may have come."""
        door = self._door
        if door.shut and self._room() > self._max_connections * (1 - AGAIN):
            door.reopen()
        if len(events) >= MOST:  # they are not all, and nobody new must wait for it
            ready = list(door.listening.values())
        else:
            ready = [door.listening[fd] for fd, _ in events if fd in door.listening]
        for sock in ready:
            self._accept_from(sock)
        return bool(ready)

    def _accept_from(self, sock: socket.socket) -> int:
        """How many came."""
        due = self._loop.time() + self._delay
        came = self._door.accept(sock, self._room(), due, SPAN)
        if self._timer is None and self._connections:
            self._timer = self._loop.call_at(due, self._expire)
        if self._door.shut and self._look is None:
            self._look = self._loop.call_later(LOOK, self._reopen)
        return came

    def _reopen(self) -> None:
        """Open if there was no full turn since the last look: then nobody waits but for us."""
        full, self._full = self._full, False
        self._door.count()
        if not full and len(self._connections) < self._max_connections:
            self._behind = False
            self._door.reopen()
        shut = self._door.shut
        self._look = self._loop.call_later(LOOK, self._reopen) if shut else None

    def _room(self) -> int:
        return 0 if self._behind else self._max_connections - len(self._connections)

    def _too_long(self, events: list[tuple[int, int]]) -> bool:
        """Whether all these have waited for long, also the last who came."""
        soon = self._loop.time() + self._delay * (1 - PATIENCE)
        found = (self._connections[fd] for fd, _ in events if fd in self._connections)
        waited = [each.due < soon for each in found if each.reads < OFTEN]
        return bool(waited) and all(waited)

    def _admit(self, fd: int, peer: object, due: float) -> None:
        try:
            os.set_blocking(fd, False)
            self._epoll.register(fd, EPOLLIN)
        except OSError:
            os.close(fd)
            raise
        connection = self._connections[fd] = self._make(self, fd, peer, due)
        connection.opened()

    def _expire(self) -> None:
        """One timer for all: every delay is the same, so they fall due in the order they came."""
        now = self._loop.time() + _SLACK
        for connection in list(takewhile(lambda each: each.due <= now, self._connections.values())):
            self._cut(connection)
        first = next(iter(self._connections.values()), None)
        self._timer = None if first is None else self._loop.call_at(first.due, self._expire)

    def _cut(self, connection: Connection) -> None:
        try:
            connection.cut()
        except Exception:
            log.exception("a connection of %s failed at its end", self._frontend)
            connection.abort()


async def _until(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
