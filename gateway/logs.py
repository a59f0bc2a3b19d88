"""How this program logs: lines on stderr, as text for people or JSON for machines.

Rule 1: who logs never waits. A thread writes; lines that nobody reads are dropped and counted.
Rule 2: a line is printable, whatever it tells of: a terminal obeys control characters, and what
follows a line break of a text line is indented, so that nobody can forge a line.
Rule 3: a number in a message can be masked: whoever may read the logs need not learn who called.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
ROOM = 2**20
"""Bytes that wait for whoever reads stderr."""
LAST = 1.0
"""Seconds that the last lines have to be read when the program ends."""

_NUMBER = re.compile(
    r"(?<![\w.:+-])\+?\d{7,24}(?![\w:-])"  # by itself: no part of a time, an address or an id
    r"|(?<![0-9a-z])\+\d{7,24}(?!\d)"  # behind a plus that parts no revision
    r"|(?:(?<=sip:)|(?<=sips:)|(?<=tel:)|(?<=%2b)|(?<=/))\d{7,24}(?!\d)",  # in a URI or channel
    re.IGNORECASE,
)
_SHOWN = 3
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def setup(level: str, format: str, *, mask: bool = False, stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream`` (stderr), replacing what was set up.

    ``level`` is one of LEVELS, ``format`` of FORMATS; ``mask`` hides all but the last three
    digits of whatever looks like a phone number.
    """
    _use(logging.StreamHandler(stream or sys.stderr), level, format, mask)


@contextmanager
def background(
    level: str, format: str, *, mask: bool = False, descriptor: int = 2, worker: int = 0
) -> Iterator[None]:
    """The same for a program that must not wait: a thread writes to ``descriptor``, until the end.

    The last lines have LAST seconds to be read. A ``worker`` above 0 is named in each.
    """
    writer = Background(descriptor)
    if worker:
        writer.addFilter(partial(_mark, worker))
    _use(writer, level, format, mask)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(writer)
        writer.close()


def _mark(worker: int, record: logging.LogRecord) -> bool:
    record.worker = worker
    return True


def dropped() -> int:
    """How many lines nobody has read."""
    writers = (item for item in logging.getLogger().handlers if isinstance(item, Background))
    return sum(writer.dropped for writer in writers)


def _use(handler: logging.Handler, level: str, format: str, mask: bool) -> None:
    handler.setFormatter(_FORMATTERS[format](mask))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # It tells of every change below a watched folder, our own state among them.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)


class Background(logging.Handler):
    """Formats a line where it is logged and writes it in a thread.

    It writes to the descriptor, not through ``sys.stderr``: the lock of that would be held by a
    thread that waits for a reader, and the interpreter could not end. The descriptor is its own
    copy: a thread that still waits must not write into whatever takes the number next.
    """

    def __init__(self, descriptor: int, room: int = ROOM) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = os.dup(descriptor)
        self._room = room
        self._waiting = bytearray()
        self._ended = False
        self._told = 0
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # our bug, and stderr is no place to wait and say so
            line = f"a log line could not be made: {error!r}"
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        with self._change:
            if len(self._waiting) + len(data) > self._room:
                self.dropped += 1
            else:
                self._waiting += data
                self._change.notify()

    def close(self) -> None:
        """Write what waits, if anybody reads it within LAST seconds."""
        with self._change:
            ended, self._ended = self._ended, True
            self._change.notify()
        if not ended:
            self._thread.join(LAST)
        super().close()

    def _write(self) -> None:
        while data := self._next():
            try:
                while data:
                    data = data[self._written(data) :]
            except OSError:
                with self._change:
                    self.dropped += data.count(b"\n")
        os.close(self._descriptor)

    def _written(self, data: bytes) -> int:
        """How many bytes were taken, once there was room; whose pipe it is may not let us wait."""
        select.select([], [self._descriptor], [])
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0

    def _next(self) -> bytes:
        """What waits, as soon as something does; nothing at the end."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._ended)
            data = bytes(self._waiting)
            self._waiting.clear()
            lost, self._told = self.dropped - self._told, self.dropped
        return data + self._confession(lost) if data and lost else data

    def _confession(self, lost: int) -> bytes:
        message = f"{lost} lines before this one were dropped: nobody read them"
        facts = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"}
        record = logging.makeLogRecord({**facts, "msg": message})
        return f"{self.format(record)}\n".encode()


class Seldom:
    """Warnings that a peer can cause as often as it likes: ``most`` in ``period`` seconds.

    The rest is counted, and told when the next period begins.
    """

    def __init__(
        self,
        log: logging.Logger,
        *,
        most: int = 10,
        period: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._most = most
        self._period = period
        self._clock = clock
        self._since = clock()
        self._count = 0

    def warning(self, message: str, *facts: object) -> None:
        now = self._clock()
        if now - self._since >= self._period:
            if self._count > self._most:
                self._log.warning("%d more lines like the next were kept back", self._held)
            self._since, self._count = now, 0
        self._count += 1
        if self._count <= self._most:
            self._log.warning(message, *facts)

    @property
    def _held(self) -> int:
        return self._count - self._most


def printable(text: str) -> str:
    """Control characters, bidirectional marks and separators of lines as their escapes."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def masked(text: str) -> str:
    """``+33123456789`` becomes ``+********789``."""
    return _NUMBER.sub(_hide, text)


def _hide(match: re.Match[str]) -> str:
    number = match.group()
    sign = "+" if number.startswith("+") else ""
    return sign + "*" * (len(number) - len(sign) - _SHOWN) + number[-_SHOWN:]


class _Formatter(logging.Formatter):
    def __init__(self, mask: bool) -> None:
        super().__init__()
        self.converter = time.gmtime
        self._clean = masked if mask else str

    def _time(self, record: logging.LogRecord) -> str:
        """UTC with milliseconds, RFC 3339."""
        return f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z"

    def _trace(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info else ""


class _Text(_Formatter):
    """``2026-11-22T16:11:36.123Z INFO  gateway.reload: policy … loaded``"""

    def format(self, record: logging.LogRecord) -> str:
        worker = getattr(record, "worker", 0)
        by = f"worker {worker}: " if worker else ""
        line = f"{record.levelname:<7} {record.name}: {by}{record.getMessage()}"
        trace = self._trace(record)
        text = f"{line}\n{trace}" if trace else line
        lines = "\n  ".join(map(printable, self._clean(text).split("\n")))
        return f"{self._time(record)} {lines}"


class _Json(_Formatter):
    """One object a line: ``time level logger message``, the ``extra`` fields, ``trace``."""

    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        fields = {key: self._clean(str(value)) for key, value in extra.items()}
        fields |= {
            "time": self._time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._clean(record.getMessage()),
        }
        if trace := self._trace(record):
            fields["trace"] = self._clean(trace)
        return json.dumps(fields)


_FORMATTERS: dict[str, type[_Formatter]] = {"text": _Text, "json": _Json}
