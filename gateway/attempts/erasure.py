"""Erasing one number from attempts: which fields of a record hold it, and what is put there.

Rule 1: a record stays, so that every count stays. Text that held the number becomes ``erased``,
``*_e164`` becomes empty as for any text that is no number, and nothing else changes.
Rule 2: a party that was read as another number is another's: only the number with its country
code is taken out of it. A party that was read as none counts in every way of writing the number.
Rule 3: a line of the journal keeps its length in bytes (spaces follow the JSON), so that what
was noted of its segment by byte stays true. Its CRC is made anew; a bad line stays bad.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import msgspec

from gateway.numbers.spellings import Spellings

ERASED = "erased"
"""What stands where the number stood."""
TEXTS = (
    "extension",
    "channel_id",
    "linked_id",
    "caller_name",
    "attestation",
    "entry",
    "note",
)
"""Fields besides the two parties whose text may hold a number."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


def changes(record: Mapping[str, Any], number: Spellings) -> dict[str, Any]:
    """The fields of an attempt to replace; empty when the number is nowhere in it."""
    found: dict[str, Any] = {}
    raws = set()
    for party in ("caller", "callee"):
        raw, e164 = record.get(party) or "", record.get(f"{party}_e164") or ""
        if _is_its(raw, e164, number):
            raws.add(raw)
            found |= {party: raw and ERASED, f"{party}_e164": ""}
        elif number.whole_in(raw):
            found[party] = ERASED
    if "caller" in found and record.get("caller_name"):
        found["caller_name"] = ERASED  # the name of a person, and only their number told whose
    for name in TEXTS:
        text = record.get(name) or ""
        if text and (text in raws or number.stands_in(text)):
            found[name] = ERASED
    shadow = record.get("shadow")
    if shadow and number.stands_in(shadow.get("entry") or ""):
        found["shadow"] = {**shadow, "entry": ERASED}
    return {name: text for name, text in found.items() if (record.get(name) or "") != text}


def _is_its(raw: str, e164: str, number: Spellings) -> bool:
    return e164 == number.e164 if e164 else number.stands_in(raw)


def erased_line(line: bytes, number: Spellings) -> bytes | None:
    """The line, its line break left off, without the number; None when it does not hold it."""
    if not number.may_stand_in(line):
        return None
    body = line[9:]
    record = _record(line, body)
    if record is None:
        return _blanked(line, number)
    if "id" not in record or "delivery" in tuple(record)[:1]:
        return None
    found = changes(record, number)
    return _with_crc(_fitted(record, found, len(body))) if found else None


def _record(line: bytes, body: bytes) -> dict[str, Any] | None:
    try:
        good = line[8:9] == b" " and int(line[:8], 16) == crc32(body)
        return _decode(body) if good else None
    except ValueError:
        return None


def _fitted(record: dict[str, Any], found: dict[str, Any], size: int) -> bytes:
    """At most ``size`` bytes where that can be: a text too short for ``erased`` becomes empty."""
    left = {name: value for name, value in (record | found).items() if value != ""}
    for name in sorted(found, key=lambda name: len(str(record.get(name, "")))):
        if len(_encode(left)) <= size:
            break
        if left.get(name) == ERASED:
            del left[name]
    return _encode(left).ljust(size)


def _with_crc(body: bytes) -> bytes:
    return b"%08x %b" % (crc32(body), body)


def _blanked(line: bytes, number: Spellings) -> bytes | None:
    """A line that no reader takes, such as the torn end of a full disk."""
    if not number.stands_in(line.decode("utf-8", "replace")):
        return None
    return ERASED.encode().ljust(len(line))
