"""What a PBX asks of the gateway, whichever PBX it is.

Rule: a request is understood whole or it is ``Refused``, which is answered with a block: an
attacker must never reach the outage branch of a dialplan by being unreadable.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from gateway.calls import Call

has_control: Final = re.compile(r"[\x00-\x1f\x7f]").search
"""No number, name or id of an honest call holds one."""


class ScreenRequest(Struct, frozen=True, gc=False):
    """A call to screen. ``report``: it has happened already and is only decided and recorded."""

    call: Call
    key: str = ""
    report: bool = False


class Refused(Struct, frozen=True, gc=False):
    """A hostile request. ``call`` holds what could be read of it, for the record only."""

    why: str
    call: Call


class Bad(Exception):
    """Why a request is hostile; never leaves the mappers."""


def scope(name: str) -> str:
    """The trunk or campaign that a dialplan names: ``-`` stands for none."""
    return "" if name == "-" else name
