"""What the standard library lacks for files: to outlive a power cut, and to trust no path.

A path that people or a broken disk made may lead to a pipe that never ends, a device, a link into
somebody else's folder, or more bytes than there is memory.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gateway.errors import GatewayError

MOST = 256 * 2**20
"""Bytes of a policy or list file; ten million numbers have about half of that."""


class Unreadable(GatewayError):
    """A file that is missing, no file, not permitted, too large or changing: the message says."""


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable (fsync(2)). OSError when the disk refuses."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def opened(path: Path | str, most: int = MOST) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file of at most ``most`` bytes, to be read, and its size. Raises Unreadable.

    It never waits: what says that it is a file may still be a pipe inside (``/proc/kmsg``).
    """
    try:
        _check(_status(path), most)  # opening a device can already do something
        with open(path, "rb", opener=_at_once) as file:
            found = os.fstat(file.fileno())
            _check(found, most)
            yield file, found.st_size
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None


def read_file(path: Path | str, most: int = MOST) -> bytes:
    """The bytes of a regular file. Raises Unreadable."""
    with opened(path, most) as (file, size):
        return file.read(size) or b""


def open_own(path: Path, flags: int) -> int:
    """Open or make a private file (0600) of our own. OSError for another's, or for a link.

    Whoever may write into the folder could have planted it there to have something else destroyed.
    """
    flags |= os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    found = os.fstat(descriptor)
    owners = {os.geteuid(), path.parent.stat().st_uid}
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid in owners:
        return descriptor
    os.close(descriptor)
    raise PermissionError(1, f"{path.name} is not a file of ours")


def _status(path: Path | str) -> os.stat_result:
    try:
        return os.stat(path)
    except ValueError:
        raise Unreadable("is no path") from None


def _check(found: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("is not a file")
    if found.st_size > most:
        raise Unreadable(f"has more than {most:,} bytes")


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def enter_wal(db: sqlite3.Connection, patience: float) -> None:
    """Put a database into WAL mode, waiting ``patience`` seconds for others that open it too.

    SQLite asks no busy handler for the change of mode: two processes that open a new file at
    once see "database is locked" right away.
    """
    end = time.monotonic() + patience
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)
