"""What people ask for, as text, becomes a change: the number is read, the list must take it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from gateway.entries.model import Applied, NewChange, Op
from gateway.errors import BadEntry, EntryError
from gateway.numbers import (
    infer_entry,
    reach,
    read_number_entry,
    read_prefix_entry,
    read_short_entry,
)
from gateway.policy.expiry import parse_expiry
from gateway.policy.model import MANAGED_LIST, EntryKind, ListDef, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An entry as text. No ``kind``: it is inferred. ``expires`` as in YAML, empty for never.

    ``confirm``: it is meant to cover a country, or a large part of one.
    """

    number: str
    list: str = MANAGED_LIST
    kind: EntryKind | None = None
    reason: str = ""
    expires: str = ""
    confirm: bool = False


@dataclass(frozen=True, slots=True)
class Understood:
    """The change, and a warning when the number is doubtful."""

    change: NewChange
    warning: str = ""


def understand(asked: Asked, op: Op, policy: Policy, *, who: str, source: str) -> Understood:
    """Read what is asked for under a policy. EntryError says what is wrong with it."""
    item = _list(asked.list, policy, taking=op is Op.ADD)
    region = (item.region if item else None) or policy.plan.region
    try:
        kind, digits, warning = _read(asked.number, asked.kind, region)
        expires = _expiry(asked.expires, policy)
    except (BadEntry, ValueError) as error:
        raise EntryError(str(error)) from error
    if op is Op.ADD and kind is EntryKind.PREFIX and not asked.confirm:
        _refuse_wide(digits)
    change = NewChange(
        op=op,
        who=who,
        source=source,
        list=asked.list,
        kind=kind,
        digits=digits,
        reason=asked.reason,
        expires=expires,
    )
    return Understood(change, warning)


def told(understood: Understood, applied: Applied) -> dict[str, Any]:
    """What whoever asked for a change is told of it."""
    change = understood.change
    return {
        "list": change.list,
        "kind": change.kind,
        "digits": change.digits,
        "rev": applied.rev,
        "status": applied.status,
        "entry": applied.entry,
        "warning": "; ".join(filter(None, (understood.warning, applied.warning))),
    }


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


def _read(text: str, kind: EntryKind | None, region: str | None) -> tuple[EntryKind, str, str]:
    if kind:
        return kind, _READERS[kind](text, region), ""
    inferred = infer_entry(text, region)
    return EntryKind(inferred.kind), inferred.digits, inferred.warning


def _refuse_wide(digits: str) -> None:
    if all_of := reach(digits):
        raise EntryError(
            f"the prefix +{digits} covers {all_of}: confirm it (--confirm) if that is meant"
        )


def _expiry(text: str, policy: Policy) -> int:
    return parse_expiry(text, ZoneInfo(policy.timezone)) if text else 0
