"""The steps of a past decision, in words, as far as its record tells them.

The record holds what was read and what was concluded, not each entry that was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.attempts.model import Attempt, Shadow


def steps(attempt: Attempt) -> Iterator[str]:
    """Those of ``explain``, as far as they are recorded."""
    yield f"policy revision {attempt.revision}; the call is {attempt.direction}"
    scope = f"trunk {attempt.trunk or 'none'}, campaign {attempt.campaign or 'none'}"
    yield scope + ": the policy lacks one of them" * attempt.unknown_scope
    yield _read("caller", attempt.caller, attempt.caller_e164)
    yield _read("callee", attempt.callee, attempt.callee_e164)
    yield _conclusion(attempt)
    if attempt.shadow:
        yield f"with shadow lists enforced, would have been: {_conclusion(attempt.shadow)}"
    yield f"the answer was {attempt.delivery}"


def _read(party: str, raw: str, e164: str) -> str:
    return f"the {party} {raw!r} reads as {e164 or 'no number in E.164'}"


def _conclusion(said: Attempt | Shadow) -> str:
    parts = [f"{said.verdict}, reason {said.reason}"]
    if said.response:
        parts.append(f"SIP {said.response}")
    if said.list:
        parts.append(f"list {said.list}" + (f" entry {said.entry}" if said.entry else ""))
    if origin := getattr(said, "origin", ""):
        parts.append(f"written at {origin}")
    if note := getattr(said, "note", ""):
        parts.append(f"note: {note}")
    return ", ".join(parts)
