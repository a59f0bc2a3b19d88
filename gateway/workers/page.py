"""One page of memory that the parent and all workers map: the edition in force, and the hearts.

Rule 1: only the parent writes the edition, and a worker only its own heart. Each word is eight
bytes on an eight-byte boundary, so that none is ever read half written.
Rule 2: the file has no name (memfd_create(2)): it is gone with the last process that has it open.
"""

from __future__ import annotations

import mmap
import os

SIZE = mmap.PAGESIZE
MOST = 64
"""Workers that a page has hearts for."""
_HEARTS = 8
"""The first heart: the edition, which every call reads, has a cache line of its own."""


class Page:
    """The shared page. ``words[0]`` is the edition in force."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, SIZE)
        self.words = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls) -> Page:
        """A new page, all zero. OSError."""
        descriptor = os.memfd_create("callgate-workers", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, SIZE)
        return cls(descriptor)

    @property
    def edition(self) -> int:
        return self.words[0]

    def flip(self, edition: int) -> None:
        """Put an edition in force: the next call of every worker is decided by it."""
        self.words[0] = edition

    def beat(self, worker: int, at: int) -> None:
        """A sign of life of a worker: ``at`` is ``time.monotonic_ns()``."""
        self.words[_HEARTS + worker - 1] = at

    def heart(self, worker: int) -> int:
        """When a worker, from 1 up, last gave a sign of life; 0 when it never did."""
        return self.words[_HEARTS + worker - 1]

    def close(self) -> None:
        self.words.release()
        self._map.close()
        os.close(self.descriptor)


class Pulse:
    """How long one heart has been silent, as its watcher saw it.

    Rule: a pause of the watcher, or of the whole machine, is nobody's silence. So between two
    looks no more than twice the time that should lie between them counts.
    """

    def __init__(self, interval: float) -> None:
        """``interval`` is in seconds, as everything here."""
        self._most = 2 * interval
        self._heart = -1
        self._looked = 0.0
        self.silence = 0.0

    def look(self, heart: int, now: float) -> float:
        """The silence so far, at ``now`` of any steady clock."""
        if heart != self._heart:
            self._heart, self.silence = heart, 0.0
        else:
            self.silence += min(now - self._looked, self._most)
        self._looked = now
        return self.silence
