"""The state directory: for its owner only, and for one gateway at a time.

What has to outlive a restart but is neither policy nor attempt is kept here too: when the last
emergency call left each trunk, so that the call back is let in.
"""

from __future__ import annotations

import fcntl
import logging
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from gateway.errors import ConfigError, Fault
from gateway.files import open_own

log = logging.getLogger(__name__)

_LOCK = "gateway.lock"
_EMERGENCIES = "emergencies.json"


@contextmanager
def owned(directory: Path) -> Iterator[None]:
    """Hold a state directory, made if need be. ConfigError when another gateway holds it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _warn_root(directory)
        directory.chmod(0o700)
        descriptor = open_own(directory / _LOCK, os.O_RDWR)
    except OSError as error:
        raise _refused(f"the state directory cannot be used: {error.strerror}", directory) from None
    try:
        _lock(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        by = f" (process {holder})" if holder else ""
        message = (
            f"another gateway{by} runs on this state directory: stop it, "
            "or give this one settings with a 'state' of its own"
        )
        raise _refused(message, directory) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _warn_root(directory: Path) -> None:
    """What root makes in another user's folder, that user's gateway cannot open later."""
    owner = directory.stat().st_uid
    if os.geteuid() != 0 or owner == 0:
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"user id {owner}"
    log.warning("%s belongs to %s, this is root: run the gateway as %s", directory, name, name)


def _refused(message: str, directory: Path) -> ConfigError:
    return ConfigError([Fault(str(directory), 0, 0, "", message)])


def load_emergencies(directory: Path) -> dict[str, float]:
    """When the last emergency call left each trunk; empty when nothing usable is kept."""
    try:
        return msgspec.json.decode((directory / _EMERGENCIES).read_bytes(), type=dict[str, float])
    except (OSError, msgspec.MsgspecError):
        return {}


def save_emergencies(directory: Path, emergencies: Mapping[str, float]) -> None:
    """Keep them, whole or not at all. A disk that refuses must not trouble a call."""
    aside = directory / f"{_EMERGENCIES}.new"
    with suppress(OSError):
        aside.unlink(missing_ok=True)
        with open(open_own(aside, os.O_WRONLY | os.O_EXCL), "wb") as file:
            file.write(msgspec.json.encode(dict(emergencies)))
        aside.replace(directory / _EMERGENCIES)
