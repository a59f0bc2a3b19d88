"""Managed entries as YAML, so that what was blocked in a hurry can be reviewed and kept in git."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from gateway.policy.model import (
    MANAGED_LIST,
    Action,
    Entry,
    EntryKind,
    ListDef,
    Mode,
    Origin,
    Party,
)

_KEYS = {
    EntryKind.NUMBER: ("numbers", "number"),
    EntryKind.PREFIX: ("prefixes", "prefix"),
    EntryKind.SHORT: ("short", "short"),
    EntryKind.SHORT_PREFIX: ("short_prefixes", "short_prefix"),
}
UNKNOWN = "What this list does is not known: check the action."
_DEFAULTS = ListDef(name="", action=Action.BLOCK, order=0, origin=Origin(""))


def export_yaml(entries: Iterable[Entry], lists: Iterable[ListDef] = ()) -> str:
    """A policy of these entries alone, which loads as it is; every scalar is quoted.

    ``lists`` say what each list does. One that is not among them is exported as ``block``, under
    a comment that says so; the managed list blocks always.
    """
    known = {item.name: item for item in lists}
    grouped: dict[str, list[Entry]] = {}
    for entry in entries:
        grouped.setdefault(entry.list, []).append(entry)
    lines = [line for name, group in grouped.items() for line in _list(name, group, known)]
    return "\n".join(["lists:", *lines]) + "\n" if lines else "lists: {}\n"


def _list(name: str, entries: list[Entry], known: Mapping[str, ListDef]) -> Iterator[str]:
    if name not in known and name != MANAGED_LIST:
        yield f"  # {UNKNOWN}"
    yield f"  {_quoted(name)}:"
    for key, value in _attributes(known.get(name, _DEFAULTS), managed=name == MANAGED_LIST):
        yield f"    {key}: {value}"
    for kind, (key, singular) in _KEYS.items():
        group = [entry for entry in entries if entry.kind is kind]
        if group:
            yield f"    {key}:"
            yield from (f"      - {_entry(entry, singular)}" for entry in group)


def _attributes(item: ListDef, *, managed: bool) -> Iterator[tuple[str, str]]:
    """What the list says of itself where that is not the default; region is read already."""
    yield "action", item.action.value
    if item.direction and not managed:
        yield "direction", item.direction.value
    if item.party is not Party.REMOTE:
        yield "party", item.party.value
    for key in ("campaigns", "trunks", "extensions"):
        if names := getattr(item, key):
            yield key, f"[{', '.join(map(_quoted, sorted(names)))}]"
    if item.response:
        yield "response", str(item.response)
    if item.reason:
        yield "reason", _quoted(item.reason)
    if item.mode is not Mode.ENFORCE:
        yield "mode", item.mode.value
    if item.binding:
        yield "binding", "true"
    if item.drop_active:
        yield "drop_active", "true"


def _entry(entry: Entry, key: str) -> str:
    fields = {key: entry.text, "reason": entry.reason, "expires": _moment(entry.expires)}
    if not entry.reason and not entry.expires:
        return _quoted(entry.text)
    return (
        "{" + ", ".join(f"{name}: {_quoted(text)}" for name, text in fields.items() if text) + "}"
    )


def _moment(expires: int) -> str:
    return datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if expires else ""


def _quoted(text: str) -> str:
    """A JSON string of printable characters is a YAML double-quoted scalar too."""
    return json.dumps(text, ensure_ascii=False)
