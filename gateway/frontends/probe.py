"""A call to a running gateway over the wire, as Asterisk would make it, for monitoring."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from gateway.addresses import why_unreachable
from gateway.errors import ControlError
from gateway.protocols.agi_client import AgiClient, Channel, environment

PROBE: Final = "probe"
_CHANNEL: Final = Channel(name="Callgate/probe", type="Callgate", unique_id="0.0")


class NoAnswer(ControlError):
    """The gateway could not be reached, or closed, or said nothing in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a dialplan would have been told, and the seconds from connect to close."""

    variables: dict[str, str]
    seconds: float


async def ask(host: str, port: int, path: str = PROBE, *, timeout: float = 2.0) -> Answer:  # noqa: ASYNC109
    """Send one request and play Asterisk until the gateway closes.

    ``path`` is the path of an AGI URL (``gateway.pbx.asterisk.screen_path`` builds one for a
    call); ``timeout`` is in seconds, for everything.

    Raises:
        NoAnswer: no variable was set; the message says how far it came.
        RemoteProtocolError: what answered is no gateway.
    """
    client = AgiClient()
    started = time.perf_counter()
    stage = "cannot connect"
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port)
            stage = "no answer"
            try:
                writer.write(environment(f"agi://{host}:{port}/{path}", _CHANNEL))
                while data := await reader.read(4096):
                    writer.write(client.receive(data))
            finally:
                writer.close()
    except OSError as error:  # TimeoutError is one
        if not client.variables:
            raise NoAnswer(f"{host}:{port}: {stage}: {why_unreachable(error)}") from error
    if not client.variables:
        raise NoAnswer(f"{host}:{port}: closed without an answer")
    return Answer(client.variables, time.perf_counter() - started)
