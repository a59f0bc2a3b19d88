"""Reading the files of a policy so that a write in progress is never taken for the whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.files import Unreadable, opened

__all__ = ["FileStamp", "Unreadable", "is_within", "read_stable", "revision_of"]


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What was read: the name as the policy writes it, its path, size in bytes, time and hash."""

    name: str
    path: Path
    size: int
    mtime_ns: int
    sha256: str


def read_stable(path: Path, name: str) -> tuple[bytes, FileStamp]:
    """The bytes of a file whose size and time are the same before and after. Raises Unreadable.

    A file that changed meanwhile is read once more.
    """
    found = _read(path, name) or _read(path, name)
    if found is None:
        raise Unreadable("changed while it was being read")
    return found


def is_within(path: Path, folder: Path) -> bool:
    """Whether a path, its links followed, leads to something below a folder."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def revision_of(stamps: Iterable[FileStamp], managed_seq: int) -> str:
    """``<12 hex>+<sequence>`` over the names and contents of the files."""
    digest = hashlib.sha256()
    for stamp in stamps:
        digest.update(f"{stamp.name}\0{stamp.sha256}\n".encode("utf-8", "surrogateescape"))
    return f"{digest.hexdigest()[:12]}+{managed_seq}"


def _read(path: Path, name: str) -> tuple[bytes, FileStamp] | None:
    """None when the file changed between its two stats."""
    with opened(path) as (file, size):
        before = os.fstat(file.fileno())
        data = file.read(size + 1) or b""
        after = os.fstat(file.fileno())
    seen = (before.st_size, before.st_mtime_ns)
    if seen != (after.st_size, after.st_mtime_ns) or len(data) != before.st_size:
        return None
    return data, FileStamp(name, path, *seen, hashlib.sha256(data).hexdigest())
