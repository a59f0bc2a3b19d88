"""What Asterisk says first on a FastAGI connection: its keys, the URL among them, and their faults.

Rule 1: keys are checked, every one and in its place; only what precedes a caller's text is read.
Rule 2: what an environment is in one expression (``request_of``) and line by line (``path_of``,
``fault_of``) is the same.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

MAX_ENVIRONMENT: Final = 16 * 1024
"""Bytes of an environment; a real one has about 800."""
FIRST_LINE: Final = b"agi_network: yes"
_KEYS: Final = tuple(
    f"agi_{key}: ".encode()
    for key in (
        *("network", "network_script", "request", "channel", "language", "type", "uniqueid"),
        *("version", "callerid", "calleridname", "callingpres", "callingani2", "callington"),
        *("callingtns", "dnid", "rdnis", "context", "extension", "priority", "enhanced"),
        *("accountcode", "threadid"),
    )
)
"""In the order of ``setup_env`` in res/res_agi.c, the same in Asterisk 16 to 22."""
_UNIQUE_ID = 6
_KEPT: Final = {1: rb"(.*+)", 2: rb"h?agi://[^/\n]*+/\1", _UNIQUE_ID: rb"(.*+)"}
_is_environment: Final = re.compile(
    FIRST_LINE
    + b"".join(b"\n" + key + _KEPT.get(at, rb".*+") for at, key in enumerate(_KEYS) if at)
    + rb"\n\n"
).fullmatch
"""Every key in its place, one URL in lines 2 and 3, no argument, and nothing behind it."""


class Request(Struct, frozen=True, gc=False):
    """A whole and honest environment.

    ``path`` is what follows the host in the URL, as the dialplan wrote it: nothing is decoded.
    """

    path: str
    unique_id: str


def request_of(data: bytes) -> Request | None:
    """What a whole and honest environment asks, if these bytes are one and nothing else."""
    found = _is_environment(data)
    if found is None or b"\0" in data or len(data) > MAX_ENVIRONMENT:
        return None
    path, unique_id = found.groups()
    try:
        return Request(path.decode("utf-8"), unique_id.decode("utf-8", "replace"))
    except UnicodeDecodeError:
        return None


def path_of(lines: list[bytes]) -> str | None:
    """The path that lines 2 and 3 agree on; None when they do not, or are not UTF-8."""
    if len(lines) < 3 or lines[0] != FIRST_LINE:
        return None
    script, request = lines[1], lines[2]
    if not script.startswith(_KEYS[1]) or not request.startswith(_KEYS[2]):
        return None
    path = script[len(_KEYS[1]) :]
    scheme, separator, rest = request[len(_KEYS[2]) :].partition(b"://")
    if scheme not in (b"agi", b"hagi") or not separator or rest.partition(b"/")[2] != path:
        return None
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        return None


def fault_of(lines: list[bytes]) -> str:
    """What is wrong with the keys of an environment; empty when nothing is."""
    if len(lines) < len(_KEYS):
        return f"an environment of {len(lines)} lines"
    for line, key in zip(lines, _KEYS, strict=False):
        if not line.startswith(key):
            return f"no {key[:-2].decode()} where Asterisk has it"
    for number, line in enumerate(lines[len(_KEYS) :], start=1):
        if not line.startswith(b"agi_arg_%d: " % number):
            return f"no agi_arg_{number} where Asterisk has it"
    return ""


def request_on(path: str, lines: list[bytes]) -> Request:
    """What the lines of an environment without a fault ask for."""
    unique_id = lines[_UNIQUE_ID][len(_KEYS[_UNIQUE_ID]) :]
    return Request(path, unique_id.decode("utf-8", "replace"))
