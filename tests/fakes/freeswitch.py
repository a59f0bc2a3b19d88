"""A fake FreeSWITCH: one channel that runs ``socket`` against a real server.

Rule: its bytes are those of FreeSWITCH 1.11.1 (``tests/vectors/esl``), and it is as touchy: a
first command other than ``connect`` gets no reply ever, ``resume`` on a sync socket leaves the
channel stuck, and an async channel goes on only when it was told to or has ``socket_resume``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

VECTORS = Path(__file__).parent.parent / "vectors" / "esl"
CONNECT, RESUME, EXIT = b"connect", b"resume", b"exit"
REJECT = b"sendmsg\ncall-command: hangup\nhangup-cause: CALL_REJECTED"
_RESUMES = b"\nvariable_socket_resume: true\n"
_MULTISET = b"sendmsg\ncall-command: execute\nexecute-app-name: multiset\nexecute-app-arg: ^^:"
_UNSAFE_TOO = "/!$'()*,-._~"
"""Punctuation that switch_url_encode leaves alone."""


def captured(name: str) -> bytes:
    """The bytes of one capture, such as ``normal.connect``."""
    return (VECTORS / f"{name}.bin").read_bytes()


def channel_data(
    capture: str = "normal",
    variables: Mapping[str, str] | None = None,
    /,
    *,
    mode: str | None = None,
    headers: Mapping[str, str | bytes | None] | None = None,
    **more: str,
) -> bytes:
    """A captured reply to ``connect``, with headers and channel variables set or taken out.

    Texts are encoded as FreeSWITCH does it, bytes are put in raw; None takes a header out.
    """
    changes: dict[str, str | bytes | None] = dict(headers or {})
    changes |= {f"variable_{name}": value for name, value in {**(variables or {}), **more}.items()}
    if mode:
        changes["Socket-Mode"] = mode
    lines = captured(f"{capture}.connect").rstrip(b"\n").split(b"\n")
    kept = [line for line in lines if line.partition(b": ")[0].decode() not in changes]
    made = [
        name.encode() + b": " + (value if isinstance(value, bytes) else encoded(value))
        for name, value in changes.items()
        if value is not None
    ]
    return b"\n".join([*kept[:-4], *made, *kept[-4:]]) + b"\n\n"


def encoded(text: str) -> bytes:
    """A value as switch_event_serialize writes it."""
    return quote(text, safe=_UNSAFE_TOO).encode() or b"_undef_"


@dataclass
class Channel:
    """What the channel was told and what became of it."""

    is_async: bool
    socket_resume: bool
    variables: dict[str, str] = field(default_factory=dict)
    commands: list[bytes] = field(default_factory=list)
    received: bytes = b""
    resumed: bool = False
    rejected: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether the dialplan goes on now that the socket is closed."""
        if not self.commands or self.commands[0] != CONNECT:
            return False
        if self.is_async:
            return self.resumed or self.socket_resume
        return not self.resumed

    def run(self, command: bytes, capture: str) -> bytes:
        """Carry out one command after ``connect``; its reply."""
        if command == RESUME:
            self.resumed = True
            return captured("normal.resume-reply")
        if command == REJECT:
            self.rejected = True
            return captured(f"{capture}.sendmsg-reply")
        if command == EXIT:
            return captured(f"{capture}.exit-reply")
        assert command.startswith(_MULTISET), command
        for pair in command.removeprefix(_MULTISET).decode("ascii").split(":"):
            name, _, value = pair.partition("=")
            self.variables[name] = value
        return captured(f"{capture}.sendmsg-reply")


async def esl_call(
    host: str,
    port: int,
    capture: str = "normal",
    *,
    data: bytes | None = None,
    chunk: int = 0,
) -> Channel:
    """Run one outbound socket to its end.

    ``data`` replaces the capture's reply to ``connect``; ``chunk`` sends it in pieces of that
    many bytes. Asserts that no half command was left.
    """
    sent = captured(f"{capture}.connect") if data is None else data
    channel = Channel(b"\nSocket-Mode: async\n" in sent, _RESUMES in sent)
    reader, writer = await asyncio.open_connection(host, port)
    half = b""
    try:
        while read := await reader.read(4096):
            channel.received += read
            *commands, half = (half + read).split(b"\n\n")
            for command in commands:
                await _run(channel, command, capture, writer, sent, chunk)
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert not half, "half a command"
    return channel


async def _run(
    channel: Channel,
    command: bytes,
    capture: str,
    writer: asyncio.StreamWriter,
    data: bytes,
    chunk: int,
) -> None:
    channel.commands.append(command)
    if len(channel.commands) > 1:
        writer.write(channel.run(command, capture))
        if command == EXIT:
            writer.close()
        return
    assert command == CONNECT, "a first command other than connect hangs the channel"
    size = chunk or max(1, len(data))
    for start in range(0, len(data), size):
        writer.write(data[start : start + size])
        await writer.drain()
        await asyncio.sleep(0)
