"""The door of a listener: who is let in, who is turned away, and when it is shut.

Rule 1: nobody waits unseen. Whoever is in the kernel's queue is let in or turned away in the next
turn: the queue counts against no cap, and once it is full a connect is repeated after a second.
Rule 2: turning one away costs about 7 us, most of it in the kernel; many of them would cost the
calls that are served. Past FLOOD in one turn the socket stops listening until there is room again:
whoever waits is reset, whoever comes is refused by the kernel, at no cost of ours. Where there is a
farewell, all who wait are told it first: a reset peer may take it ill, a refused one asks another.
Whose handshake is under way just then is reset all the same: on loopback nobody's is.
Rule 3: the port stays ours while the door is shut, and how long it is shut is counted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import EMFILE, ENFILE
from select import EPOLLIN, epoll
from time import monotonic
from typing import Final

from gateway.frontends.binding import listen_again, spare
from gateway.frontends.connection import Counters
from gateway.logs import Seldom

log = logging.getLogger(__name__)

ACCEPTS: Final = 512
"""Connections that a turn accepts: some milliseconds of work, far more than it answers."""
FLOOD: Final = 100
"""Connections that a turn turns away before the door is shut: 0.7 ms of work."""
PAUSE: Final = 0.1
"""Seconds without accepting, when the system has nothing to accept with."""
_QUEUED: Final = struct.Struct("24xI")
"""``tcp_info.tcpi_unacked``: of a socket that listens, how many wait to be accepted (tcp(7))."""

Admit = Callable[[int, object, float], None]
"""Takes a descriptor, the address of its peer, and when its time is up. OSError: it cannot."""


def queued(sock: socket.socket) -> int:
    """How many wait to be accepted."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _QUEUED.size)
    waiting: int = _QUEUED.unpack(info)[0]
    return waiting


class Door:
    """The listening sockets of one frontend.

    ``farewell`` is what those are told for whom there is no room, ``allow`` says who may connect,
    by what ``accept`` gives of a peer; everybody may when it is None.
    """

    def __init__(
        self,
        frontend: str,
        admit: Admit,
        *,
        counters: Counters,
        farewell: bytes = b"",
        allow: Callable[[object], bool] | None = None,
    ) -> None:
        self._frontend = frontend
        self._admit = admit
        self._counters = counters
        self._farewell = farewell
        self._allow = allow
        self._seldom = Seldom(log)
        self._epoll: epoll
        self._loop: asyncio.AbstractEventLoop
        self._spare = -1  # a descriptor to accept with when there is no other
        self._most_away = ACCEPTS if farewell else FLOOD
        self.sockets: dict[int, socket.socket] = {}
        self.listening: dict[int, socket.socket] = {}
        """Those of the sockets that somebody may come to: neither paused nor shut."""
        self.shut: list[socket.socket] = []
        """Those that do not listen until there is room."""
        self._told = 0.0  # until when it was counted how long the door is shut

    def open(self, sockets: Sequence[socket.socket], events: epoll) -> None:
        """Have that epoll tell of who comes to these sockets, which listen."""
        self._loop = asyncio.get_running_loop()
        self._epoll = events
        self._spare = spare()
        for item in sockets:
            self.sockets[item.fileno()] = item
            self._listen(item)

    def close(self) -> None:
        """Nobody comes in any more."""
        for fd, sock in self.sockets.items():
            # Another process may hold the socket too: then closing it here would not silence it.
            if fd in self.listening:
                self._epoll.unregister(fd)
            sock.close()
        self.sockets.clear()
        self.listening.clear()
        self.shut.clear()
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def accept(self, sock: socket.socket, room: int, due: float, span: float) -> int:
        """Let in whoever waits, ``room`` of them, for ``span`` seconds; turn away the others.

        ``due`` is when the time of those is up. Returns how many came; 0 when it is shut, too.
        """
        if sock.fileno() not in self.listening:
            return 0
        # socket.accept() is this and an object for each, which costs more than the system's part.
        accept, admit, allow = sock._accept, self._admit, self._allow  # type: ignore[attr-defined]
        end, came, away = monotonic() + span, 0, 0
        try:
            while came < ACCEPTS and away < self._most_away:
                fd, peer = accept()
                came += 1
                if allow is not None and not allow(peer):
                    self._refuse(fd, peer)
                    room += 1  # he takes none
                elif came - away > room:
                    away += 1
                    self._turn_away(fd)
                else:
                    admit(fd, peer, due)
                    if monotonic() > end:
                        break
        except (BlockingIOError, ConnectionAbortedError):
            pass  # nobody else, or somebody who has gone already
        except OSError as error:
            self._make_room(sock, error)
        if away:
            if away >= FLOOD and sock.fileno() in self.listening:
                away += self._shut(sock)
            self._unanswered("over_limit", away)
        if came:
            self._counters.inc("callgate_connections_total", came, frontend=self._frontend)
        return came

    def count(self) -> None:
        """Count how long the door was shut since it was last counted."""
        if self.shut:
            before, self._told = self._told, monotonic()
            self._counters.inc(
                "callgate_listener_shut_seconds_total",
                self._told - before,
                frontend=self._frontend,
            )

    def reopen(self) -> None:
        """Listen again: there is room."""
        self.count()
        shut, self.shut = self.shut, []
        for sock in shut:
            try:
                listen_again(sock)
                self._listen(sock)
            except OSError as error:
                self._seldom.warning("the %s listener cannot listen: %s", self._frontend, error)
                self.shut.append(sock)

    def _listen(self, sock: socket.socket) -> None:
        self._epoll.register(sock.fileno(), EPOLLIN)
        self.listening[sock.fileno()] = sock

    def _silence(self, sock: socket.socket) -> None:
        self._epoll.unregister(sock.fileno())
        del self.listening[sock.fileno()]

    def _shut(self, sock: socket.socket) -> int:
        """How many are reset with it."""
        name = sock.getsockname()
        waiting = queued(sock)
        if waiting and self._farewell:
            return 0  # they must be told first; the next turn does
        sock.shutdown(socket.SHUT_RD)
        self._silence(sock)
        self._told = self._told if self.shut else monotonic()
        self.shut.append(sock)
        with suppress(OSError):  # a port that the system chose is given up with that, others not
            sock.bind(name)
        # Nobody else may bind the port meanwhile, as could be done beside one that allows it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        self._seldom.warning(
            "too many connections come to the %s listener: new ones are refused unseen",
            self._frontend,
        )
        return waiting

    def _unanswered(self, cause: str, count: int = 1) -> None:
        self._counters.inc("callgate_unanswered_total", count, frontend=self._frontend, cause=cause)

    def _refuse(self, fd: int, peer: object) -> None:
        self._seldom.warning("%s is turned away: it is not in %s.allow", peer, self._frontend)
        self._unanswered("not_allowed")
        self._turn_away(fd)

    def _turn_away(self, fd: int) -> None:
        if self._farewell:
            with suppress(OSError):
                os.write(fd, self._farewell)
        os.close(fd)

    def _make_room(self, sock: socket.socket, error: OSError) -> None:
        """There is nothing to accept with: whoever is first is turned away, or all wait a moment.

        Without a descriptor nobody can even be turned away, so one is kept to spare.
        """
        self._seldom.warning("the %s listener cannot accept: %s", self._frontend, error)
        if error.errno in (EMFILE, ENFILE) and self._spare >= 0:
            os.close(self._spare)
            with suppress(OSError):
                fd, _ = sock._accept()  # type: ignore[attr-defined]
                self._unanswered("no_files")
                self._turn_away(fd)
            self._spare = spare()
            return
        if sock.fileno() in self.listening:
            self._silence(sock)
            self._loop.call_later(PAUSE, self._resume, sock)

    def _resume(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:  # not closed meanwhile
            self._spare = self._spare if self._spare >= 0 else spare()
            try:
                self._listen(sock)
            except OSError:  # no memory, or none of the user's watches is left (epoll(7))
                self._loop.call_later(PAUSE, self._resume, sock)
