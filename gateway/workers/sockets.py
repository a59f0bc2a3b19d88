"""The listening sockets of all workers, made and kept by the parent.

Rule 1: each worker has its own (SO_REUSEPORT), and the kernel spreads connections over them. It
is bound and listening before its worker starts and stays open when that dies: what waits in its
backlog is answered by the next.
Rule 2: SO_REUSEPORT would let a second gateway take half of the calls. So the port must be free
before the first of ours is bound.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack

from gateway.frontends.binding import BACKLOG


def listening(host: str, port: int, workers: int) -> list[socket.socket]:
    """One socket for each worker, all on the first address of a host. OSError.

    Port 0 is one free port for all of them.
    """
    family, kind, protocol, _, where = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    if port:
        with _bound(family, kind, protocol, where, shared=False):
            pass
    with ExitStack() as made:
        sockets: list[socket.socket] = []
        for _ in range(workers):
            bound = made.enter_context(_bound(family, kind, protocol, where, shared=True))
            bound.listen(BACKLOG)
            sockets.append(bound)
            where = bound.getsockname()
        made.pop_all()
    return sockets


def _bound(
    family: int, kind: int, protocol: int, where: tuple[object, ...], *, shared: bool
) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        made.bind(where)
    except OSError:
        made.close()
        raise
    return made
