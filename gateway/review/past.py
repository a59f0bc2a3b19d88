"""Past calls: from the record of an attempt back to the call that was screened.

Rule: a record that the policy did not decide (``hostile``, ``unauthorised``, ``error``) is no
call to decide again, nor is one whose caller or callee was erased.

A record keeps one campaign: the one that the dialplan named, or else the one that owns the number.
Which it was matters only where two policies disagree about the number (``owned``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.attempts.erasure import ERASED
from gateway.attempts.model import Attempt
from gateway.calls import Call, Direction, Presentation
from gateway.policy.model import Policy, Reason

UNDECIDED = frozenset({Reason.HOSTILE, Reason.UNAUTHORISED, Reason.ERROR})
_DECIDED = frozenset(reason.value for reason in Reason if reason not in UNDECIDED)
_DIRECTIONS = {item.value: item for item in Direction}
_PRESENTATIONS = {item.value: item for item in Presentation}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One attempt of many. ``caller`` and ``callee`` are in E.164, or raw where they are not."""

    at: float
    direction: str
    caller: str
    callee: str
    campaign: str
    attempt: str


def call_of(attempt: Attempt) -> Call | None:
    """The call as it was screened; None when the policy did not decide it, or a party is erased.

    ``campaign`` is the recorded one. ``emergency_at`` is not recorded and 0.
    """
    direction = _DIRECTIONS.get(attempt.direction)
    presentation = _PRESENTATIONS.get(attempt.presentation)
    if direction is None or presentation is None or attempt.reason not in _DECIDED:
        return None
    if ERASED in (attempt.caller, attempt.callee):
        return None
    return Call(
        direction=direction,
        caller=attempt.caller,
        callee=attempt.callee,
        at=attempt.at,
        trunk=attempt.trunk,
        campaign=attempt.campaign,
        extension=attempt.extension,
        pbx=attempt.pbx,
        channel_id=attempt.channel_id,
        linked_id=attempt.linked_id,
        presentation=presentation,
        caller_name=attempt.caller_name,
        attestation=attempt.attestation,
    )


def owned(attempt: Attempt, policies: Iterable[Policy]) -> bool:
    """Whether it matters if the campaign was named or follows from the number, and is not known.

    So where the number belongs to the campaign in one policy and not in another. In all: both
    readings are one call. In none: nothing says that it ever did.
    """
    if not attempt.campaign or attempt.unknown_scope:
        return False
    inbound = attempt.direction == Direction.INBOUND
    digits = (attempt.callee_e164 if inbound else attempt.caller_e164).removeprefix("+")
    belongs = {policy.dids.get(digits) == attempt.campaign for policy in policies}
    return len(belongs) == 2


def unnamed(call: Call) -> Call:
    """The call as it would be had the dialplan named no campaign."""
    return replace(call, campaign="")


def example_of(attempt: Attempt) -> Example:
    return Example(
        at=attempt.at,
        direction=attempt.direction,
        caller=attempt.caller_e164 or attempt.caller,
        callee=attempt.callee_e164 or attempt.callee,
        campaign=attempt.campaign,
        attempt=attempt.id,
    )


def remote_of(attempt: Attempt) -> str:
    """The number of the remote party: in E.164, else as the PBX wrote it."""
    if attempt.direction == Direction.INBOUND:
        return attempt.caller_e164 or attempt.caller
    return attempt.callee_e164 or attempt.callee
