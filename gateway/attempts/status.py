"""What the ingester tells its parent and the command line, in one small file.

Rule: ``STATE_DIR/ingest.json`` is replaced whole; a reader never sees half of it.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

_NAME = "ingest.json"


class Status(msgspec.Struct, kw_only=True):
    """What the ingester tells its parent. Counts are since its start.

    ``started`` and ``at``, when it wrote this, are UTC seconds; ``backlog`` is bytes of the
    journal that are not in the store yet; ``error`` is what is wrong now, empty when nothing is.
    """

    pid: int
    started: float = 0.0
    at: float = 0.0
    attempts: int = 0
    deliveries: int = 0
    bad_lines: int = 0
    errors: int = 0
    archived: int = 0
    purged: int = 0
    corruptions: int = 0
    backlog: int = 0
    error: str = ""


def read_status(state: Path) -> Status | None:
    """What the ingester of a state directory said last; None if it never did."""
    try:
        return msgspec.json.decode((state / _NAME).read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError):
        return None


def write_status(state: Path, status: Status) -> None:
    """Replace the status file of a state directory. Raises OSError."""
    fresh = state / f".{_NAME}.tmp"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(status))
    os.replace(fresh, state / _NAME)
