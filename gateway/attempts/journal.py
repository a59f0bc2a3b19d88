"""The journal of one worker: every attempt is on its segment before its answer leaves.

Rule 1: one line, one ``os.write``, before ``append`` returns. What the kernel has survives the
death of the process; ``durability: disk`` waits for the disk as well (``synced``).
Rule 2: bytes are only ever appended. What a failed write left behind stays and the next line
starts on its own line, so a reader loses nothing but the torn piece.
Rule 3: a full disk keeps its segment (or every call would leave an empty file behind); after any
other failure the next line goes to a new one.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

from gateway.attempts.ids import IdMaker, new_boot
from gateway.attempts.lines import DeliveryLine, EndLine, Line, encode
from gateway.attempts.model import Attempt, Delivery
from gateway.attempts.segments import create_segment, segment_name
from gateway.attempts.sync import GroupSync
from gateway.errors import JournalError

SEGMENT_BYTES = 16 * 1024 * 1024
SEGMENT_SECONDS = 86400.0
"""A segment that is older ends with its next line: nothing is kept for long after its time."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Journal:
    """Appends the attempts of one worker. Not for use by several threads or after a fork."""

    def __init__(
        self,
        directory: Path,
        worker: int = 0,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        durability: str = "process",
    ) -> None:
        """Open nothing yet: the first line does. ``durability`` is ``process`` or ``disk``."""
        self._directory = directory
        self._worker = worker
        self._boot = new_boot()
        self._ids = IdMaker(self._boot, worker)
        self.next_id = self._ids.next
        self._segment_bytes = segment_bytes
        self._sync = GroupSync(lambda: self._descriptor) if durability == "disk" else None
        self._descriptor: int | None = None
        self._opened = 0.0
        self._number = 0
        self._size = 0
        self._lines = 0
        self._torn = False

    @property
    def late_syncs(self) -> int:
        """Answers that left before their line was on the disk."""
        return self._sync.late if self._sync else 0

    @property
    def failed_syncs(self) -> int:
        """Syncs that the disk refused."""
        return self._sync.failed if self._sync else 0

    def append(self, attempt: Attempt) -> None:
        """Write one attempt. Raises JournalError; the journal stays usable."""
        self._write(attempt)

    def delivery(self, attempt_id: str, delivery: Delivery, at: float) -> None:
        """Write what became of an answer at ``at``, UTC seconds. Raises JournalError."""
        self._write(DeliveryLine(delivery=str(delivery), id=attempt_id, at=at))

    def pending_sync(self) -> Awaitable[None] | None:
        """What an answer has to wait for before it leaves; None with ``durability: process``."""
        return self._sync.wait() if self._sync else None

    async def synced(self) -> None:
        """Wait until all that was appended is on the disk, for at most 50 ms. Never raises."""
        if self._sync:
            await self._sync.wait()

    def rotate(self) -> None:
        """Close the segment, if there is one; the next line starts another. Never raises."""
        if self._descriptor is None:
            return
        with suppress(OSError):  # a segment without an end is read as one whose writer died
            self._put(self._descriptor, encode(EndLine(self._lines)))
        self._leave(self._descriptor)

    def close(self) -> None:
        """Close the segment and wait for the disk. Never raises."""
        self.rotate()
        if self._sync:
            self._sync.close()

    def _write(self, record: Line) -> None:
        line = encode(record)
        try:
            self._put(self._ready(), line)
        except OSError as error:
            self._failed(error)
            raise JournalError(f"{self._directory}: {error.strerror or error}") from error
        self._lines += 1
        if self._size >= self._segment_bytes:
            self.rotate()

    def _ready(self) -> int:
        descriptor = self._descriptor
        if descriptor is not None:
            if not os.fstat(descriptor)[stat.ST_NLINK]:
                self._leave(descriptor)  # somebody removed the file: its lines would go nowhere
            elif time.monotonic() - self._opened > SEGMENT_SECONDS:
                self.rotate()
            else:
                return descriptor
        return self._open()

    def _open(self) -> int:
        self._number += 1
        name = segment_name(self._boot, self._worker, self._number)
        self._descriptor = create_segment(self._directory, name)
        self._opened = time.monotonic()
        self._size = self._lines = 0
        self._torn = False
        if self._sync:
            self._sync.sync_directory(self._directory)
        return self._descriptor

    def _put(self, descriptor: int, line: bytes) -> None:
        if self._torn:
            line = b"\n" + line
        written = os.write(descriptor, line)
        while written < len(line):
            self._torn = True
            written += os.write(descriptor, line[written:])
        self._torn = False
        self._size += written

    def _failed(self, error: OSError) -> None:
        if self._descriptor is not None and self._size and error.errno not in _FULL:
            self._leave(self._descriptor)

    def _leave(self, descriptor: int) -> None:
        self._descriptor = None
        if self._sync:
            self._sync.retire(descriptor)
        else:
            os.close(descriptor)
