"""Ids of attempts: they sort by time and never repeat, over workers, restarts and clock steps.

An id is ``<time>-<boot>-<worker>-<counter>`` in base 36, ``[0-9a-z-]``, 29 characters for the
first 36 workers and never more than 40:

- time: 9 digits, milliseconds since the epoch, never less than in the id before it;
- boot: 12 digits, one start of one process: 7 of its second, 5 at random;
- worker: the number of the worker;
- counter: 4 digits, from zero in each millisecond.

Rule: a clock that steps back leaves the time where it was and the counter runs on; a counter
that is full (1.6 million) moves the time on by one.
"""

from __future__ import annotations

import secrets
import time

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
TIME_DIGITS = 9
COUNTER_DIGITS = 4
_COUNTER_END = 36**COUNTER_DIGITS
_PAIRS = [first + second for first in DIGITS for second in DIGITS]
"""Every number below 36² in two digits: the counter is two of them."""
_TIME_END = 36**TIME_DIGITS


def base36(number: int, width: int = 1) -> str:
    """A number from zero up in base 36, padded with zeros to ``width``."""
    text = ""
    while number:
        number, pair = divmod(number, 1296)
        text = _PAIRS[pair] + text
    return text.lstrip("0").rjust(width, "0")


def new_boot() -> str:
    """The name of one start of one process; it sorts by the second of the start."""
    return base36(int(time.time()), 7) + "".join(secrets.choice(DIGITS) for _ in range(5))


def time_of(attempt_id: str) -> float | None:
    """Seconds since the epoch that an id carries; None for text that is no id."""
    head = attempt_id[:TIME_DIGITS]
    if len(head) < TIME_DIGITS or not set(head) <= set(DIGITS):
        return None
    return int(head, 36) / 1000


class IdMaker:
    """Makes the ids of one worker, each greater than the one before."""

    __slots__ = ("_counter", "_last", "_middle", "_prefix")

    def __init__(self, boot: str, worker: int) -> None:
        self._middle = f"-{boot}-{base36(worker)}-"
        self._last = -1
        self._counter = 0
        self._prefix = ""

    def next(self, at: float) -> str:
        """The id of an attempt at ``at``, UTC seconds since the epoch."""
        moment = int(at * 1000)
        self._counter += 1
        if moment > self._last:
            self._move_to(moment)
        elif self._counter == _COUNTER_END:
            self._move_to(self._last + 1)
        high, low = divmod(self._counter, 1296)
        return self._prefix + _PAIRS[high] + _PAIRS[low]

    def _move_to(self, moment: int) -> None:
        self._last = min(moment, _TIME_END - 1)
        self._counter = 0
        self._prefix = base36(self._last, TIME_DIGITS) + self._middle
