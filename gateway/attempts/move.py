"""Moving lines from the journal's segments into the store.

Rule 1: a line is done when its transaction is; whatever dies before, the line is read again.
Rule 2: a bad line is counted and passed over. A line without its end is awaited while its segment
has a writer; without one it is judged like any other.
Rule 3: a segment is archived when it has no writer and was read to its end; the archive is in
place before the segment goes. What is in the archive and unknown to the store is read again.
"""

from __future__ import annotations

import gzip
import logging
import os
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from gateway.attempts.archive import archive, archive_path, archived_segments, purge
from gateway.attempts.lines import MAX_LINE, DeliveryLine, decode
from gateway.attempts.model import Attempt
from gateway.attempts.segments import is_abandoned, live_segments, sweep
from gateway.attempts.store import AttemptStore, Progress

CHUNK = 16 * MAX_LINE
"""Bytes that one transaction moves at most: about 8,000 attempts, in a quarter of a second.

Numbers fall on the pages of their indexes at random, and a transaction writes each page that it
touched: of 1,000 attempts one costs 70 us, of 8,000 30 us.
"""

ARCHIVE_PAUSE = 10.0
"""Seconds until a segment is archived after it failed."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Moved:
    """What was moved: ``attempts`` are those that were new to the store."""

    lines: int = 0
    attempts: int = 0
    deliveries: int = 0
    bad: int = 0
    archived: int = 0
    errors: int = 0


@dataclass(slots=True)
class _Batch:
    attempts: list[Attempt] = field(default_factory=list)
    deliveries: list[DeliveryLine] = field(default_factory=list)
    lines: int = 0
    bad: int = 0
    size: int = 0

    def take(self, chunk: bytes, *, final: bool) -> None:
        """Take the whole lines of a chunk; ``final``: no more bytes will follow it."""
        end = len(chunk) if final else chunk.rfind(b"\n") + 1
        if not end and len(chunk) == CHUNK:
            self.bad, end = 1, CHUNK  # no line is this long
        else:
            for line in filter(None, chunk[:end].split(b"\n")):
                self._take_line(line)
        self.size = end

    def _take_line(self, line: bytes) -> None:
        self.lines += 1
        match decode(line):
            case None:
                self.bad += 1
            case Attempt() as attempt:
                self.attempts.append(attempt)
            case DeliveryLine() as delivery:
                self.deliveries.append(delivery)


def _never() -> bool:
    return False


_Work = Callable[[str, Moved, Callable[[], bool]], None]


class Mover:
    """Moves one journal into one store; remembers how far each segment was read."""

    def __init__(self, directory: Path, store: AttemptStore) -> None:
        self._directory = directory
        self._store = store
        self._progress = store.progress()
        self._restored = False
        self._archive_after = 0.0

    def run(self, stop: Callable[[], bool] = _never) -> Moved:
        """Move all that is there now; ``stop`` is asked between transactions.

        A segment that cannot be read is logged, counted and passed over. Raises StoreError when
        the store fails; what was moved until then stays moved.
        """
        moved = Moved()
        if not self._restored:
            sweep(self._directory)
            for name in archived_segments(self._directory):
                if not self._at(name).done:
                    self._try(self._restore, name, moved, stop)
            self._restored = not stop()
        for name in live_segments(self._directory):
            self._try(self._segment, name, moved, stop)
        return moved

    def backlog(self) -> int:
        """Bytes of live segments that are not in the store yet."""
        total = 0
        for name in live_segments(self._directory):
            with suppress(FileNotFoundError):
                size = (self._directory / name).stat().st_size
                total += max(0, size - self._at(name).offset)
        return total

    def purge_archive(self, before: float) -> int:
        """Remove archived segments whose last line is older than ``before`` (UTC seconds)."""
        removed = purge(self._directory, before)
        for name in removed:
            self._store.forget_segment(name)
            self._progress.pop(name, None)
        return len(removed)

    def _at(self, name: str) -> Progress:
        return self._progress.get(name) or Progress(name)

    def _try(self, work: _Work, name: str, moved: Moved, stop: Callable[[], bool]) -> None:
        if stop():
            return
        try:
            work(name, moved, stop)
        except FileNotFoundError:
            log.warning("%s is gone", name)
        except (OSError, EOFError, zlib.error) as error:
            moved.errors += 1
            log.error("%s cannot be read: %s", name, error)

    def _segment(self, name: str, moved: Moved, stop: Callable[[], bool]) -> None:
        with (self._directory / name).open("rb") as file:
            # Asked before the end is looked for: without a writer the end stays where it is.
            abandoned = is_abandoned(file.fileno())
            file.seek(self._at(name).offset)
            if self._drain(name, file, moved, stop, final=abandoned) and abandoned:
                self._finish(name, file, moved)

    def _restore(self, name: str, moved: Moved, stop: Callable[[], bool]) -> None:
        with gzip.open(archive_path(self._directory, name), "rb") as file:
            file.seek(self._at(name).offset)
            if self._drain(name, file, moved, stop, final=True):
                self._done(name)

    def _done(self, name: str) -> None:
        self._progress[name] = now = replace(self._at(name), done=True)
        self._store.add([], [], now)

    def _finish(self, name: str, file: BinaryIO, moved: Moved) -> None:
        """Archive a segment; where that fails, not again for a while."""
        if time.monotonic() < self._archive_after:
            return
        try:
            self._done(name)
            archive(self._directory, name, file)
            moved.archived += 1
        except OSError as error:
            self._archive_after = time.monotonic() + ARCHIVE_PAUSE
            moved.errors += 1
            log.error("%s cannot be archived: %s", name, error)

    def _drain(
        self,
        name: str,
        file: BinaryIO | gzip.GzipFile,
        moved: Moved,
        stop: Callable[[], bool],
        *,
        final: bool,
    ) -> bool:
        """Move what a segment still has; whether its end was reached."""
        while True:
            chunk = file.read(CHUNK)
            batch = _Batch()
            batch.take(chunk, final=final and len(chunk) < CHUNK)
            if batch.size:
                self._store_batch(name, batch, moved)
            if len(chunk) < CHUNK:
                return batch.size == len(chunk)
            if stop():
                return False
            file.seek(batch.size - len(chunk), os.SEEK_CUR)

    def _store_batch(self, name: str, batch: _Batch, moved: Moved) -> None:
        was = self._at(name)
        now = Progress(name, was.offset + batch.size, was.bad + batch.bad)
        moved.attempts += self._store.add(batch.attempts, batch.deliveries, now)
        self._progress[name] = now
        moved.lines += batch.lines
        moved.deliveries += len(batch.deliveries)
        moved.bad += batch.bad
        if batch.bad:
            log.warning("%s: %d bad lines before byte %d", name, batch.bad, now.offset)


def ingest_once(directory: Path, store: AttemptStore) -> int:
    """Move all lines of a journal that are there now; return how many attempts were new."""
    return Mover(directory, store).run().attempts


def rebuild(store: AttemptStore, directory: Path) -> int:
    """Make the store again from archive and segments; return how many attempts it has."""
    store.clear()
    return ingest_once(directory, store)
