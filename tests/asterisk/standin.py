"""Gateways that are ill, and one that says what it is told: what a healthy one never does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType

Behaviour = Callable[[socket.socket], None]


def silent(peer: socket.socket) -> None:
    """Reads and never writes."""
    while peer.recv(4096):
        pass


def closing(peer: socket.socket) -> None:
    """Reads the question and leaves."""
    peer.recv(4096)


def garbage(peer: socket.socket) -> None:
    """Speaks another protocol."""
    peer.recv(4096)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def half_a_line(peer: socket.socket) -> None:
    """Dies in the middle of its answer."""
    peer.recv(4096)
    peer.sendall(b'EXEC MSet "CALLGATE_VER')


def bogus(peer: socket.socket) -> None:
    """Answers with a verdict that does not exist."""
    answering({"CALLGATE_VERDICT": "perhaps"})(peer)


def answering(variables: Mapping[str, str]) -> Behaviour:
    """Sets these variables, as the gateway would."""

    def answer(peer: socket.socket) -> None:
        peer.recv(4096)
        pairs = ",".join(f"{name}={value}" for name, value in variables.items())
        peer.sendall(f'EXEC MSet "{pairs}"\n'.encode())
        peer.recv(4096)

    return answer


class StandIn:
    """A server on a free port that treats every connection by ``behaviour``."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.asked = threading.Event()
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._server.accept()
                self._peers.append(peer)
                self.asked.set()
                threading.Thread(target=self._treat, args=(peer,), daemon=True).start()

    def _treat(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            self._behaviour(peer)
