"""What commands of root make in the state folder, so that the gateway's user can still use it.

Rule 1: what is made in a folder belongs to the owner of that folder, as if that one had made it.
Rule 2: nothing is given away that could be somebody else's: links are not followed, and a file
with a second name is left as it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Give a file or folder that root has open to whom its ``folder`` belongs. Raises OSError."""
    if os.geteuid() != 0:
        return
    owner, found = folder.stat(), os.fstat(descriptor)
    regular = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    if found.st_uid != owner.st_uid and (regular or stat.S_ISDIR(found.st_mode)):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def make_private(path: Path) -> None:
    """Make a file (0600) unless it is there, and see to its owner. OSError, also for a link."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)
    try:
        give_to_owner(descriptor, path.parent)
    finally:
        os.close(descriptor)


def make_directory(directory: Path) -> None:
    """Make a directory that only its owner may enter; parents that are missing likewise."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    try:
        directory.mkdir(mode=_DIRECTORY_MODE)
    except FileExistsError:
        if not directory.is_dir():
            raise
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give_to_owner(descriptor, directory.parent)
    finally:
        os.close(descriptor)


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Root works as whom the folder belongs to; no module may be imported meanwhile, since that
    user need not be able to read the program.
    """
    owner = folder.stat() if os.geteuid() == 0 and folder.is_dir() else None
    if owner is None or owner.st_uid == 0:
        yield
        return
    group = os.getegid()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
