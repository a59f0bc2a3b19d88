"""The commands that the gateway sends to FreeSWITCH, each made whole or not at all.

Rule 1: neither CR, LF nor NUL leaves in a value: a line end would begin a command of the caller's.
Rule 2: variables come from fixed sets of characters. FreeSWITCH expands ``${…}`` in the argument
of every application it executes, API calls included, so ``$`` and ``{`` never leave either.
Rule 3: never ``getvar``: it echoes newlines raw, and a blank line would end its reply early.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.errors import LocalProtocolError

CONNECT: Final = b"connect\n\n"
"""The only first command of an outbound socket: any other hangs the channel for ever."""
RESUME: Final = b"resume\n\n"
EXIT: Final = b"exit\n\n"
REJECT: Final = b"sendmsg\ncall-command: hangup\nhangup-cause: CALL_REJECTED\n\n"
MAX_VALUE: Final = 80

_is_name = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_is_value = re.compile(rf"[A-Za-z0-9+._ -]{{0,{MAX_VALUE}}}").fullmatch
is_word = re.compile(r"[A-Za-z0-9_+*#.][A-Za-z0-9_+*#.:/@-]{0,255}").fullmatch
"""Whether a text can be an argument of an API command: one word, of which nothing is expanded."""
_ends_line = re.compile(r"[\r\n\0]").search


def line(text: str) -> bytes:
    """One command. Raises LocalProtocolError for a line end or NUL inside it."""
    if not text or _ends_line(text):
        raise LocalProtocolError(f"not a command of one line: {text!r}")
    return text.encode("utf-8") + b"\n\n"


def execute(application: str, argument: str = "", *, uuid: str = "") -> bytes:
    """``sendmsg`` that runs a dialplan application on the channel, or on that of ``uuid``."""
    for text in (application, argument, uuid):
        if _ends_line(text):
            raise LocalProtocolError(f"a line end in {text!r}")
    lines = [f"sendmsg {uuid}" if uuid else "sendmsg", "call-command: execute"]
    lines.append(f"execute-app-name: {application}")
    if argument:
        lines.append(f"execute-app-arg: {argument}")
    return "\n".join(lines).encode("utf-8") + b"\n\n"


def multiset(values: Mapping[str, str]) -> bytes:
    """Sets channel variables, all in one command.

    Raises:
        LocalProtocolError: no variable, or a name or value outside the allowed sets.
    """
    if not values:
        raise LocalProtocolError("no variable to set")
    for name, value in values.items():
        if not _is_name(name) or not _is_value(value):
            raise LocalProtocolError(f"not a variable that can be sent: {name!r}={value!r}")
    pairs = ":".join(f"{name}={value}" for name, value in values.items())
    return execute("multiset", "^^:" + pairs)


def api(command: str, *arguments: str) -> bytes:
    """An API command whose arguments are words: no blank, no ``$``, so nothing is expanded.

    Raises:
        LocalProtocolError: an argument that is no such word.
    """
    for text in (command, *arguments):
        if not is_word(text):
            raise LocalProtocolError(f"not a word of an API command: {text!r}")
    return line(" ".join(("api", command, *arguments)))


def setvar_multi(uuid: str, values: Mapping[str, str]) -> bytes:
    """Sets variables of any channel, with the same sets of characters as ``multiset``."""
    if not values or not is_word(uuid):
        raise LocalProtocolError(f"no variable to set, or no channel: {uuid!r}")
    for name, value in values.items():
        if not _is_name(name) or not _is_value(value):
            raise LocalProtocolError(f"not a variable that can be sent: {name!r}={value!r}")
    pairs = ";".join(f"{name}={value}" for name, value in values.items())
    return line(f"api uuid_setvar_multi {uuid} {pairs}")
