"""What systemd and a process of its owe each other: it is told how we are (sd_notify(3)), by a
datagram when NOTIFY_SOCKET is set, and tells where its journal reads along."""

from __future__ import annotations

import os
import socket
import time
from array import array
from collections.abc import Mapping, Sequence


def is_journal(descriptor: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether systemd's journal keeps what is written there (JOURNAL_STREAM, systemd.exec(5))."""
    try:
        found = os.fstat(descriptor)
    except OSError:  # closed: nobody reads it
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Notifier:
    """The service manager of this process, or nobody."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._status = ""
        self._watchdog = int(environ.get("WATCHDOG_USEC", "0")) / 1e6 if mine else 0.0

    @property
    def watchdog(self) -> float:
        """Seconds within which a sign of life is expected; 0 when none is."""
        return self._watchdog

    def ready(self, status: str) -> None:
        self._status = status
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Say how we are, if that is news since we were ready."""
        if self._status and status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        if self._watchdog:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def keep(self, name: str, sockets: Sequence[socket.socket]) -> None:
        """Have these sockets handed to the next of us, whatever becomes of this one."""
        # FDPOLL: a listening socket that is shut for a while is not over.
        descriptors = [each.fileno() for each in sockets]
        self._send(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", descriptors)

    def forget(self, name: str) -> None:
        """Have them handed to nobody."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def _send(self, message: str, descriptors: Sequence[int] = ()) -> None:
        """A service manager that does not listen is no reason to fail."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer:
            try:
                peer.setblocking(False)
                # socket.send_fds() leaves out the address.
                rights = socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors)
                peer.sendmsg([message.encode()], [rights] if descriptors else [], 0, address)
            except OSError:
                return
