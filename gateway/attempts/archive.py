"""The archive: finished segments, compressed, kept as long as attempts are.

Rule: ``journal/archive/<name>.gz`` is whole and on the disk before the segment itself goes; its
time of change is that of the segment's last line.
"""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from gateway.attempts.segments import list_segments
from gateway.files import sync_directory
from gateway.ownership import make_directory

_BLOCK = 1024 * 1024
_LEVEL = 3
"""A segment of 16 MiB takes a fifth of a second; the best level would take two."""


def archive_path(journal: Path, name: str) -> Path:
    """Where a segment lies once it is archived."""
    return journal / "archive" / f"{name}.gz"


def archived_segments(journal: Path) -> list[str]:
    """Names of the archived segments (without ``.gz``), in reading order.

    What is in the way of the archive is told by the next segment that should go there, and keeps
    none from being read before.
    """
    try:
        return list_segments(journal / "archive", ".gz")
    except NotADirectoryError:
        return []


def archive(journal: Path, name: str, segment: BinaryIO) -> None:
    """Compress a finished segment, then remove it. Raises OSError and leaves it where it is."""
    path = archive_path(journal, name)
    unfinished = path.with_name(f".{name}.tmp")
    make_directory(path.parent)
    try:
        _compress(segment, unfinished)
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    (journal / name).unlink()


def purge(journal: Path, before: float) -> list[str]:
    """Remove what was last written before ``before`` (UTC seconds); return the names."""
    names = archived_segments(journal)
    old = [name for name in names if archive_path(journal, name).stat().st_mtime < before]
    for name in old:
        archive_path(journal, name).unlink()
    return old


def _compress(segment: BinaryIO, path: Path) -> None:
    times = os.fstat(segment.fileno())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        segment.seek(0)
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_LEVEL, filename="") as packed:
            shutil.copyfileobj(segment, packed, _BLOCK)
        raw.flush()
        os.utime(raw.fileno(), ns=(times.st_mtime_ns, times.st_mtime_ns))
        os.fsync(raw.fileno())
