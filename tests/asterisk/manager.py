"""Whoever works with Asterisk's manager interface beside us: a dialler, which originates calls."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from tests.asterisk.pbx import PATIENCE, SECRET

Values = Mapping[str, str]


class Dialler:
    """One session; made by ``dialler``."""

    def __init__(self, connection: socket.socket, peer: BinaryIO) -> None:
        self._connection = connection
        self._peer = peer
        self._peer.readline()
        assert (
            self.action({"Action": "Login", "Username": "dialler", "Secret": SECRET}) == "Success"
        )

    def action(self, values: Values) -> str:
        """What an action is answered: ``Success`` or ``Error``."""
        lines = [f"{name}: {value}" for name, value in values.items()]
        self._connection.sendall("\r\n".join([*lines, "", ""]).encode())
        while "Response" not in (answer := self._read()) or "Event" in answer:
            pass
        return answer["Response"]

    def originate(self, channel: str, more: Values) -> str:
        """Originates a call; whether the callee answered, as ``Success`` or another word."""
        said = self.action({"Action": "Originate", "Channel": channel, "Timeout": "15000", **more})
        if "Async" not in more or said != "Success":
            return said
        while (event := self._read()).get("Event") != "OriginateResponse":
            pass
        return event["Response"]

    def _read(self) -> dict[str, str]:
        message = {}
        for line in iter(self._peer.readline, b"\r\n"):
            assert line, "Asterisk closed the manager interface"
            name, _, value = line.decode(errors="replace").partition(":")
            message[name] = value.strip()
        return message


@contextmanager
def dialler(port: int) -> Iterator[Dialler]:
    """Logs in at this port of 127.0.0.1."""
    with (
        socket.create_connection(("127.0.0.1", port), 2 * PATIENCE) as connection,
        connection.makefile("rb") as peer,
    ):
        yield Dialler(connection, peer)
