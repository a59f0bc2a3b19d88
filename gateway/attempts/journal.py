"""The journal of one worker: every attempt is on its segment before its answer leaves.

Rule 1: a line is written before ``append`` returns, or, between ``hold`` and ``flush``, before
``flush`` returns: all lines of a turn in one ``os.write``. What the kernel has survives the death
of the process; ``durability: disk`` waits for the disk as well (``synced``).
Rule 2: bytes are only ever appended. What a failed write left behind stays and the next line
starts on its own line, so a reader loses nothing but the torn piece.
Rule 3: lines that were held are lost one by one: those that a failed write did not bring to the
file whole are tried again singly, and each that then fails is counted.
Rule 4: a full disk keeps its segment (or every call would leave an empty file behind); after any
other failure the next line goes to a new one.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Awaitable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from gateway.attempts.ids import IdMaker, new_boot
from gateway.attempts.lines import DeliveryLine, EndLine, Line, encode, encode_all
from gateway.attempts.model import Attempt, Delivery
from gateway.attempts.segments import create_segment, segment_name
from gateway.attempts.sync import GroupSync
from gateway.errors import JournalError

log = logging.getLogger(__name__)

SEGMENT_BYTES = 16 * 1024 * 1024
SEGMENT_SECONDS = 86400.0
"""A segment that is older ends with its next line: nothing is kept for long after its time."""
_BREAK = ord("\n")
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
        self._held: list[Line] | None = None
        self._taken = 0  # bytes of the last text that reached the file
        self._name = ""
        self.lost_segments = 0
        """Segments that somebody moved or removed while they were written."""

    @property
    def late_syncs(self) -> int:
        """Answers that left before their line was on the disk."""
        return self._sync.late if self._sync else 0

    @property
    def failed_syncs(self) -> int:
        """Syncs that the disk refused."""
        return self._sync.failed if self._sync else 0

    def append(self, attempt: Attempt) -> None:
        """Write one attempt, or hold it. Raises JournalError; the journal stays usable."""
        if self._held is None:
            self._append(encode(attempt), 1)
        else:
            self._held.append(attempt)

    def delivery(self, attempt_id: str, delivery: Delivery, at: float) -> None:
        """Write what became of an answer at ``at``, UTC seconds. Raises JournalError."""
        line = DeliveryLine(delivery._value_, attempt_id, at)
        if self._held is None:
            self._append(encode(line), 1)
        else:
            self._held.append(line)

    def hold(self) -> None:
        """Begin a turn: lines are kept in memory until ``flush``, and no answer may leave before.

        A segment may grow past its size by one turn.
        """
        if self._held is None:
            self._held = []

    def flush(self) -> None:
        """Write what was held. Raises one JournalError that says how many lines are lost."""
        held, self._held = self._held, None
        if held:
            self._write_held(held)

    def pending_sync(self) -> Awaitable[None] | None:
        """What an answer has to wait for before it leaves; None with ``durability: process``."""
        return self._sync.wait() if self._sync else None

    async def synced(self) -> None:
        """Wait until all that was appended is on the disk, for at most 50 ms. Never raises."""
        if self._sync:
            await self._sync.wait()

    def rotate(self) -> None:
        """Close the segment, if there is one; the next line starts another. Never raises.

        Lines that are held go to the next one.
        """
        if self._descriptor is None:
            return
        with suppress(OSError):  # a segment without an end is read as one whose writer died
            self._put(self._descriptor, encode(EndLine(self._lines)))
        self._leave(self._descriptor)

    def look(self) -> None:
        """See whether the segment is still where it belongs, else leave it: lines in a file that
        was moved are lines that nobody reads. Never raises.
        """
        if self._descriptor is None:
            return
        here = os.fstat(self._descriptor)
        try:
            there = (self._directory / self._name).stat()
        except (FileNotFoundError, NotADirectoryError):
            self._forsake(self._descriptor)
        except OSError as error:
            log.debug("the segment cannot be looked at: %s", error)  # nothing says that it is gone
        else:
            if not os.path.samestat(here, there):
                self._forsake(self._descriptor)

    def close(self) -> None:
        """Write what is held, close the segment and wait for the disk. Never raises."""
        try:
            self.flush()
        except JournalError as error:
            log.error("the journal failed at its end: %s", error)
        self.rotate()
        if self._sync:
            self._sync.close()

    def _write_held(self, records: list[Line]) -> None:
        held = encode_all(records)
        try:
            self._append(b"".join(held), len(held))
        except JournalError:
            whole = _whole(held, self._taken)
            self._lines += whole
            self._write_singly(held[whole:])

    def _write_singly(self, lines: list[bytes]) -> None:
        lost, last = 0, ""
        for line in lines:
            try:
                self._append(line, 1)
            except JournalError as error:
                lost, last = lost + 1, str(error)
        if lost:
            raise JournalError(f"{last} ({lost} of {len(lines)} lines lost)", lost)

    def _append(self, text: bytes, lines: int) -> None:
        """Write whole lines, so many of them. Raises JournalError."""
        self._taken = 0
        try:
            self._put(self._ready(), text)
        except OSError as error:
            self._failed(error)
            raise JournalError(f"{self._directory}: {error.strerror or error}") from error
        self._lines += lines
        if self._size >= self._segment_bytes:
            self.rotate()

    def _ready(self) -> int:
        descriptor = self._descriptor
        if descriptor is not None:
            if not os.fstat(descriptor)[stat.ST_NLINK]:
                self._forsake(descriptor)
            elif time.monotonic() - self._opened > SEGMENT_SECONDS:
                self.rotate()
            else:
                return descriptor
        return self._open()

    def _open(self) -> int:
        self._number += 1
        self._name = segment_name(self._boot, self._worker, self._number)
        self._descriptor = create_segment(self._directory, self._name)
        self._opened = time.monotonic()
        self._size = self._lines = 0
        self._torn = False
        if self._sync:
            self._sync.sync_directory(self._directory)
        return self._descriptor

    def _put(self, descriptor: int, text: bytes) -> None:
        start = len(b"\n") if self._torn else 0
        if start:
            text = b"\n" + text
        written = 0
        try:
            while written < len(text):
                written += os.write(descriptor, text[written:] if written else text)
        finally:
            self._size += written
            self._taken = max(0, written - start)
            if written:
                self._torn = text[written - 1] != _BREAK

    def _failed(self, error: OSError) -> None:
        if self._descriptor is not None and self._size and error.errno not in _FULL:
            self._leave(self._descriptor)

    def _forsake(self, descriptor: int) -> None:
        """Somebody moved or removed the file: what is written to it goes nowhere."""
        self.lost_segments += 1
        log.error("%s was moved or removed while it was written", self._directory / self._name)
        self._leave(descriptor)

    def _leave(self, descriptor: int) -> None:
        self._descriptor = None
        if self._sync:
            self._sync.retire(descriptor)
        else:
            with suppress(OSError):  # its lines are written: nobody is helped by what this says
                os.close(descriptor)


def _whole(lines: list[bytes], taken: int) -> int:
    """How many lines stand whole in the first ``taken`` bytes of them all."""
    ends = accumulate(map(len, lines))
    return sum(end <= taken for end in ends)
