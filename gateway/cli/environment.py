"""Where a command finds its settings, policy, stores and the running gateway; all read lazily."""

from __future__ import annotations

import errno
import getpass
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.control import ControlClient
    from gateway.entries import EntryStore
    from gateway.errors import GatewayError
    from gateway.policy.loader import Loaded
    from gateway.settings import Settings

NAME = "callgate.yaml"
ROOT = Path(__file__).parents[2]


def shipped(name: str) -> Path:
    """A folder that ships with the program: in a checkout, else where the wheel puts its data."""
    checkout = ROOT / name
    return checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "callgate" / name


def find_config() -> Path:
    """The settings file when none is named. The last candidate is named even if it is missing."""
    last = shipped("config") / NAME
    for path in (Path("config") / NAME, Path("/etc/callgate") / NAME):
        if path.is_file():
            return path
    return last


def person() -> str:
    """Who gives the command, for the change log: also behind sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def is_there(path: Path) -> bool:
    """Whether a file of the state folder is there. StoreError when this user may not read it."""
    from gateway.control import AS_WHOM
    from gateway.errors import StoreError

    try:
        path.stat()
        may = os.access(path, os.R_OK, effective_ids=True)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        may = False
    if not may:
        raise StoreError(f"{path}: Permission denied; {AS_WHOM}")
    return True


def denied(error: GatewayError) -> bool:
    """Whether it is that this user may not read or write a file."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno == errno.EACCES


@dataclass
class Environment:
    """What one run of a command works with."""

    config: Path

    @cached_property
    def settings(self) -> Settings:
        """The settings. Raises ConfigError."""
        from gateway.settings import Settings

        return Settings.load(self.config)

    def load(self, draft: Path | None = None) -> Loaded:
        """The configured policy with the managed entries, or a draft by itself.

        Raises ConfigError with every fault.
        """
        from gateway.policy.loader import load

        if draft is not None:
            return load(draft)
        with self.entries() as store:
            rev, managed = store.read() if store else (0, [])
        return load(self.settings.policy_path, managed=managed, managed_seq=rev)

    @contextmanager
    def entries(self, *, create: bool = False) -> Iterator[EntryStore | None]:
        """The managed entries; None when there never were any, unless they may be begun."""
        from gateway.entries import EntryStore
        from gateway.errors import StoreError
        from gateway.ownership import make_directory

        path = self.settings.entries_path
        if not (is_there(path) or create):
            yield None
            return
        try:
            make_directory(path.parent)
        except OSError as error:
            raise StoreError(f"{path.parent}: {error.strerror}") from error
        store = EntryStore(path)
        try:
            yield store
        finally:
            store.close()

    def gateway(self) -> ControlClient | None:
        """The running gateway; None when there is none. One that may not be asked is one."""
        from gateway.control import ControlClient

        path = self.settings.control_path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                peer.setblocking(False)  # a gateway that is stopped may have a full queue
                peer.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError:
            pass  # the client says what is wrong
        return ControlClient(path, who=person())
