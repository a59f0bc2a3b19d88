"""The client's side of AGI: what Asterisk sends, for ``callgate probe`` and for tests.

Rule: bytes are built and read exactly as res/res_agi.c does, as far as a gateway can tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import Malformed
from gateway.protocols.buffer import Buffer

MAX_COMMAND: Final = 2048
"""The size of Asterisk's own line buffer."""

_mset = re.compile(r'EXEC MSet "([^"]*)"').fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What a channel puts into an environment; numbers as Asterisk writes them, raw."""

    name: str = "PJSIP/trunk-00000000"
    type: str = "PJSIP"
    unique_id: str = "1795362711.0"
    version: str = "22.10.1"
    caller: str = "unknown"
    caller_name: str = "unknown"
    dnid: str = "unknown"
    context: str = "from-trunk"
    extension: str = "s"


def environment(url: str, channel: Channel, args: Sequence[str] = ()) -> bytes:
    """The environment of ``AGI(url,args…)`` on a channel, with its blank line.

    Nothing is escaped, as in Asterisk: a newline in a caller's name forges lines.
    """
    values = (
        ("network", "yes"),
        ("network_script", url.partition("://")[2].partition("/")[2]),
        *(("request", url), ("channel", channel.name), ("language", "en")),
        *(("type", channel.type), ("uniqueid", channel.unique_id), ("version", channel.version)),
        *(("callerid", channel.caller), ("calleridname", channel.caller_name)),
        *((f"calling{key}", "0") for key in ("pres", "ani2", "ton", "tns")),
        *(("dnid", channel.dnid), ("rdnis", "unknown"), ("context", channel.context)),
        *(("extension", channel.extension), ("priority", "3"), ("enhanced", "0.0")),
        *(("accountcode", ""), ("threadid", "139694168430272")),
        *((f"arg_{number}", arg) for number, arg in enumerate(args, start=1)),
    )
    return "".join(f"agi_{key}: {value}\n" for key, value in values).encode() + b"\n"


class AgiClient:
    """Reads the commands of a server and answers them as Asterisk would."""

    __slots__ = ("_buffer", "commands", "variables")

    def __init__(self) -> None:
        self._buffer = Buffer(MAX_COMMAND)
        self.variables: dict[str, str] = {}
        self.commands: list[str] = []

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the server; return the replies to the commands they complete.

        Raises:
            TooLong: a command longer than Asterisk's buffer.
            Malformed: a command that is not ASCII.
        """
        self._buffer.extend(data)
        replies = bytearray()
        while (line := self._buffer.take(b"\n")) is not None:
            replies += self._run(line)
        return bytes(replies)

    @property
    def half(self) -> bool:
        """Whether half a line is waiting: what would make Asterisk spin."""
        return len(self._buffer) > 0

    def _run(self, line: bytes) -> bytes:
        if not line.isascii():
            raise Malformed("a command that is not ASCII")
        command = line.decode("ascii")
        self.commands.append(command)
        match = _mset(command)
        if match is None:
            return b"510 Invalid or unknown command\n"
        for pair in match[1].split(","):
            name, separator, value = pair.partition("=")
            if separator:
                self.variables[name] = value
        return b"200 result=0\n"
