"""The one command that the gateway ever sends: ``EXEC MSet``, every variable in one round trip.

Rule 1: a command is one line with its newline, made whole or not at all: Asterisk spins in
``fgets`` on half a line, blind to hangups and limits.
Rule 2: names and values come from fixed sets of characters, so that nothing ever needs quoting:
one long line of quoted words crashes Asterisk 22 and older (asterisk#2069).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.errors import LocalProtocolError

MAX_VALUE = 80
MAX_LINE = 1000

_is_name = re.compile(r"[A-Z_]+").fullmatch
_is_value = re.compile(rf"[A-Za-z0-9+._ -]{{0,{MAX_VALUE}}}").fullmatch


def mset(values: Mapping[str, str]) -> bytes:
    """``EXEC MSet "A=1,B=2"`` with its newline.

    Raises:
        LocalProtocolError: no variable, a name not of ``[A-Z_]+``, a value not of
            ``[A-Za-z0-9+._ -]`` or longer than 80 bytes, a line longer than 1000 bytes.
    """
    pairs = []
    for name, value in values.items():
        if not _is_name(name) or not _is_value(value):
            raise LocalProtocolError(f"not a variable that can be sent: {name!r}={value!r}")
        pairs.append(f"{name}={value}")
    line = 'EXEC MSet "' + ",".join(pairs) + '"\n'
    if not pairs or len(line) > MAX_LINE:
        raise LocalProtocolError(f"{len(pairs)} variables in a line of {len(line)} bytes")
    return line.encode("ascii")
