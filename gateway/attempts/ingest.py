"""The ingester: the one process that moves the journal into the store.

    python -m gateway.attempts.ingest STATE_DIR [--keep 90d] [--parent PID] [--once | --rebuild]

Rule 1: whoever holds the lock on ``STATE_DIR/ingest.lock`` is the ingester; a second one waits
for ``--wait`` seconds and then exits with 75 (EX_TEMPFAIL) and a message.
Rule 2: it never gives up and never loses: a store that is locked, full or slow is tried again
with a growing pause; a broken one is set aside and made again from the journal.
Rule 3: it does not outlive its parent. SIGTERM, SIGINT and the parent's death mean one last pass.
Rule 4: what it does stands in ``STATE_DIR/ingest.json`` (``Status``), written at least every
5 seconds while it is well, also during a pass that takes long.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from gateway import logs
from gateway.attempts.check import Check
from gateway.attempts.database import StoreCorrupt
from gateway.attempts.erasing import Erasing
from gateway.attempts.move import Moved, Mover, ingest_once, rebuild
from gateway.attempts.status import Status, read_status, write_status
from gateway.attempts.steady import Steady
from gateway.attempts.store import AttemptStore
from gateway.errors import StoreError
from gateway.ownership import as_owner, make_directory, make_private

__all__ = ["Ingester", "Status", "ingest_once", "main", "read_status", "rebuild"]

BUSY_PAUSE = 0.025
FULL_PAUSES = 10
FULL_PASS = 5_000
IDLE_PAUSE = 0.2
MAX_PAUSE = 5.0
"""Seconds between two passes: after one that moved something, that did not, that failed.

A pass that moved much is followed by up to FULL_PAUSES busy pauses, by its share of FULL_PASS
lines: what comes meanwhile shares a transaction, which makes each attempt cheaper.
"""
STATUS_PAUSE = 1.0
HEARTBEAT = 5.0
PURGE_PAUSE = 60.0
PURGE_CHUNKS = 5
"""Chunks that one pass purges at most, so that new attempts need not wait."""
LAST_PASS = 10.0
"""Seconds that the last pass may take; what is left stays in the journal for the next start."""
EX_TEMPFAIL = 75

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

log = logging.getLogger("callgate.ingest")


class Ingester:
    """One state directory's journal and store, and the pause until the next pass."""

    def __init__(self, state: Path, keep: float | None) -> None:
        """``keep`` is the seconds that attempts are kept; None keeps them for ever."""
        self.status = Status(pid=os.getpid(), started=time.time())
        self._state = state
        self._path = state / "attempts.db"
        self._journal = state / "journal"
        self._check = Check(self._path)
        self._clock = Steady()
        self._keep = keep
        self._store: AttemptStore | None = None
        self._mover: Mover | None = None
        self._erasing = Erasing(state)
        self._inode = 0
        self._failures = 0
        self._purge_after = 0.0
        self._told = Status(pid=0)

    def step(self, stop: Callable[[], bool]) -> float:
        """Do one pass; return the seconds until the next. Raises nothing on purpose."""
        try:
            moved = self._open(stop).run(stop)
            self._count(moved)
            purged = self._purge()
            erased = self._erasing.step(stop)
        except (StoreError, OSError) as error:
            return self._failed(error)
        self._failures = 0
        unread = f"{moved.errors} segments cannot be read" if moved.errors else ""
        self.status.error = unread or self._clock.doubt()
        return _pause_after(moved.lines, more=bool(purged or erased))

    def close(self) -> None:
        """Close the store."""
        if self._store:
            self._store.close()
        self._store = self._mover = None

    def tell(self, *, now: bool = False) -> None:
        """Write the status file when there is news, or when it has not been written for long."""
        age = time.time() - self._told.at
        if not now and 0 <= age < STATUS_PAUSE:
            return
        self.status.at = self._told.at
        with suppress(OSError):  # a file that grows old is what tells of a full disk
            self._weigh()
            if now or self.status != self._told or not 0 <= age < HEARTBEAT:
                self._write_status()

    def _weigh(self) -> None:
        if self._mover:
            with suppress(OSError):  # a journal that cannot be read is told by the pass that tries
                self.status.backlog = self._mover.backlog()

    def _write_status(self) -> None:
        self.status.at = time.time()
        write_status(self._state, self.status)
        self._told = msgspec.structs.replace(self.status)

    def _open(self, stop: Callable[[], bool]) -> Mover:
        same = self._inode == _inode(self._path)
        if self._mover and same and not self._check.is_due:
            return self._mover
        if self._store and not same:
            self._forsake()
        self.close()
        self._store = AttemptStore(self._path)
        self._inode = _inode(self._path)
        self._check.run(stop)
        self._mover = Mover(self._journal, self._store)
        return self._mover

    def _forsake(self) -> None:
        """Somebody removed or replaced the file; what SQLite keeps beside it is of the old one."""
        log.warning("%s is another file than before", self._path)
        self.close()
        for suffix in ("-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def _count(self, moved: Moved) -> None:
        self.status.attempts += moved.attempts
        self.status.deliveries += moved.deliveries
        self.status.bad_lines += moved.bad
        self.status.archived += moved.archived
        self.status.errors += moved.errors

    def _purge(self) -> int:
        if self._keep is None or time.monotonic() < self._purge_after or self._clock.doubt():
            return 0
        assert self._store is not None
        assert self._mover is not None
        before = time.time() - self._keep
        removed = 0
        for _ in range(PURGE_CHUNKS):
            chunk = self._store.purge(before)
            removed += chunk
            if not chunk:
                self._mover.purge_archive(before)
                self._purge_after = time.monotonic() + PURGE_PAUSE
                break
        self.status.purged += removed
        return removed

    def _failed(self, error: Exception) -> float:
        self._failures += 1
        self.status.errors += 1
        self.status.error = str(error)
        if isinstance(error, StoreCorrupt):
            self._set_aside(error)
        else:
            log.warning("nothing can be moved, trying again: %s", error)
        return float(min(MAX_PAUSE, BUSY_PAUSE * 2**self._failures))

    def _set_aside(self, error: StoreCorrupt) -> None:
        self.close()
        self.status.corruptions += 1
        aside = f"{self._path}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        log.error("%s; set aside as %s and made again from the journal", error, aside)
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(f"{self._path}{suffix}", f"{aside}{suffix}")


def _pause_after(lines: int, *, more: bool) -> float:
    """``more``: there may be more to purge or to erase, which waits for nothing."""
    if more or not lines:
        return BUSY_PAUSE if more else IDLE_PAUSE
    return BUSY_PAUSE * max(1, FULL_PAUSES * min(1, lines / FULL_PASS))


def _inode(path: Path) -> int:
    """Which file it is; 0 where there is none, or one that somebody emptied."""
    try:
        found = path.stat()
        return found.st_ino if found.st_size else 0
    except OSError:
        return 0


class _Stop:
    """True once a signal came or the parent died."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._signalled = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self._signalled = True

    def __call__(self) -> bool:
        return self._signalled or os.getppid() != self._parent

    def pause(self, seconds: float) -> None:
        """Sleep, but not long past a reason to stop."""
        end = time.monotonic() + seconds
        while not self() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, IDLE_PAUSE))


def _serve(ingester: Ingester, stop: _Stop) -> None:
    def speaking() -> bool:
        """Asked between transactions: a pass that takes long must not look like one that hangs."""
        ingester.tell()
        return stop()

    while not stop():
        pause = ingester.step(speaking)
        ingester.tell()
        stop.pause(pause)
    deadline = time.monotonic() + LAST_PASS
    ingester.step(lambda: time.monotonic() > deadline)
    ingester.tell(now=True)


def _lock(path: Path, wait: float, stop: _Stop) -> int | None:
    """The descriptor that holds the ingester's lock; None if another process keeps it."""
    make_private(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if stop() or time.monotonic() >= end:
                os.close(descriptor)
                return None
        stop.pause(0.05)


def _duration(text: str) -> float | None:
    """Seconds of ``90d``, ``12h``, ``30m``, ``10`` (seconds) or ``2w``; None for ``forever``."""
    if text == "forever":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90d, 12h or forever")
    return float(found[1]) * _UNITS[found[2]]


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("callgate-ingest", description="Journal into attempt store.")
    parser.add_argument("state", type=Path, metavar="STATE_DIR")
    parser.add_argument("--keep", type=_duration, default=None, help="90d, 12h, … (forever)")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="stop when it dies")
    parser.add_argument("--wait", type=float, default=5.0, help="seconds to wait for the lock")
    parser.add_argument("--log-level", choices=logs.LEVELS, default="info")
    parser.add_argument("--log-format", choices=logs.FORMATS, default="text")
    parser.add_argument("--log-mask", action="store_true", help="hide numbers in the log")
    once = parser.add_mutually_exclusive_group()
    once.add_argument("--once", action="store_true", help="one pass, then exit")
    once.add_argument("--rebuild", action="store_true", help="make the store again, then exit")
    return parser.parse_args(argv)


def _once(state: Path, *, again: bool) -> int:
    try:
        with as_owner(state), closing(AttemptStore(state / "attempts.db")) as store:
            journal = state / "journal"
            run = rebuild(store, journal) if again else ingest_once(journal, store)
    except StoreError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{run} attempts")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the ingester; return the exit code of the process."""
    wanted = _arguments(argv)
    logs.setup(wanted.log_level, wanted.log_format, mask=wanted.log_mask)
    stop = _Stop(wanted.parent)
    make_directory(wanted.state)
    lock = _lock(wanted.state / "ingest.lock", wanted.wait, stop)
    if lock is None:
        print(f"another ingester holds {wanted.state / 'ingest.lock'}", file=sys.stderr)
        return EX_TEMPFAIL
    if wanted.once or wanted.rebuild:
        return _once(wanted.state, again=wanted.rebuild)
    ingester = Ingester(wanted.state, wanted.keep)
    _serve(ingester, stop)
    ingester.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
