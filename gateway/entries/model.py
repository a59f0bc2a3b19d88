"""What can be asked of the managed entries, and what a change looks like once it is written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from gateway.policy.model import MANAGED_LIST, Entry, EntryKind, Origin

MAX_REASON = 500
MAX_NAME = 200
MAX_COVERED = 4000
MAX_DIGITS = 15
"""E.164 §6.1: a number has at most 15 digits."""
ORIGIN = Origin("managed")


class Op(StrEnum):
    ADD = "add"
    REMOVE = "remove"
    EDIT = "edit"
    UNDO = "undo"


class Status(StrEnum):
    """What became of a change. ``exists`` and ``absent`` changed nothing and have no revision."""

    ADDED = "added"
    EXISTS = "exists"
    REMOVED = "removed"
    ABSENT = "absent"
    EDITED = "edited"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChange:
    """A change that is asked for.

    ``add`` needs list, kind and digits. ``remove`` and ``edit`` name an entry by ``id``, or by
    list, kind and digits; ``edit`` replaces reason and expiry, where they are not None. ``undo``
    needs ``rev``, the change to take back. ``who`` is the person, ``source`` the way in: ``cli``,
    ``api``, ``page``, ``star``. ``covered`` is what the entry covers although somebody should think
    twice of it, as they confirmed it.
    """

    op: Op
    who: str
    source: str
    list: str = MANAGED_LIST
    kind: EntryKind = EntryKind.NUMBER
    digits: str = ""
    reason: str | None = ""
    expires: int | None = 0
    id: int = 0
    rev: int = 0
    covered: str = ""


class ManagedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One managed entry: ``id`` is the revision that first made it, ``at`` when it got this way."""

    id: int
    list: str
    kind: EntryKind
    digits: str
    reason: str = ""
    expires: int = 0
    who: str
    at: float

    @property
    def entry(self) -> Entry:
        """The entry as the policy knows it."""
        return Entry(self.list, self.kind, self.digits, self.reason, self.expires, ORIGIN, self.id)

    def alive(self, at: float) -> bool:
        return not self.expires or at < self.expires


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the change log. No ``before``: it was made; no ``after``: it was taken away.

    ``covered`` is what it was known to cover when it was confirmed, in words.
    """

    rev: int
    at: float
    who: str
    source: str
    op: Op
    before: ManagedEntry | None
    after: ManagedEntry | None
    undoes: int = 0
    covered: str = ""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a change: the revision of the log, what happened, and the entry it is about.

    ``rev`` is the new change's own revision, or the log's last one when nothing changed.
    ``warning`` says why a change that is written is not in force yet.
    """

    rev: int
    status: Status
    entry: ManagedEntry | None = None
    warning: str = ""
