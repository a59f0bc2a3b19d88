"""A ``Verdict`` as channel variables, whichever PBX they are for.

Rule: nothing here comes from a caller's raw text, and every value is cleaned all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.pbx import variables
from gateway.pbx.variables import clean
from gateway.policy.model import Verdict, is_response

_FALLBACK_RESPONSE: Final = 603
_all_sendable = re.compile(
    rf"{variables.sendable}\n{variables.sendable}\n{variables.sendable}"
).fullmatch


def answer(
    verdict: Verdict, attempt_id: str, causes: Mapping[int, int], other_cause: int
) -> dict[str, str]:
    """The variables that tell a dialplan a verdict. Empty ones are left out.

    ``causes`` gives the Q.850 cause for which the PBX sends a SIP status, ``other_cause`` that
    of every other status.
    """
    response = _response(verdict)
    values = {
        variables.VERDICT: verdict.action.value,
        variables.RESPONSE: str(response) if response else "",
        variables.CAUSE: str(causes.get(response, other_cause)) if response else "",
        variables.REASON: verdict.reason.value,
        variables.LIST: verdict.list,
        variables.ENTRY: verdict.entry,
        variables.NUMBER: verdict.number,
        variables.ATTEMPT: attempt_id,
    }
    return {name: clean(value) for name, value in values.items() if value}


def ending(verdict: Verdict, attempt_id: str, separator: str) -> str:
    """The part of an answer that is another for every call, each variable behind a separator."""
    entry, number = verdict.entry, verdict.number
    if _all_sendable(f"{entry}\n{number}\n{attempt_id}"):
        text = f"{separator}{variables.ENTRY}={entry}" if entry else ""
        if number:
            text = f"{text}{separator}{variables.NUMBER}={number}"
        return f"{text}{separator}{variables.ATTEMPT}={attempt_id}" if attempt_id else text
    values = {variables.ENTRY: entry, variables.NUMBER: number, variables.ATTEMPT: attempt_id}
    told = (f"{separator}{name}={clean(value)}" for name, value in values.items() if value)
    return "".join(told)


def _response(verdict: Verdict) -> int:
    """The SIP status to reject with; 0 when allowed."""
    if not verdict.blocked:
        return 0
    return verdict.response if is_response(verdict.response) else _FALLBACK_RESPONSE
