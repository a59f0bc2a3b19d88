"""Gateways that are ill, each in a way of its own, and one that says what it is told to."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

from tests.asterisk.standin import Behaviour

CONNECT = b"connect\n\n"
_MULTISET = "sendmsg\ncall-command: execute\nexecute-app-name: multiset\nexecute-app-arg: ^^:"


def closing_at_once(peer: socket.socket) -> None:
    """Leaves before it asks anything."""


def mute(peer: socket.socket) -> None:
    """Takes the connection, never asks and never leaves."""
    _linger(peer)


def silent(peer: socket.socket) -> None:
    """Asks for the channel and never says more."""
    _hear(peer)
    _linger(peer)


def closing(peer: socket.socket) -> None:
    """Asks for the channel and leaves."""
    _hear(peer)


def resetting(peer: socket.socket) -> None:
    """The same, without a farewell."""
    _hear(peer)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garbage(peer: socket.socket) -> None:
    """Speaks another protocol."""
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    _linger(peer)


def half_an_answer(peer: socket.socket) -> None:
    """Dies in the middle of its answer."""
    _hear(peer)
    peer.sendall((_MULTISET + "CALLGATE_VER").encode())


def bogus(peer: socket.socket) -> None:
    """Answers with a verdict that does not exist."""
    answering({"CALLGATE_VERDICT": "perhaps"})(peer)


def answering(variables: Mapping[str, str]) -> Behaviour:
    """Sets these variables, as the gateway would."""

    def answer(peer: socket.socket) -> None:
        _hear(peer)
        pairs = ":".join(f"{name}={value}" for name, value in variables.items())
        peer.sendall(f"{_MULTISET}{pairs}\n\nexit\n\n".encode())
        _linger(peer)

    return answer


def _hear(peer: socket.socket) -> None:
    peer.sendall(CONNECT)
    heard = b""
    while b"\n\n" not in heard:
        read = peer.recv(65536)
        if not read:
            return
        heard += read


def _linger(peer: socket.socket) -> None:
    while peer.recv(65536):
        pass
