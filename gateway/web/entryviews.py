"""Entries as the API and the pages show them: managed ones, and beside them those of the YAML."""

from __future__ import annotations

import time

import msgspec

from gateway.entries import EntryStore, ManagedEntry
from gateway.entries.search import EntryFilter
from gateway.numbers import region_of
from gateway.policy.model import Entry, EntryKind, Policy
from gateway.tokens import Scope
from gateway.web.masking import masked_text
from gateway.web.sessions import Principal

EXPIRED = "expired"
"""The fault of an entry whose time is over."""


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """One entry.

    ``id`` is that of a managed entry, 0 where it is written in a file; ``origin`` is ``managed``
    or file:line. ``text`` is as people read it (``+33162``). ``region`` is the country of a full
    number. ``expires`` is UTC seconds since the epoch, 0 never. ``fault`` says why the entry does
    nothing; of one whose time is over it is ``expired``.
    """

    id: int
    list: str
    action: str
    kind: EntryKind
    text: str
    region: str
    reason: str
    expires: int
    origin: str
    who: str = ""
    at: float = 0.0
    fault: str = ""


class Cursor(msgspec.Struct, frozen=True):
    """Where a page goes on: below an id of the managed entries, then after a row of the files."""

    before: int
    row: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Of ``m123`` or ``f45``; anything else is the beginning."""
        number = int(text[1:]) if text[1:].isdecimal() and text.isascii() and len(text) < 20 else -1
        if text.startswith("m") and number > 0:
            return cls(number, -1)
        return cls(-1, number) if text.startswith("f") and number >= 0 else cls(0, -1)


def find(
    store: EntryStore, policy: Policy, wanted: EntryFilter, cursor: Cursor, limit: int, origin: str
) -> tuple[list[EntryView], str]:
    """A page of entries, managed ones first, newest first, and the cursor of the next page."""
    found: list[EntryView] = []
    if cursor.before >= 0 and origin != "file":
        page = store.search(wanted, before=cursor.before, limit=limit)
        found = [managed_view(item, policy) for item in page.items]
        if page.next:
            return found, f"m{page.next}"
    if origin == "managed" or wanted.who or (wanted.text and not wanted.digits):
        return found, ""
    room = limit - len(found)
    if not room:
        return found, "f0"
    rows = policy.index.written(wanted.digits, list_name=wanted.list, after=cursor.row, limit=room)
    found += [file_view(entry, policy) for _, entry in rows]
    return found, f"f{rows[-1][0]}" if len(rows) == room and rows else ""


def covering(
    digits: str, short: bool, policy: Policy, store: EntryStore, limit: int = 200
) -> list[EntryView]:
    """Every entry that covers a number, the one that wins first, those that have expired last."""
    hits = policy.index.matches(digits, short)[:limit]
    entries = [policy.index.entry(hit.row) for hit in hits]
    ids = [entry.managed for entry in entries if entry.managed]
    known = {item.id: item for item in store.by_ids(ids)}
    found = [
        managed_view(known[entry.managed], policy)
        if entry.managed in known
        else file_view(entry, policy)
        for entry in entries
    ]
    return sorted(found, key=lambda view: view.fault == EXPIRED)


def managed_view(item: ManagedEntry, policy: Policy) -> EntryView:
    """A managed entry. One whose list left the YAML stays, and does nothing."""
    lists = {one.name: one for one in policy.lists}
    of = lists.get(item.list)
    fault = ""
    if of is None:
        fault = f"the policy has no list {item.list!r} (any more)"
    elif of.match is not None:
        fault = f"list {item.list!r} matches by category and takes no entries"
    else:
        fault = _expired(item.expires)
    return EntryView(
        id=item.id,
        list=item.list,
        action=of.action.value if of else "",
        kind=item.kind,
        text=item.entry.text,
        region=_region(item.kind, item.digits),
        reason=item.reason,
        expires=item.expires,
        origin="managed",
        who=item.who,
        at=item.at,
        fault=fault,
    )


def file_view(entry: Entry, policy: Policy) -> EntryView:
    """An entry that people wrote into the YAML or a list file."""
    action = next((item.action.value for item in policy.lists if item.name == entry.list), "")
    return EntryView(
        id=entry.managed,
        list=entry.list,
        action=action,
        kind=entry.kind,
        text=entry.text,
        region=_region(entry.kind, entry.digits),
        reason=entry.reason,
        expires=entry.expires,
        origin=str(entry.origin),
        fault=_expired(entry.expires),
    )


def entry_shown(view: EntryView, who: Principal) -> EntryView:
    """An entry as somebody may see it."""
    if who.may(Scope.NUMBERS):
        return view
    return msgspec.structs.replace(view, text=masked_text(view.text, exact=view.kind.exact))


def _expired(expires: int) -> str:
    return EXPIRED if 0 < expires <= time.time() else ""


def _region(kind: EntryKind, digits: str) -> str:
    return (region_of(digits) or "") if kind is EntryKind.NUMBER else ""
