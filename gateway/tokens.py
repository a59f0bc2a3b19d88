"""Tokens of the HTTP side: who may ask, and for what.

Rule 1: a token is shown once, when it is made. What is kept is its SHA-256: a token has 256 random
bits, so there is nothing to guess and no need of a slow hash.
Rule 2: the file is replaced whole, under a lock: two that write at once lose nothing, and a crash
leaves the old file or the new one.
Rule 3: a file that somebody else could have put there, or that is damaged, lets nobody in.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from gateway.errors import StoreError
from gateway.files import open_own, sync_directory
from gateway.ownership import give_to_owner, make_directory

_MOST = 16 * 2**20
"""Bytes of the file that are read: some fifty thousand tokens."""
FILE = "tokens.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN = re.compile(r"cg_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a token may do. ``admin`` is all of it, ``write`` has ``read`` in it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    NUMBERS = "numbers:read"
    """See phone numbers whole; without it all but the last three digits are hidden."""
    SCREEN = "screen"
    """Have calls screened, for a PBX."""


_IMPLIED = {Scope.ADMIN: frozenset(Scope), Scope.WRITE: frozenset({Scope.READ})}


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a token. ``expires`` is UTC seconds since the epoch, 0 never."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}\Z")]
    name: str
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    scopes: frozenset[Scope]
    created: float
    expires: int = 0

    def alive(self, at: float) -> bool:
        return not self.expires or at < self.expires

    def may(self, scope: Scope) -> bool:
        """Whether it has a scope, by itself or within a wider one."""
        return any(scope == own or scope in _IMPLIED.get(own, ()) for own in self.scopes)


class _File(msgspec.Struct, kw_only=True):
    version: int = 1
    tokens: list[Token] = []


class Tokens:
    """The tokens of one state directory. StoreError when the file cannot be read or written."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._lock = state / "tokens.lock"
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def all(self) -> list[Token]:
        """Every token, oldest first."""
        self._refresh()
        return list(self._tokens.values())

    def create(self, name: str, scopes: Iterable[Scope], *, expires: int = 0) -> str:
        """Make a token and return its text, for the only time. ValueError for a bad name."""
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: letters, digits and . _ @ -, at most 64")
        identity, rest = secrets.token_hex(4), secrets.token_urlsafe(32)
        text = f"cg_{identity}_{rest}"
        token = Token(
            id=identity,
            name=name,
            sha256=_digest(text),
            scopes=frozenset(scopes),
            created=time.time(),
            expires=expires,
        )
        with self._changing() as tokens:
            if any(other.name == name for other in tokens):
                raise ValueError(f"there is a token {name!r} already; revoke it first")
            tokens.append(token)
        return text

    def revoke(self, name: str) -> bool:
        """Remove a token by name or id; whether there was one."""
        with self._changing() as tokens:
            kept = [token for token in tokens if name not in (token.name, token.id)]
            gone = len(kept) != len(tokens)
            tokens[:] = kept
        return gone

    def find(self, text: str, at: float) -> Token | None:
        """The living token that a text is, else None."""
        shape = _TOKEN.fullmatch(text)
        if shape is None:
            return None
        self._refresh()
        token = self._tokens.get(shape[1])
        same = hmac.compare_digest(_digest(text), token.sha256 if token else "")
        return token if token and same and token.alive(at) else None

    def by_id(self, identity: str, at: float) -> Token | None:
        """The living token with an id, else None."""
        self._refresh()
        token = self._tokens.get(identity)
        return token if token and token.alive(at) else None

    def _refresh(self) -> None:
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            self._seen, self._tokens = None, {}
            return
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from error
        seen = (found.st_mtime_ns, found.st_ino, found.st_size)
        if seen != self._seen:
            self._tokens = {token.id: token for token in self._read().tokens}
            self._seen = seen

    def _read(self) -> _File:
        if not os.path.lexists(self._path):
            return _File()
        try:
            with os.fdopen(_opened(self._path, os.O_RDONLY), "rb") as file:
                return msgspec.json.decode(file.read(_MOST), type=_File)
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from error
        except msgspec.MsgspecError as error:
            raise StoreError(f"{self._path}: {error}") from error

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """The list, to be changed; written when the block ends without an exception."""
        try:
            make_directory(self._path.parent)
            lock = _opened(self._lock, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                file = self._read()
                yield file.tokens
                self._write(file)
            finally:
                os.close(lock)
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from error

    def _write(self, file: _File) -> None:
        fresh = self._path.with_suffix(".new")
        descriptor = _opened(fresh, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(file)))
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self._path)
        sync_directory(self._path.parent)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _opened(path: Path, flags: int) -> int:
    """Open or make a file of ours. What root makes is given to the user of the gateway, whose
    folder it is: who could else not read it. OSError for another's, or for a link.
    """
    descriptor = open_own(path, flags)
    give_to_owner(descriptor, path.parent)
    return descriptor
