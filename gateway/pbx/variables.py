"""Every name that the gateway and a dialplan share. Docs and dialplans are tested against it."""

from __future__ import annotations

import re

VERDICT = "CALLGATE_VERDICT"
"""``allow`` or ``block``; unset is the outage branch."""
RESPONSE = "CALLGATE_RESPONSE"
"""The SIP status to reject with, 400-699; unset when allowed."""
CAUSE = "CALLGATE_CAUSE"
"""The Q.850 cause that makes this PBX send RESPONSE without an exact command; unset if allowed."""
REASON = "CALLGATE_REASON"
"""A code: ``list``, ``binding``, ``anonymous``, ``default``, ``emergency``, …"""
LIST = "CALLGATE_LIST"
"""The name of the list that decided."""
ENTRY = "CALLGATE_ENTRY"
"""The entry that decided, in its ``+`` form."""
NUMBER = "CALLGATE_NUMBER"
"""The remote party in E.164."""
ATTEMPT = "CALLGATE_ATTEMPT"
"""The id of the attempt in the log; the dialplan makes it inheritable."""
FOR = "CALLGATE_FOR"
"""Set by the dialplan, inheritable: the callee, in E.164, that an attempt was decided for."""
STATUS = "CALLGATE_STATUS"
"""The answer to a star code: ``added``, ``exists``, ``removed``, ``absent`` or ``refused``, which
is also said of a number that is still blocked once its managed entry is gone. A probe is answered
``ok``."""

ANSWERED = (VERDICT, RESPONSE, CAUSE, REASON, LIST, ENTRY, NUMBER, ATTEMPT)
"""The variables of an answer, in the order in which they are sent."""

sendable = r"[A-Za-z0-9+._ -]{0,80}"
"""A value of a variable, as a regular expression."""

_sendable = re.compile(sendable).fullmatch
_unsendable = re.compile(r"[^A-Za-z0-9+._ -]+")


def clean(value: str) -> str:
    """What may be sent of a value: ``[A-Za-z0-9+._ -]``, at most 80 bytes; the rest is dropped.

    For names and codes of our own. A caller's raw text is never sent, not even cleaned.
    """
    return value if _sendable(value) else _unsendable.sub("", value)[:80]
