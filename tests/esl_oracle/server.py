"""The server of an inbound event socket, written with our codec for python-ESL to connect to.

Rule: it writes as mod_event_socket does (values URL-encoded, a body only behind its length) and
reads what its client sends with ``EslReader``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.protocols.esl import EslReader, Message
from tests.fakes.freeswitch import captured, encoded

Headers = Iterable[tuple[str, str]]


def block(headers: Headers) -> bytes:
    """Header lines and the blank one."""
    return b"".join(b"%b: %b\n" % (name.encode(), encoded(text)) for name, text in headers) + b"\n"


def reply(text: str) -> bytes:
    """The reply to a command."""
    return f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode()


def with_body(content_type: str, body: bytes) -> bytes:
    """A message with a body, such as ``api/response``."""
    return f"Content-Length: {len(body)}\nContent-Type: {content_type}\n\n".encode() + body


def event_plain(headers: Headers, body: bytes = b"") -> bytes:
    """An event as ``event plain`` brings it; its own body has a length of its own."""
    own = [*headers, ("Content-Length", str(len(body)))] if body else headers
    return with_body("text/event-plain", block(own) + body)


@dataclass
class Server:
    """One session. ``answer`` says what to send for the first line of a command.

    It is for a client that waits for each reply, as python-ESL does. ``commands`` holds the
    first lines and what our codec read of the rest, ``received`` the bytes.
    """

    answer: Callable[[str], bytes]
    chunk: int = 65536
    port: int = 0
    commands: list[tuple[str, Message]] = field(default_factory=list)
    received: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        codec, start = EslReader(), 0
        try:
            await self._send(writer, captured("inbound.auth-request"))
            while read := await reader.read(4096):
                self.received += read
                codec.receive(read)
                if (message := codec.next_message()) is not None:
                    line = self.received[start:].lstrip(b"\n").partition(b"\n")[0].decode()
                    start = len(self.received)
                    self.commands.append((line, message))
                    await self._send(writer, self.answer(line))
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for start in range(0, len(data), self.chunk):
            writer.write(data[start : start + self.chunk])
            await writer.drain()
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    """On loopback as long as the block runs."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        server.port = listener.sockets[0].getsockname()[1]
        yield server
