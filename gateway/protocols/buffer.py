"""A receive buffer that is bounded and remembers how far it has searched.

Rule 1: what it hands out depends on the bytes alone, never on how they were cut into reads.
Rule 2: no byte is searched twice for the same mark, so a slow sender costs what a fast one does.
"""

from __future__ import annotations

import re

from gateway.errors import TooLong

_newlines = re.compile(rb"\n*").match


class Buffer:
    """Bytes that arrived and were not yet taken; one block may be ``limit`` bytes long."""

    __slots__ = ("_bytes", "_searched", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._bytes = bytearray()
        self._searched = 0

    def __len__(self) -> int:
        return len(self._bytes)

    def extend(self, data: bytes) -> None:
        """Append what was read."""
        self._bytes += data

    def head(self) -> bytes:
        """At most the first ``limit`` bytes, left where they are."""
        return bytes(self._bytes[: self.limit])

    def startswith(self, expected: bytes) -> bool:
        """Whether the bytes so far begin like ``expected``, as far as either goes."""
        return self._bytes[: len(expected)] == expected[: len(self._bytes)]

    def endswith(self, expected: bytes) -> bool:
        """Whether the last bytes so far are these."""
        return self._bytes.endswith(expected)

    def skip_newlines(self) -> None:
        """Drop the newlines that come first, however many, in one step."""
        if self._bytes.startswith(b"\n"):
            del self._bytes[: _newlines(self._bytes).end()]  # type: ignore[union-attr]
            self._searched = 0

    def drain(self) -> bytes:
        """Everything that is left; nothing is, afterwards."""
        rest = bytes(self._bytes)
        self._bytes.clear()
        self._searched = 0
        return rest

    def take_bytes(self, count: int) -> bytes:
        """The first ``count`` bytes, or as many as there are."""
        block = bytes(self._bytes[:count])
        del self._bytes[:count]
        self._searched = 0
        return block

    def take(self, mark: bytes) -> bytes | None:
        """The bytes before ``mark``, which is dropped; None until it has arrived.

        Raises:
            TooLong: the mark does not end within the first ``limit`` bytes.
        """
        start = max(0, self._searched - len(mark) + 1)
        end = self._bytes.find(mark, start, self.limit)
        if end < 0:
            self._searched = len(self._bytes)
            if self._searched >= self.limit:
                raise TooLong(f"more than {self.limit} bytes without an end")
            return None
        block = bytes(self._bytes[:end])
        del self._bytes[: end + len(mark)]
        self._searched = 0
        return block
