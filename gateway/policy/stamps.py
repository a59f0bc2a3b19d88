"""Which files a policy is made of, and whether their content has changed since it was read.

A stamp is taken before the file is read by the loader: what changes in between is then seen as a
change. Content decides; size, times and inode only spare the reading.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from gateway.errors import ConfigError
from gateway.files import Unreadable, opened, read_file
from gateway.yamlfile import read_yaml

_BLOCK = 2**20
_FILE_KEYS = frozenset({"files", "contacts"})


class Stamp(msgspec.Struct, frozen=True):
    """One file as it was: ``quick`` is what stat says of it, ``sha256`` its content.

    A file that is missing or cannot be read has neither.
    """

    path: str
    quick: tuple[int, ...] = ()
    sha256: str = ""


def stamps_of(policy: Path) -> tuple[Stamp, ...]:
    """Stamps of a policy and of every file that it names, whether or not it is sound."""
    return tuple(stamp(path) for path in (policy, *_named(policy)))


def stamp(path: Path | str) -> Stamp:
    if not (quick := _quick(path)):
        return Stamp(str(path))
    try:
        with opened(path) as (file, size):
            return Stamp(str(path), quick, _digest(file, size))
    except Unreadable:
        return Stamp(str(path))


def refreshed(stamps: Iterable[Stamp]) -> tuple[Stamp, ...]:
    """The stamps as of now; a file whose stat did not change is not read again."""
    return tuple(old if _quick(old.path) == old.quick else stamp(old.path) for old in stamps)


def contents(stamps: Iterable[Stamp]) -> tuple[tuple[str, str], ...]:
    """What two sets of stamps are compared by."""
    return tuple((item.path, item.sha256) for item in stamps)


def directories(stamps: Iterable[Stamp]) -> frozenset[str]:
    """Where a change of these files shows: where their names lie, and where links lead."""
    paths = [item.path for item in stamps if "\0" not in item.path]
    around = {os.path.dirname(found) for path in paths for found in (path, os.path.realpath(path))}
    return frozenset(filter(os.path.isdir, around))


def _quick(path: Path | str) -> tuple[int, ...]:
    """Empty for what is no regular file: opening a pipe would wait for ever."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return ()
    regular = stat.S_ISREG(status.st_mode)
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns) * regular


def _digest(file: BinaryIO, size: int) -> str:
    """The hash of as many bytes as the file has said that it has."""
    digest = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, _BLOCK))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()


def _named(policy: Path) -> Iterator[Path]:
    """The files named in the YAML, relative to it; none when it is no YAML."""
    try:
        tree = read_yaml(read_file(policy), policy.name).value
    except (Unreadable, ConfigError):
        return
    for name in dict.fromkeys(_texts(tree)):
        yield policy.parent / name


def _texts(tree: Any) -> Iterator[str]:
    """Every text under a key that names files, wherever it stands."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            pending += node.values()
            for key in _FILE_KEYS & node.keys():
                value = node[key]
                names = value if isinstance(value, list) else [value]
                yield from (name for name in names if isinstance(name, str))
