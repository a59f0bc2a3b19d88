"""What people ask for, as text, becomes a change: the number is read, the list must take it, and
what it would cover is guarded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.entries.guard import (
    EMERGENCY,
    Covered,
    NeedsConfirmation,
    covered,
    described,
    recorded,
)
from gateway.entries.model import Applied, ManagedEntry, NewChange, Op, Status
from gateway.errors import BadEntry, EntryError
from gateway.numbers import (
    infer_entry,
    read_number_entry,
    read_prefix_entry,
    read_short_entry,
)
from gateway.policy.expiry import parse_expiry
from gateway.policy.model import MANAGED_LIST, EntryKind, ListDef, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An entry as text. No ``kind``: it is inferred. ``expires`` as in YAML, empty for never.

    ``reason`` and ``expires`` are None where an edit leaves them as they are. ``confirm``: it is
    meant to cover what the guard names, or to have expired already.
    """

    number: str
    list: str = MANAGED_LIST
    kind: EntryKind | None = None
    reason: str | None = ""
    expires: str | None = ""
    confirm: bool = False


@dataclass(frozen=True, slots=True)
class Understood:
    """The change, and a warning when the number is doubtful."""

    change: NewChange
    warning: str = ""


def understand_all(
    entries: Iterable[Asked],
    op: Op,
    policy: Policy,
    *,
    who: str,
    source: str,
    forced: bool = False,
) -> list[Understood]:
    """Read all that is asked for at once: what is to be confirmed is told of all of it together."""
    every = tuple(entries)
    read: list[Understood] = []
    unconfirmed: list[Covered] = []
    for place, asked in enumerate(every, 1):
        try:
            read.append(understand(asked, op, policy, who=who, source=source, forced=forced))
        except NeedsConfirmation as error:
            unconfirmed += error.covers
        except EntryError as error:
            if len(every) == 1:
                raise
            which = f"entry {place} of {len(every)} ({asked.number[:80]!r})"
            raise EntryError(f"{which}: {error}") from error
    if unconfirmed:
        raise NeedsConfirmation(unconfirmed)
    return read


def understand(
    asked: Asked, op: Op, policy: Policy, *, who: str, source: str, forced: bool = False
) -> Understood:
    """Read what is asked for under a policy. EntryError says what is wrong with it;
    NeedsConfirmation that it covers what it should not unless that is meant.

    ``forced`` is for ways in that cannot ask back: all goes on unconfirmed, and what it covers is
    kept in the log, but an emergency number is refused.
    """
    item = _list(asked.list, policy, taking=op is Op.ADD)
    region = (item.region if item else None) or policy.plan.region
    try:
        kind, digits, warning = _read(asked.number, asked.kind, region, adding=op is Op.ADD)
        expires = _expiry(asked.expires, policy)
    except (BadEntry, ValueError) as error:
        raise EntryError(str(error)) from error
    now = time.time()
    if expires and expires <= now and not (asked.confirm or forced):
        raise EntryError(f"{asked.expires} is past: confirm it (confirm) if that is meant")
    covers: tuple[Covered, ...] = ()
    if item and op is Op.ADD:
        covers = covered(kind, digits, item, policy, now)
        if forced:
            _refuse_emergency(covers)
        elif covers and not asked.confirm and not _is_there(kind, digits, item, policy, now):
            raise NeedsConfirmation(covers)
    change = NewChange(
        op=op,
        who=who,
        source=source,
        list=asked.list,
        kind=kind,
        digits=digits,
        reason=asked.reason,
        expires=expires,
        covered=recorded(covers),
    )
    return Understood(change, warning)


def told(understood: Understood, applied: Applied) -> dict[str, Any]:
    """What whoever asked for a change is told of it."""
    change = understood.change
    is_there = applied.status is Status.EXISTS
    more = _kept(change, applied.entry) if is_there else change.covered
    return {
        "list": change.list,
        "kind": change.kind,
        "digits": change.digits,
        "rev": applied.rev,
        "status": applied.status,
        "entry": applied.entry,
        "warning": "; ".join(filter(None, (understood.warning, more, applied.warning))),
    }


def _kept(change: NewChange, found: ManagedEntry | None) -> str:
    """What an entry that is there already keeps, although something else was asked for."""
    if change.op is not Op.ADD or found is None:
        return ""
    other_reason = change.reason and change.reason != found.reason
    if not other_reason and change.expires == found.expires:
        return ""
    reason = f"its reason {found.reason!r}" if found.reason else "no reason"
    ends = datetime.fromtimestamp(found.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    expiry = f"its expiry {ends}" if found.expires else "no expiry"
    return f"it keeps {reason} and {expiry}: `callgate edit` changes them"


def _list(name: str, policy: Policy, *, taking: bool) -> ListDef | None:
    """An entry can be taken out of a list that is gone, but not put into it."""
    lists = {item.name: item for item in policy.lists}
    if name not in lists and taking:
        raise EntryError(f"there is no list {name!r}; the lists are {', '.join(lists)}")
    item = lists.get(name)
    if item and item.match and taking:
        raise EntryError(f"list {name!r} matches by category and takes no entries")
    return item


_READERS: dict[EntryKind, Callable[[str, str | None], str]] = {
    EntryKind.NUMBER: read_number_entry,
    EntryKind.PREFIX: read_prefix_entry,
    EntryKind.SHORT: lambda text, _: read_short_entry(text),
    EntryKind.SHORT_PREFIX: lambda text, _: read_short_entry(text),
}


def _read(
    text: str, kind: EntryKind | None, region: str | None, *, adding: bool
) -> tuple[EntryKind, str, str]:
    """A doubtful number is added only where its kind is inferred; once it is there, it is one."""
    if kind is None:
        inferred = infer_entry(text, region)
        return EntryKind(inferred.kind), inferred.digits, inferred.warning if adding else ""
    try:
        return kind, _READERS[kind](text, region), ""
    except BadEntry:
        if adding or kind is not EntryKind.NUMBER:
            raise
        inferred = infer_entry(text, region)
        if inferred.kind != kind:
            raise
        return kind, inferred.digits, ""


def _refuse_emergency(covers: Iterable[Covered]) -> None:
    found = [one for one in covers if one.what == EMERGENCY]
    if found:
        raise EntryError(f"{described(found)}: that is never added without being asked back")


def _is_there(kind: EntryKind, digits: str, item: ListDef, policy: Policy, at: float) -> bool:
    """Whether it is a managed entry already, so that adding it changes nothing."""
    hits = policy.index.matches(digits, kind.short)
    alive = (policy.index.entry(hit.row) for hit in hits if not 0 < hit.expires <= at)
    managed = ((entry.list, entry.kind, entry.digits) for entry in alive if entry.managed)
    return (item.name, kind, digits) in managed


def _expiry(text: str | None, policy: Policy) -> int | None:
    return parse_expiry(text, ZoneInfo(policy.timezone)) if text else None if text is None else 0
