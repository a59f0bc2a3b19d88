"""A scripted FreeSWITCH at the other end of its inbound event socket.

Its framing and replies are those of FreeSWITCH 1.11.1 (``tests/vectors/esl``, inbound captures).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.fakes.freeswitch import captured, encoded

PASSWORD = "s3cret"
UUID = "0e33b7ed-9427-4289-8804-cecab5152c1c"
Script = Callable[["Session", str], None]


def channel(
    uuid: str = UUID,
    *,
    state: str = "CS_EXECUTE",
    variables: Mapping[str, str] | None = None,
    **headers: str,
) -> dict[str, str]:
    """The headers of a channel in an event, names as FreeSWITCH writes them."""
    told = {
        "Channel-State": state,
        "Channel-Name": "sofia/ext/+15551234567@127.0.0.1",
        "Unique-ID": uuid,
        "Call-Direction": "inbound",
        "Channel-Call-UUID": uuid,
        "Caller-Caller-ID-Number": "+15551234567",
        "Caller-Destination-Number": "0140000000",
    }
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    return told | {f"variable_{name}": value for name, value in (variables or {}).items()}


def parked(uuid: str = UUID, **variables: str) -> dict[str, str]:
    """A call that the dialplan has parked, with what it says of it."""
    return channel(uuid, variables={"current_application": "park", **variables})


def leg(dialled: str, uuid: str = UUID, **variables: str) -> dict[str, str]:
    """A leg on its way out through a gateway."""
    told = channel(uuid, state="CS_INIT", variables={"sip_gateway_name": "carrier", **variables})
    return told | {
        "Call-Direction": "outbound",
        "Channel-Name": f"sofia/external/{dialled}",
        "Caller-Destination-Number": dialled,
    }


def block(headers: Mapping[str, str]) -> bytes:
    return b"".join(
        name.encode() + b": " + encoded(value) + b"\n" for name, value in headers.items()
    )


def event(name: str, headers: Mapping[str, str]) -> bytes:
    """An event as it comes."""
    body = block({"Event-Name": name, **headers}) + b"\n"
    return f"Content-Length: {len(body)}\nContent-Type: text/event-plain\n\n".encode() + body


@dataclass
class Session:
    """One client."""

    writer: asyncio.StreamWriter

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    def event(self, name: str, headers: Mapping[str, str]) -> None:
        self.raw(event(name, headers))

    def reply(self, text: str) -> None:
        self.raw(f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode())

    def response(self, body: str | bytes) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.raw(f"Content-Type: api/response\nContent-Length: {len(data)}\n\n".encode() + data)

    def close(self) -> None:
        self.writer.close()


@dataclass
class EventSocket:
    """``channels`` are those that ``show channels`` tells, with their application."""

    script: Mapping[str, Script] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)
    dumps: dict[str, Mapping[str, str]] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    port: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def session(self) -> Session:
        return self.sessions[-1]

    def told(self, word: str) -> list[str]:
        """The API commands of this name, without it."""
        start = f"api {word} "
        return [text.removeprefix(start) for text in self.commands if text.startswith(start)]

    async def until(self, word: str, times: int = 1) -> list[str]:
        """Wait for so many API commands of this name."""
        while len(self.told(word)) < times:
            self._news.clear()
            await self._news.wait()
        return self.told(word)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(writer)
        self.sessions.append(session)
        if (greet := self.script.get("greeting")) is not None:
            greet(session, "")
        else:
            session.raw(captured("inbound.auth-request"))
        try:
            while True:
                command = (await reader.readuntil(b"\n\n")).decode().rstrip("\n")
                self.commands.append(command)
                words = command.removeprefix("api ").split(" ")
                (self.script.get(words[0]) or self._answer)(session, command)
                self._news.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, session: Session, command: str) -> None:
        words = command.split(" ")
        match words:
            case ["auth", *given]:
                right = " ".join(given) == PASSWORD
                session.raw(captured(f"inbound.auth-{'accepted' if right else 'refused'}"))
            case ["event", "plain", *_]:
                session.raw(captured("inbound.event-reply"))
            case ["api", "show", *_]:
                rows = [{"uuid": uuid, "application": app} for uuid, app in self.channels.items()]
                shown = {"row_count": len(rows)} | ({"rows": rows} if rows else {})
                session.response(json.dumps(shown) + "\n")
            case ["api", "uuid_dump", uuid] if uuid in self.dumps:
                session.response(block({"Event-Name": "CHANNEL_DATA", **self.dumps[uuid]}) + b"\n")
            case ["api", "uuid_dump", *_]:
                session.response("-ERR No such channel!\n")
            case _:
                session.response("+OK\n")


@asynccontextmanager
async def event_socket(**script: Script) -> AsyncIterator[EventSocket]:
    """An event socket on loopback; ``script`` says what it does with commands by name."""
    fake = EventSocket(script)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for session in fake.sessions:
            session.close()
