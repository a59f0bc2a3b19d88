"""What a reader of a format yields for each line, and what whoever imports may say about all.

Rule: a bad row is a row that says why, never an exception: one of a million must not cost the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.entries.model import MAX_REASON
from gateway.entries.reading import Asked
from gateway.entries.sources.lines import Line
from gateway.policy.model import MANAGED_LIST, EntryKind

INFER = "infer"
"""Instead of a kind: a whole number is a number, what is too short for one a prefix."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that no entry can be made of: what it says, and why not."""

    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that is meant to be no entry here, such as one that is switched off."""

    why: str


@dataclass(frozen=True, slots=True)
class Unread:
    """No row, but the columns that held something and were not taken."""

    columns: tuple[str, ...]


class Row(NamedTuple):
    """One row and the line, from 1, on which it begins."""

    line: int
    found: Asked | Refused | Skipped | Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is said about all rows.

    ``list`` takes them, or the one of ``lists`` for the row's own key: a campaign, a direction, a
    user. ``allow_list`` takes exceptions. ``kind`` is one of EntryKind, INFER, or empty for what
    the format says. ``reason`` and ``expires`` (as in YAML) stand where a row has none.
    ``columns`` are names of the file's columns by what they hold. ``before`` is put before numbers
    that begin with neither ``+`` nor 0. ``min_complaints`` within ``within`` days make an entry.
    ``file`` is for faults.
    """

    file: str = ""
    list: str = ""
    lists: Mapping[str, str] = field(default_factory=dict)
    allow_list: str = ""
    kind: str = ""
    reason: str = ""
    expires: str = ""
    confirm: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    before: str = ""
    min_complaints: int = 3
    within: int = 30

    def list_of(self, key: str) -> str:
        """The list of a key, empty when none was named for it and others were."""
        return self.lists.get(key) or self.list or ("" if self.lists else MANAGED_LIST)

    def asked(
        self,
        number: str,
        *,
        kind: EntryKind | None = None,
        reason: str = "",
        expires: str = "",
        list: str = "",
    ) -> Asked:
        """An entry. ``kind`` is what the format says; a star at the end says prefix, too."""
        number = self._plus(number.strip())
        if self.kind:
            kind = EntryKind(self.kind) if self.kind != INFER else None
        elif number.endswith("*"):
            kind = None
        if kind is not None and not kind.exact:
            number = number.rstrip("* ")
        return Asked(
            number=number,
            list=list or self.list_of(""),
            kind=kind,
            reason=one_line(reason) or self.reason,
            expires=expires or self.expires,
            confirm=self.confirm,
        )

    def _plus(self, number: str) -> str:
        return number if number.startswith(("+", "0")) or not number else self.before + number


Reader = Callable[[Iterator[Line], Options], Iterator[Row]]


def one_line(text: str) -> str:
    """A reason as it is kept: printable, one line, not too long."""
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else " " for sign in text)
    text = " ".join(text.split()) if "  " in text or text != text.strip() else text
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"


def uncut(row: Row) -> Row:
    """The same row, refused where something stands behind its number that would be lost.

    A SIP URI's parameters are its own: RFC 3261, 19.1.1, and RFC 3966 have them behind ``;``.
    """
    if not isinstance(row.found, Asked):
        return row
    number = row.found.number
    bare = _PARAMETER.sub("", _NAME.sub("", number)) if _ADDRESS.search(number) else number
    found = _BEHIND.search(bare)
    if found is None:
        return row
    shown = "<tab>" if found[1] == "\t" else found[1]
    header = shown.join(("number", "reason", "expires"))
    why = f"{one_line(found[2])[:40]!r} stands behind it: the file needs a header such as {header}"
    return Row(row.line, Refused(number, why))


_ADDRESS = re.compile(r"^\s*(?:sips?|tel):|<", re.IGNORECASE)
_NAME = re.compile(r'^\s*"(?:[^"\\]|\\.)*"')
_PARAMETER = re.compile(r";[\w.!~*'()-]+=[^\s;,>]*")
_BEHIND = re.compile(r"([;,\t])[\s;,]*([^\s;,].*)", re.DOTALL)


def nanp(number: str) -> str:
    """A number of the North American plan as its dialers and agencies write it, with ``+1``."""
    digits = "".join(sign for sign in number if sign.isdigit() and sign.isascii())
    if number.startswith("+") or len(digits) not in (10, 11):
        return number
    if len(digits) == 11:
        return f"+{digits}" if digits[0] == "1" else number
    return f"+1{digits}" if digits[0] in "23456789" else number
