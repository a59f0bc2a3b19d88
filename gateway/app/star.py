"""Star codes: a telephone blocks or unblocks one number, and hears what became of it.

The rule: success is said only of a number that can call again. What ``policy.yaml`` blocks, or a
managed prefix, stays blocked when its own managed entry is gone: that is ``refused``, and the log
says by what. A telephone cannot be asked back: what an entry covers is kept in the change log, and
an emergency number is refused.
"""

from __future__ import annotations

import logging
import time

from msgspec.structs import replace

from gateway.calls import Call, Direction
from gateway.entries import Asked, NewChange, Op, understand
from gateway.errors import EntryError, StoreError
from gateway.frontends.fastagi import REFUSED
from gateway.pbx.asterisk import EntryRequest
from gateway.policy.decide import decide
from gateway.policy.model import EntryKind, Policy, Verdict
from gateway.reload import PolicyStore

log = logging.getLogger(__name__)

_OPS = {"block": Op.ADD, "unblock": Op.REMOVE}


async def carry_out(request: EntryRequest, policies: PolicyStore) -> str:
    """The value of ``CALLGATE_STATUS`` for a star code."""
    who = f"extension {request.by}" if request.by else "star code"
    try:
        change = _read(request, policies.current, who)
        status = (await policies.apply_changes([change]))[0].status.value
        if change.op is Op.REMOVE and (block := still_blocked(change.digits, policies.current)):
            by = f"list {block.list} ({block.origin})" if block.list else f"the {block.reason}"
            raise EntryError(f"+{change.digits} is {status}, but {by} still blocks it")
    except (EntryError, StoreError) as error:
        log.warning("a star code of %s was refused: %s", who, error)
        return REFUSED
    return status


def still_blocked(digits: str, policy: Policy) -> Verdict | None:
    """What blocks a call from a number, else one to it, that names no trunk and no campaign."""
    call = Call(direction=Direction.INBOUND, caller=f"+{digits}", callee="", at=time.time())
    back = replace(call, direction=Direction.OUTBOUND, caller="", callee=call.caller)
    verdicts = (decide(each, policy) for each in (call, back))
    return next((verdict for verdict in verdicts if verdict.blocked), None)


def _read(request: EntryRequest, policy: Policy, who: str) -> NewChange:
    """A slip of the finger must not block a prefix."""
    asked = Asked(number=request.number)
    op = _OPS[request.op]
    change = understand(asked, op, policy, who=who, source="star", forced=True).change
    if change.kind is not EntryKind.NUMBER:
        raise EntryError(f"{request.number!r} is no whole number")
    return change
