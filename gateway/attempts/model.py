"""The record of one screened call: the call, its verdict and what became of the answer.

A record is one JSON object on one line of the journal; its keys are the field names here.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Delivery(StrEnum):
    """What became of the answer. ``pending`` until a second line says more."""

    PENDING = "pending"
    SENT = "sent"
    CONFIRMED = "confirmed"
    LOST = "lost"
    REPORTED = "reported"


class Shadow(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The verdict that shadow lists would have given, where it differs."""

    verdict: str
    reason: str
    list: str = ""
    entry: str = ""
    response: int = 0


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One screened call; the order of the fields is that of the keys of its line.

    ``id`` sorts by time. ``at`` is UTC seconds since the epoch; ``elapsed_us`` the microseconds
    from the parsed request to the verdict. ``caller`` and ``callee`` are raw, ``*_e164`` as read.
    ``verdict`` is ``allow`` or ``block``; ``frontend`` is ``agi``, ``esl``, ``http``, ``ami``, …
    """

    id: str
    at: float
    direction: str
    verdict: str
    reason: str
    revision: str
    caller: str = ""
    caller_e164: str = ""
    callee: str = ""
    callee_e164: str = ""
    presentation: str = "allowed"
    trunk: str = ""
    campaign: str = ""
    extension: str = ""
    pbx: str = ""
    channel_id: str = ""
    linked_id: str = ""
    caller_name: str = ""
    attestation: str = ""
    party: str = ""
    list: str = ""
    entry: str = ""
    kind: str = ""
    origin: str = ""
    note: str = ""
    response: int = 0
    unknown_scope: bool = False
    shadow: Shadow | None = None
    frontend: str = ""
    elapsed_us: float = 0.0
    delivery: str = Delivery.PENDING.value
