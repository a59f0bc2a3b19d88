"""Replies of Asterisk to an AGI command (res/res_agi.c), read line by line.

Rule 1: a bare ``HANGUP`` line may stand anywhere, even inside another reply, and more than once;
it displaces nothing.
Rule 2: only the code and ``result=`` are read. Text in parentheses may be a caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.errors import Malformed

HANGUP: Final = b"HANGUP"
_USAGE_ENDS: Final = b"520 End of proper usage."
"""Some usage texts have no newline of their own, so this may follow on their last line."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. ``result`` is empty where there is none (510, 511, 520)."""

    code: int
    result: str = ""

    @property
    def done(self) -> bool:
        """Whether the command was run (an application that is missing gives ``-2``)."""
        return self.code == 200 and not self.result.startswith("-")


@dataclass(frozen=True, slots=True)
class Hangup:
    """The channel was hung up; variables can still be set."""


class ReplyReader:
    """Lines in, replies out. Holds nothing but whether a usage text is being read."""

    __slots__ = ("_in_usage",)

    def __init__(self) -> None:
        self._in_usage = False

    def read(self, line: bytes) -> Reply | Hangup | None:
        """What one line (without its newline) completes; None when nothing.

        Raises:
            Malformed: the line is no part of any reply.
        """
        if line == HANGUP:
            return Hangup()
        if self._in_usage:
            if not line.endswith(_USAGE_ENDS):
                return None
            self._in_usage = False
            return Reply(520)
        code, separator = line[:3], line[3:4]
        if len(code) != 3 or not code.isdigit() or separator not in (b" ", b"-"):
            raise Malformed("not a reply")
        if separator == b"-":
            self._in_usage = True
            return None
        # 1xx announces a reply that is still to come.
        return None if code < b"200" else Reply(int(code), _result(line))


def _result(line: bytes) -> str:
    text = line[4:]
    if not text.startswith(b"result="):
        return ""
    return text[7:].partition(b" ")[0].decode("ascii", "replace")
