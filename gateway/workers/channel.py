"""Messages between the parent and a worker: msgpack behind four bytes of length, on a socket pair.

Rule 1: nobody waits to send. What the other side does not read is kept up to ROOM bytes; beyond
that a message is not sent, and the sender is told so.
Rule 2: one that is too long, or that cannot be read, ends the channel: both sides run the same
program, so it is a bug and nothing that follows it can be trusted.
Rule 3: whoever handles a message must not take the channel down: its errors are logged.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

import msgspec

log = logging.getLogger(__name__)

LONGEST = 8 * 2**20
"""Bytes of one message."""
ROOM = 16 * 2**20
"""Bytes that may wait for the other side."""
_LENGTH = 4


class Channel(asyncio.Protocol):
    """One end. ``known`` is the union of what the other side may say."""

    def __init__(
        self, known: Any, received: Callable[[Any], None], ended: Callable[[], None]
    ) -> None:
        self._decoder = msgspec.msgpack.Decoder(known)
        self._encoder = msgspec.msgpack.Encoder()
        self._received = received
        self._ended = ended
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def on(
        cls,
        end: socket.socket,
        known: Any,
        received: Callable[[Any], None],
        ended: Callable[[], None],
    ) -> Channel:
        """Talk over one end of a socket pair; ``ended`` is told when the other side is gone."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(
            lambda: cls(known, received, ended), sock=end
        )
        return channel

    def send(self, message: msgspec.Struct) -> bool:
        """Whether it is on its way. It is not when the other side is gone, or does not read."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        data = self._encoder.encode(message)
        if transport.get_write_buffer_size() + len(data) > ROOM:
            return False
        transport.write(len(data).to_bytes(_LENGTH, "big") + data)
        return True

    def close(self) -> None:
        """Close once what was sent has left."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._ended()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._buffer[:_LENGTH], "big")
            if end > LONGEST + _LENGTH:
                self._broken(f"a message of {end - _LENGTH} bytes")
                return
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[_LENGTH:end])
            del self._buffer[:end]
            if not self._take(message):
                return

    def _take(self, data: bytes) -> bool:
        try:
            message = self._decoder.decode(data)
        except msgspec.MsgspecError as error:
            self._broken(str(error))
            return False
        try:
            self._received(message)
        except Exception:
            log.exception("a message could not be handled: %s", type(message).__name__)
        return True

    def _broken(self, why: str) -> None:
        log.error("the channel between parent and worker is broken: %s", why)
        self._buffer.clear()
        if self._transport is not None:
            self._transport.abort()
