"""One call set-up as the PBX described it, before anything is decided about it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Direction(StrEnum):
    """What the dialplan says; never guessed (FreeSWITCH's Call-Direction describes a leg)."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Presentation(StrEnum):
    """Whether the caller lets its number be shown (RFC 3323 privacy, Q.931 presentation)."""

    ALLOWED = "allowed"
    RESTRICTED = "restricted"
    UNAVAILABLE = "unavailable"


class Call(msgspec.Struct, frozen=True, gc=False):
    """The facts of one call set-up. Numbers are raw text, as the PBX passed them.

    ``at`` is the UTC time in seconds since the epoch at which the frontend received the call:
    the only clock of a decision. ``emergency_at`` is when the last outbound emergency call was
    seen on the same trunk (0: never); the screener fills it in.
    ``trunk`` and ``campaign`` are empty when the dialplan names none.
    """

    direction: Direction
    caller: str
    callee: str
    at: float
    trunk: str = ""
    campaign: str = ""
    extension: str = ""
    pbx: str = ""
    channel_id: str = ""
    linked_id: str = ""
    presentation: Presentation = Presentation.ALLOWED
    emergency_at: float = 0.0
    caller_name: str = ""
    attestation: str = ""

    @property
    def remote(self) -> str:
        """The raw number of the remote party: inbound the caller, outbound the callee."""
        return self.caller if self.direction is Direction.INBOUND else self.callee
