"""A service manager as far as sockets go: it keeps what its service gives it, for the next start.

    python -m tests.support.manager COMMAND…

It does what systemd does with ``FileDescriptorStoreMax=`` (sd_notify(3), sd_listen_fds(3)).
SIGUSR1 restarts the service, SIGTERM stops it, and it dies with the manager.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

FIRST = 3
MOST = 32
PR_SET_PDEATHSIG = 1
FREE = 200
"""Descriptors from here on are nobody's."""


class Manager:
    def __init__(self, command: Sequence[str], address: Path) -> None:
        self._command = command
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._environ = os.environ | {"NOTIFY_SOCKET": str(address)}
        self._store: list[tuple[str, int]] = []
        self._asked: list[int] = []
        for number in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, lambda number, _: self._asked.append(number))

    def run(self) -> int:
        """Until it is told to stop, or its service ends by itself: its exit code."""
        service = self._start()
        while True:
            self._listen()
            ended, status = os.waitpid(service, os.WNOHANG)
            if self._asked:
                wish = self._asked.pop(0)
                if not ended:
                    os.kill(service, signal.SIGTERM)
                    ended, status = os.waitpid(service, 0)
                self._listen()
                if wish == signal.SIGUSR1:
                    service = self._start()
                    continue
            if ended:
                return os.waitstatus_to_exitcode(status)

    def _start(self) -> int:
        pid = os.fork()
        if not pid:
            self._become_service()
        return pid

    def _become_service(self) -> NoReturn:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        environ = self._environ
        if self._store:
            environ |= {
                "LISTEN_PID": str(os.getpid()),
                "LISTEN_FDS": str(len(self._store)),
                "LISTEN_FDNAMES": ":".join(name for name, _ in self._store),
            }
        high = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, FREE) for _, each in self._store]
        for number, each in enumerate(high, start=FIRST):
            os.dup2(each, number)
        os.execvpe(self._command[0], [*self._command], environ)

    def _listen(self) -> None:
        while select.select([self._socket], [], [], 0.02)[0]:
            text, descriptors, *_ = socket.recv_fds(self._socket, 4096, MOST)
            told = dict(line.split("=", 1) for line in text.decode().splitlines())
            if "FDSTORE" in told:
                assert told["FDPOLL"] == "0"
                self._store += [(told["FDNAME"], each) for each in descriptors]
            elif "FDSTOREREMOVE" in told:
                for name, each in self._store:
                    if name == told["FDNAME"]:
                        os.close(each)
                self._store = [each for each in self._store if each[0] != told["FDNAME"]]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        sys.exit(Manager(sys.argv[1:], Path(folder) / "notify").run())
