"""Workers whose parent was killed: a new gateway does not start beside them.

They end by themselves, with the calls that they have. One that cannot, because it is stopped or
hangs, would keep its share of the port, and the calls that it gets.

Rule: every worker holds a lock (fcntl(2), F_SETLK) on one file for as long as it lives, and the
kernel says which process holds it: no pid is ever written down, and none can be stale.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import struct
import time
from contextlib import suppress
from pathlib import Path

from gateway.files import open_own

log = logging.getLogger(__name__)

LOCK = "workers.lock"
PAUSE = 0.02
_FLOCK = struct.Struct("hhqqi4x")
"""``struct flock`` of 64-bit Linux: type, whence, start, length, pid."""


def hold(path: Path, worker: int) -> int:
    """Hold the lock of a worker until this process ends; the descriptor. OSError."""
    descriptor = open_own(path, os.O_RDWR)
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, worker)
    return descriptor


def end_leftovers(path: Path, patience: float) -> list[int]:
    """Wait until no worker of another gateway is left, ``patience`` seconds for each to end by
    itself; which had to be killed. OSError when one cannot be.
    """
    killed: list[int] = []
    if not path.exists():
        return killed
    descriptor = open_own(path, os.O_RDWR)
    try:
        while holder := _holder(descriptor):
            if not _gone(descriptor, holder, patience):
                log.warning("worker process %d outlived its gateway: killed", holder)
                with suppress(ProcessLookupError):
                    os.kill(holder, signal.SIGKILL)
                killed.append(holder)
                if not _gone(descriptor, holder, patience + 1):
                    raise TimeoutError(f"worker process {holder} of another gateway does not end")
    finally:
        os.close(descriptor)
    return killed


def _gone(descriptor: int, holder: int, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while _holder(descriptor) == holder:
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def _holder(descriptor: int) -> int:
    """The process that holds a lock on the file; 0 when none does."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return 0 if kind == fcntl.F_UNLCK else pid
