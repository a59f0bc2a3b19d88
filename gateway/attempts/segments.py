"""Segments: the files of the journal, their names, and who still writes them.

A segment is ``<boot>-<worker>-<n>.jsonl`` in the journal's directory, where ``<boot>`` names one
start of one process (it sorts by time) and ``<n>`` counts from 1. No name is ever used twice.

Rule: whoever writes a segment holds ``flock`` on it from before it has its name until it writes
no more. The kernel drops the lock of a process that dies, so a segment whose lock can be had has
no writer and will never have one again.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path

from gateway.ownership import make_directory

_NAME = re.compile(r"([0-9a-z]+)-([0-9]+)-([0-9]+)\.jsonl")
_FILE_MODE = 0o600
_SETTLED = 60.0


def segment_name(boot: str, worker: int, number: int) -> str:
    return f"{boot}-{worker}-{number}.jsonl"


def live_segments(directory: Path) -> list[str]:
    """Names of the segments that are not archived, in reading order. OSError as below."""
    return list_segments(directory)


def list_segments(directory: Path, suffix: str = "") -> list[str]:
    """Names, without ``suffix``, of the segments that have it; none where nobody has made the
    directory. OSError when it cannot be read, or is none.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    found = [name.removesuffix(suffix) for name in names if name.endswith(suffix)]
    return sorted((name for name in found if _NAME.fullmatch(name)), key=_order)


def _order(name: str) -> tuple[str, int, int]:
    boot, worker, number = name.removesuffix(".jsonl").split("-")
    return boot, int(worker), int(number)


def create_segment(directory: Path, name: str) -> int:
    """Create a segment, locked, and return its descriptor for appending. Raises OSError."""
    make_directory(directory)
    final, hidden = directory / name, directory / f".{name}.new"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(hidden, flags, _FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A link fails where the name is taken; a rename would replace another's segment.
        os.link(hidden, final)
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        os.unlink(hidden)
    return descriptor


def sweep(directory: Path) -> None:
    """Remove what is left of segments whose process died before they had their name."""
    for path in directory.glob(".*.jsonl.new"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _SETTLED:
                path.unlink()


def is_abandoned(descriptor: int) -> bool:
    """Whether a segment that was opened to read has no writer (any more).

    The lock stays with the descriptor until it is closed.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
