"""How this program logs: lines on stderr, as text for people or JSON for machines.

A number in a message can be masked: whoever may read the logs need not learn who called.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")

_NUMBER = re.compile(r"(?<![\w.:-])\+?\d{7,15}(?![\w:-])")
_SHOWN = 3
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def setup(level: str, format: str, *, mask: bool = False, stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream`` (stderr), replacing what was set up.

    ``level`` is one of LEVELS, ``format`` of FORMATS; ``mask`` hides all but the last three
    digits of whatever looks like a phone number.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_FORMATTERS[format](mask))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # It tells of every change below a watched folder, our own state among them.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)


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
        line = f"{record.levelname:<7} {record.name}: {record.getMessage()}"
        trace = self._trace(record)
        text = f"{line}\n{trace}" if trace else line
        return f"{self._time(record)} {self._clean(text)}"


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
        return json.dumps(fields, ensure_ascii=False)


_FORMATTERS: dict[str, type[_Formatter]] = {"text": _Text, "json": _Json}
