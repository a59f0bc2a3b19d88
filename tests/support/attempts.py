"""Attempts for tests, and a journal and store in a directory of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.attempts.journal import Journal
from gateway.attempts.model import Attempt

NOON = 1_800_000_000.0


def make_attempt(attempt_id: str = "", at: float = NOON, **rest: Any) -> Attempt:
    facts: dict[str, Any] = {
        "direction": "inbound",
        "verdict": "block",
        "reason": "list",
        "revision": "0123456789ab+0",
        "caller": "0162000000",
        "caller_e164": "+33162000000",
        "callee": "+33140000000",
        "callee_e164": "+33140000000",
        "list": "nuisance",
        "entry": "+33162",
    }
    return Attempt(id=attempt_id or f"a-{at}", at=at, **(facts | rest))


def append_many(journal: Journal, count: int, at: float = NOON) -> list[Attempt]:
    """Append ``count`` attempts, one a second."""
    attempts = [make_attempt(journal.next_id(at + n), at + n) for n in range(count)]
    for attempt in attempts:
        journal.append(attempt)
    return attempts


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl"))
