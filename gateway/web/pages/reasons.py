"""Why a call got its verdict, in words for a line of a table: the one place that has them."""

from __future__ import annotations

from typing import Final

from gateway.policy.model import Reason

WORDS: Final[dict[str, str]] = {
    Reason.EMERGENCY: "emergency number",
    Reason.EMERGENCY_CALLBACK: "call back after an emergency call",
    Reason.BINDING: "binding list",
    Reason.LIST: "listed",
    Reason.ANONYMOUS: "caller withheld the number",
    Reason.NO_NUMBER: "call came without a number",
    Reason.INVALID: "no valid number",
    Reason.UNASSIGNED: "number that nobody has",
    Reason.REGION: "country",
    Reason.TYPE: "type of number",
    Reason.INTERNAL: "call to an extension",
    Reason.DEFAULT: "nothing lists it",
    Reason.CONFIG: "trunk or campaign is not in the policy",
    Reason.HOSTILE: "request that no PBX of ours sends",
    Reason.UNAUTHORISED: "request without the secret",
    Reason.ERROR: "fault in the gateway",
}


def in_words(reason: str) -> str:
    """A reason in words; one of another version as it is."""
    return WORDS.get(reason, reason)
