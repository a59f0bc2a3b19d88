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
from tests.fakes.manager import Client, Manager, served

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


class Session(Client):
    """One client."""

    def event(self, name: str, headers: Mapping[str, str]) -> None:
        self.raw(event(name, headers))

    def reply(self, text: str) -> None:
        self.raw(f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode())

    def response(self, body: str | bytes) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.raw(f"Content-Type: api/response\nContent-Length: {len(data)}\n\n".encode() + data)


@dataclass
class EventSocket(Manager[Session, str]):
    """``channels`` are those that ``show channels`` tells, with their application; those that are
    ``outbound`` too are legs.
    """

    script: Mapping[str, Script] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)
    outbound: set[str] = field(default_factory=set)
    dumps: dict[str, Mapping[str, str]] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    def told(self, word: str) -> list[str]:
        """The API commands of this name, without it."""
        start = f"api {word} "
        return [text.removeprefix(start) for text in self.commands if text.startswith(start)]

    def begin(self, writer: asyncio.StreamWriter) -> Session:
        session = Session(writer)
        if (greet := self.script.get("greeting")) is not None:
            greet(session, "")
        else:
            session.raw(captured("inbound.auth-request"))
        return session

    def obey(self, session: Session, command: str) -> None:
        self.commands.append(command)
        word = command.removeprefix("api ").split(" ")[0]
        (self.script.get(word) or self.answer)(session, command)

    def answer(self, session: Session, command: str) -> None:
        """What an event socket does by itself."""
        words = command.split(" ")
        match words:
            case ["auth", *given]:
                right = " ".join(given) == PASSWORD
                session.raw(captured(f"inbound.auth-{'accepted' if right else 'refused'}"))
            case ["event", "plain", *_]:
                session.raw(captured("inbound.event-reply"))
            case ["api", "show", *_]:
                rows = [self._row(uuid, app) for uuid, app in self.channels.items()]
                shown = {"row_count": len(rows)} | ({"rows": rows} if rows else {})
                session.response(json.dumps(shown) + "\n")
            case ["api", "uuid_dump", uuid] if uuid in self.dumps:
                session.response(block({"Event-Name": "CHANNEL_DATA", **self.dumps[uuid]}) + b"\n")
            case ["api", "uuid_dump", *_]:
                session.response("-ERR No such channel!\n")
            case _:
                session.response("+OK\n")

    def _row(self, uuid: str, application: str) -> dict[str, str]:
        row = {"uuid": uuid, "application": application}
        return row | {"direction": "outbound"} if uuid in self.outbound else row


@asynccontextmanager
async def event_socket(**script: Script) -> AsyncIterator[EventSocket]:
    """An event socket on loopback; ``script`` says what it does with commands by name."""
    async with served(EventSocket(script)) as fake:
        yield fake
