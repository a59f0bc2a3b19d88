"""The sockets of a listener: one for each address that the name of a host has."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

BACKLOG: Final = 2048
"""Calls come in bursts, and Asterisk gives up a connect after 2 s (asyncio's default is 100)."""


async def bind(host: str | None, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of a host (None: of this machine), at least one.

    Port 0 is another port for each. Raises OSError, with the address in its text.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError:  # this machine does not speak that family
                continue
            sockets.append(sock)
            _bind(sock, address)
            listen(sock)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise OSError(f"could not bind on any address out of {[item[4] for item in found]!r}")
    return sockets


def listen(sock: socket.socket) -> None:
    """Make a bound socket listen, and never wait; what it accepts inherits TCP_NODELAY."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # beside what it accepted before
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.listen(BACKLOG)


def listen_again(sock: socket.socket) -> None:
    """The same once more, after its connections made the kernel's list of its port a long one.

    To see that the port is free takes up to 100 ns for each connection of the last minute, unless
    the port may be shared (inet_csk_get_port in net/ipv4/inet_connection_sock.c). From then on only
    programs of the same user can share it, and only those that ask to.
    """
    shared = sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listen(sock)
    finally:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)


def _bind(sock: socket.socket, address: object) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        # The addresses of IPv4 have a socket of their own.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        sock.bind(address)  # type: ignore[arg-type]
    except OSError as error:
        raise OSError(error.errno, f"cannot bind {address!r}: {error.strerror}") from None


def spare() -> int:
    """A descriptor of nothing, to be closed where there is no other; -1 when there is none."""
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
