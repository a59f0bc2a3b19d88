"""Managed entries as YAML, so that what was blocked in a hurry can be reviewed and kept in git.

Rule: the output loads as it is. Campaigns and trunks that a list names are declared, empty; a
number that no policy can hold stands in a comment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from gateway.errors import BadEntry
from gateway.numbers import read_number_entry
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
HEAD = """\
# Managed entries, as a policy that loads on its own. To keep them in policy.yaml, add what is under
# numbers, prefixes, short and short_prefixes to the list of the same name there, or the whole list
# if there is none, and then remove the managed ones.
"""
DECLARED = "# Declared only so that this file loads: leave them out there."
IMPOSSIBLE = "no possible number, which a policy does not take:"
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
    if not grouped:
        return "lists: {}\n"
    lines = [line for name, group in grouped.items() for line in _list(name, group, known)]
    declared = _declared([known[name] for name in grouped if name in known])
    return HEAD + "\n".join(["lists:", *lines, *declared]) + "\n"


def _declared(lists: Iterable[ListDef]) -> Iterator[str]:
    campaigns, trunks = set[str](), set[str]()
    for item in lists:
        campaigns |= item.campaigns
        trunks |= item.trunks
    if campaigns or trunks:
        yield DECLARED
    if trunks:
        yield f"numbering: {{trunks: {_empty(trunks)}}}"
    if campaigns:
        yield f"campaigns: {_empty(campaigns)}"


def _empty(names: Iterable[str]) -> str:
    return "{" + ", ".join(f"{_quoted(name)}: {{}}" for name in sorted(names)) + "}"


def _list(name: str, entries: list[Entry], known: Mapping[str, ListDef]) -> Iterator[str]:
    if name not in known and name != MANAGED_LIST:
        yield f"  # {UNKNOWN}"
    yield f"  {_quoted(name)}:"
    for key, value in _attributes(known.get(name, _DEFAULTS), managed=name == MANAGED_LIST):
        yield f"    {key}: {value}"
    loading, impossible = _sorted(entries)
    if not loading:
        yield "    may_be_empty: true"
    yield from (f"    # {IMPOSSIBLE} {entry.text}" for entry in impossible)
    for kind, (key, singular) in _KEYS.items():
        group = [entry for entry in loading if entry.kind is kind]
        if group:
            yield f"    {key}:"
            yield from (f"      - {_entry(entry, singular)}" for entry in group)


def _sorted(entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Those that a policy takes, and the others."""
    sides: tuple[list[Entry], list[Entry]] = ([], [])
    for entry in entries:
        sides[not _loads(entry)].append(entry)
    return sides


def _loads(entry: Entry) -> bool:
    """Whether a policy takes it: by command a doubtful number is added, with a warning."""
    if entry.kind is not EntryKind.NUMBER:
        return True
    try:
        return bool(read_number_entry(entry.text, None))
    except BadEntry:
        return False


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
        yield "response", f"{item.response}{'+' * item.network_blocked}"
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
