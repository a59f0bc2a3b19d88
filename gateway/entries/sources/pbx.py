"""Blacklists of PBXs and SIP servers: FreePBX, FusionPBX, Kamailio (and OpenSIPS).

FreePBX: ``Blacklist.class.php``, a CSV ``number,description`` of its bulk handler, or AstDB's
family ``blacklist`` as Asterisk prints it. FusionPBX: the table ``v_call_block``, which matches
what begins with the number (``call_block/index.lua``). Kamailio: the tables of ``userblocklist``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from gateway.entries.sources.lines import Line
from gateway.entries.sources.rows import Options, Refused, Row, Skipped
from gateway.entries.sources.sheets import Cells, Names, Sheet
from gateway.policy.model import EntryKind

ASTDB = re.compile(r"/blacklist/(?P<number>.*?)\s*:(?: (?P<description>.*))?")
_RESULTS = re.compile(r"\d+ results? found\.?")
_SETTINGS = frozenset({"dest", "blocked"})
_SETTING = "a setting of FreePBX, no number"
_ON = frozenset({"true", "t", "1", "yes", "on"})


def read_freepbx(lines: Iterator[Line], options: Options) -> Iterator[Row]:
    """A CSV of the bulk handler, or what ``database show blacklist`` prints."""
    first = next((line for line in lines if line.text.strip()), None)
    if first is None:
        return
    whole = chain([first], lines)
    dump = ASTDB.match(first.text) or _RESULTS.fullmatch(first.text.strip())
    yield from (_astdb if dump else _freepbx_csv)(whole, options)


def _freepbx_csv(lines: Iterator[Line], options: Options) -> Iterator[Row]:
    names: Names = {"number": ("number",), "reason": ("description",)}
    for row in Sheet(lines, options, names, ("number",)):
        if isinstance(row, Row):
            yield row
        else:
            yield _freepbx(row.line, row["number"], row["reason"], options)


def _astdb(lines: Iterator[Line], options: Options) -> Iterator[Row]:
    for line in lines:
        found = ASTDB.fullmatch(line.text.strip())
        if line.fault:
            yield Row(line.number, Refused(line.text, line.fault))
        elif found:
            description = found["description"] or ""
            reason = "" if description == "1" else description
            yield _freepbx(line.number, found["number"], reason, options)
        elif line.text.strip() and not _RESULTS.fullmatch(line.text.strip()):
            yield Row(line.number, Refused(line.text[:80], "no line of `database show blacklist`"))


def _freepbx(line: int, number: str, reason: str, options: Options) -> Row:
    if number in _SETTINGS:
        return Row(line, Skipped(_SETTING))
    return Row(line, options.asked(number, kind=EntryKind.NUMBER, reason=reason))


def read_fusionpbx(lines: Iterator[Line], options: Options) -> Iterator[Row]:
    """A CSV of ``v_call_block``. The list can be told by direction: ``inbound``, ``outbound``."""
    keys = ("number", "country_code", "direction", "enabled", "description", "name")
    names: Names = {key: (f"call_block_{key}", key) for key in keys}
    names = {**names, "extension": ("extension_uuid", "extension")}
    for row in Sheet(lines, options, names, ("number",)):
        yield row if isinstance(row, Row) else _fusionpbx(row, options)


def _fusionpbx(row: Cells, options: Options) -> Row:
    number, direction = row["number"], row["direction"].lower()
    if "enabled" in row.places and row["enabled"].lower() not in _ON:
        return Row(row.line, Skipped("switched off in FusionPBX"))
    if not number:
        return Row(row.line, Refused(row["name"], "a caller's name alone, which is not matched"))
    if row["extension"]:
        return Row(row.line, Refused(number, "is for one extension alone, not for all calls"))
    name = options.list_of(direction)
    if not name:
        return Row(row.line, Refused(number, f"no list is named for it: --list {direction}=NAME"))
    reason = row["description"] or row["name"]
    return Row(
        row.line, options.asked(_with_code(number, row["country_code"]), reason=reason, list=name)
    )


def _with_code(number: str, code: str) -> str:
    """FusionPBX takes a number with and without its country code for the same."""
    code = code.removeprefix("+")
    if not code.isdigit() or number.startswith(("+", "00")):
        return number
    whole = code == "1" and len(number) == 11 and number[0] == "1"
    return f"+{number}" if whole else f"+{code}{number}"


def read_kamailio(lines: Iterator[Line], options: Options) -> Iterator[Row]:
    """A CSV of ``globalblocklist`` or ``userblocklist``; a user's list can be told by its name."""
    names: Names = {
        "prefix": ("prefix",),
        "allow": ("allowlist", "whitelist"),
        "username": ("username",),
        "domain": ("domain",),
    }
    for row in Sheet(lines, options, names, ("prefix",)):
        yield row if isinstance(row, Row) else _kamailio(row, options)


def _kamailio(row: Cells, options: Options) -> Row:
    prefix, user, allow = row["prefix"], row["username"], row["allow"] in _ON
    if not prefix and allow:
        return Row(row.line, Skipped("an empty prefix that allows: all that is not blocked is"))
    if not prefix:
        return Row(row.line, Refused("", "an empty prefix blocks every number: write a match list"))
    if allow and not options.allow_list:
        why = "an exception, which only a list that allows can take: --allow-list NAME"
        return Row(row.line, Refused(prefix, why))
    name = options.allow_list if allow else _list_of_user(user, row["domain"], options)
    if not name:
        why = "no list is named for it: --list NAME"
        if user:
            why = f"is of the user {user!r} alone: --list {user}=NAME, or --list NAME for all"
        return Row(row.line, Refused(prefix, why))
    return Row(row.line, options.asked(prefix, kind=EntryKind.PREFIX, list=name))


def _list_of_user(user: str, domain: str, options: Options) -> str:
    if not user:
        return options.list_of("")
    return options.lists.get(f"{user}@{domain}") or options.lists.get(user) or options.list
