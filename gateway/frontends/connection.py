"""One accepted connection: a descriptor, what waits to be written to it, and how it ends.

Rule 1: nothing waits on a peer. What it does not take at once is kept, MAX_UNSENT bytes of it, and
a peer that is further behind is cut off.
Rule 2: whatever ends a connection, ``ended`` is called once, and nothing of it after that.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from select import EPOLLIN, EPOLLOUT
from typing import Final, Protocol

MAX_UNSENT: Final = 64 * 1024
"""Bytes that may wait for a peer that does not read."""


class Counters(Protocol):
    """Where things are counted; ``gateway.metrics.Metrics`` is one."""

    def inc(self, name: str, amount: float = 1, /, **labels: str) -> None: ...


class Owner(Protocol):
    """What reads a connection; ``gateway.frontends.tcp.Listener`` is one."""

    def watch(self, fd: int, events: int) -> None:
        """Learn of these events of a connection from now on, and of no others."""

    def release(self, fd: int) -> None:
        """Close the descriptor of a connection that is over."""


class Connection:
    """Subclasses read in ``received`` and end in ``ended``.

    ``peer`` is the address of the other side as its family has it, ``due`` when the time of the
    connection is up, on the clock of the event loop. What a connection begins with stands on its
    class, so that one that goes the usual way is made in a few steps.
    """

    live = True
    """Whether it is still read and may be answered: nobody has begun to close it."""
    reads = 0
    """How often it was read."""
    _unsent = b""
    _ending = False

    def __init__(self, owner: Owner, fd: int, peer: object, due: float) -> None:
        self._owner = owner
        self.fd = fd  # -1 once it is over
        self.peer = peer
        self.due = due

    def opened(self) -> None:
        """The connection was accepted."""

    def received(self, data: bytes) -> None:
        """Bytes came."""

    def finished(self) -> None:
        """The peer sends no more; the connection is closed after this."""

    def ended(self) -> None:
        """The connection is gone, whoever closed it."""

    def expired(self) -> None:
        """Its time is up, or its peer does not read; the connection is ended after this."""

    def send(self, data: bytes) -> None:
        """Write, now; what the peer does not take waits for it."""
        if self._unsent:
            self._unsent += data
        else:
            self._unsent = self._write(data)
            if not self._unsent:
                return
            self._owner.watch(self.fd, EPOLLIN | EPOLLOUT)
        if len(self._unsent) > MAX_UNSENT:
            self.cut()

    def send_end(self) -> None:
        """Tell the peer that nothing more is sent, once all is; it may go on itself."""
        self._ending = True
        if not self._unsent:
            self._shut()

    def close(self) -> None:
        """End it as soon as all is sent. Nothing is read any more."""
        if self.live:
            self.live = False
            if self._unsent:
                self._owner.watch(self.fd, EPOLLOUT)
            else:
                self._over()

    def abort(self) -> None:
        """End it now."""
        self.live = False
        self._over()

    def cut(self) -> None:
        """End it because its time is up, or because its peer does not read."""
        if self.live:
            self.expired()
        self.abort()

    def ready(self, event: int) -> bool:
        """Send on if anything waits; whether the peer may have said something."""
        if self._unsent:
            self._send_on()
        return self.live and event != EPOLLOUT

    def _send_on(self) -> None:
        self._unsent = self._write(self._unsent)
        if self._unsent or self.fd < 0:
            return
        if not self.live:
            self._over()
            return
        self._owner.watch(self.fd, EPOLLIN)
        if self._ending:
            self._shut()

    def _write(self, data: bytes) -> bytes:
        """What of it was not taken."""
        try:
            return data[os.write(self.fd, data) :]
        except BlockingIOError:
            return data
        except OSError:  # the peer has gone
            self.abort()
            return b""

    def _over(self) -> None:
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            self._unsent = b""
            self._owner.release(fd)
            self.ended()

    def _shut(self) -> None:
        if self.fd < 0:
            return
        borrowed = socket.socket(fileno=self.fd)
        try:
            with suppress(OSError):  # the peer may have reset the connection
                borrowed.shutdown(socket.SHUT_WR)
        finally:
            borrowed.detach()
