"""Phone numbers as somebody without the scope ``numbers:read`` sees them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.attempts.model import Attempt
from gateway.entries import ManagedEntry
from gateway.tokens import Scope
from gateway.web.problems import Problem
from gateway.web.sessions import Principal

SHOWN = 3
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d{7,}")
"""In words: what has so many digits may be somebody's number."""
_PARTIES = ("caller", "caller_e164", "callee", "callee_e164", "caller_name")


def masked(text: str) -> str:
    """The text with only its last three digits left: ``+33162000123`` is ``+********123``."""
    hidden = max(0, len(_DIGIT.findall(text)) - SHOWN)
    return _DIGIT.sub("*", text, count=hidden) if hidden else text


def masked_words(text: str) -> str:
    """A sentence, or an entry that may be of any kind, with every number in it masked."""
    return _NUMBER.sub(lambda found: masked(found[0]), text)


def masked_text(text: str, *, exact: bool = False) -> str:
    """The text of an entry: a number if it is exact, and a prefix is nobody's number unless it has
    seven digits or more. So is one of which nobody knows the kind.
    """
    return masked(text) if exact else masked_words(text)


def check_sees(who: Principal, *texts: str) -> None:
    """Who may not see numbers finds nothing by their digits either, or would guess them one by one.
    Problem 403.
    """
    if not who.may(Scope.NUMBERS) and any(map(_DIGIT.search, texts)):
        raise Problem(403, f"the token {who.name!r} lacks the scope {Scope.NUMBERS}")


def masked_attempt(attempt: Attempt) -> Attempt:
    """An attempt without numbers and names; an exact entry is a number too."""
    hidden: dict[str, Any] = {name: masked(getattr(attempt, name)) for name in _PARTIES}
    hidden["caller_name"] = "*" * len(attempt.caller_name)
    exact = attempt.kind in ("number", "short")
    hidden["entry"] = masked_text(attempt.entry, exact=exact)
    if attempt.shadow:
        hidden["shadow"] = msgspec.structs.replace(
            attempt.shadow, entry=masked(attempt.shadow.entry)
        )
    return msgspec.structs.replace(attempt, **hidden)


def masked_entry(entry: ManagedEntry) -> ManagedEntry:
    """A managed entry as ``masked_text`` has it."""
    digits = masked_text(entry.digits, exact=entry.kind.exact)
    return msgspec.structs.replace(entry, digits=digits)
