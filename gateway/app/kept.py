"""Listening sockets that systemd keeps while we are restarted: its file descriptor store.

Rule 1: calls that come between the end of one gateway and the start of the next wait in the
kernel's queue, where they would be refused otherwise.
Rule 2: a socket is taken for exactly what it was made for. Any other is silenced, closed and given
up by systemd as well: calls that came to it would wait for nobody.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from typing import Final

from gateway.settings import Address

log = logging.getLogger(__name__)

FIRST: Final = 3
"""The first descriptor that is handed over (SD_LISTEN_FDS_START, sd_listen_fds(3))."""


def kept_name(frontend: str, address: Address, workers: int) -> str:
    """Under which the sockets of a frontend are kept; no colon (FDNAME, sd_notify(3))."""
    return f"{frontend}-{address.host or 'any'}-{address.port}-{workers}".replace(":", ".")


def silence(sockets: Iterable[socket.socket]) -> None:
    """Close them, so that nobody can come to them however many hold them."""
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


class KeptSockets:
    """What was handed to this process, by name; its environment no longer tells of it."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ, first: int = FIRST) -> None:
        told = {
            key: environ.pop(f"LISTEN_{key}", "") for key in ("PID", "FDS", "FDNAMES", "PIDFDID")
        }
        self._sockets: dict[str, list[socket.socket]] = {}
        if told["PID"] == str(os.getpid()) and told["FDS"].isdecimal():
            names = told["FDNAMES"].split(":")
            for number in range(int(told["FDS"])):
                self._add(names[number] if number < len(names) else "", first + number)

    def _add(self, name: str, descriptor: int) -> None:
        try:
            os.set_inheritable(descriptor, False)
            self._sockets.setdefault(name, []).append(socket.socket(fileno=descriptor))
        except OSError as error:
            log.warning("what was handed over as %r is no socket: %s", name, error)
            with suppress(OSError):
                os.close(descriptor)

    def give_up(self, wanted: Iterable[str]) -> list[str]:
        """Close all but these, and tell whose names they were."""
        names = [name for name in self._sockets if name not in {*wanted}]
        for name in names:
            silence(self._sockets.pop(name))
        return names

    def take(self, name: str) -> list[socket.socket]:
        """Those of that name, which are the caller's now; none when none were kept."""
        return self._sockets.pop(name, [])
