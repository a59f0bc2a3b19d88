"""Where entries are imported from: one small reader for each format, all of the same shape.

A reader takes lines and gives a row for each entry that it finds. Which format a file has is told
by its first line that says anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain
from typing import BinaryIO

from gateway.entries.sources.dialers import expiry_after, read_ftc, read_vicidial
from gateway.entries.sources.lines import Line, lines
from gateway.entries.sources.lists import read_csv, read_text
from gateway.entries.sources.pbx import ASTDB, read_freepbx, read_fusionpbx, read_kamailio
from gateway.entries.sources.rows import (
    INFER,
    Options,
    Reader,
    Refused,
    Row,
    Skipped,
    Unread,
    uncut,
)
from gateway.entries.sources.sheets import header_of, plain_name
from gateway.entries.sources.titles import is_header

__all__ = [
    "AUTO",
    "FORMATS",
    "INFER",
    "Format",
    "Options",
    "Refused",
    "Row",
    "Skipped",
    "Unread",
    "expiry_after",
    "read",
]

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Format:
    """A format: what it is called, its reader, and the days after which its entries must end.

    ``blocks``: what it lists is blocked where it comes from, so no list that allows takes it.
    """

    title: str
    read: Reader
    days: int = 0
    blocks: bool = True


FORMATS: Mapping[str, Format] = {
    "csv": Format("CSV", read_csv, blocks=False),
    "text": Format("text", read_text, blocks=False),
    "freepbx": Format("FreePBX", read_freepbx),
    "fusionpbx": Format("FusionPBX", read_fusionpbx),
    "vicidial": Format("VICIdial", read_vicidial),
    "kamailio": Format("Kamailio", read_kamailio),
    "ftc": Format("FTC complaints", read_ftc, days=90),
}

_SIGNS: tuple[tuple[str, Callable[[frozenset[str]], bool]], ...] = (
    ("ftc", lambda names: "company_phone_number" in names),
    ("fusionpbx", lambda names: "call_block_number" in names),
    ("vicidial", lambda names: {"phone_number", "campaign_id"} <= names),
    ("kamailio", lambda names: "prefix" in names and bool({"allowlist", "whitelist"} & names)),
    ("freepbx", lambda names: names == {"number", "description"}),
)


def read(stream: BinaryIO, name: str, options: Options, today: date) -> tuple[str, Iterator[Row]]:
    """The format of a stream, and its rows. ConfigError, also later, when it is another file.

    Entries of a format that must end do so its days after ``today``, if nothing is said.
    """
    found = lines(stream)
    if name == AUTO:
        first = next((line for line in found if line.text.strip()), None)
        if first is None:
            return "text", iter(())
        name, found = _told(first, options), chain([first], found)
    form = FORMATS[name]
    if form.days and not options.expires:
        options = replace(options, expires=expiry_after(form.days, today))
    return name, map(uncut, form.read(found, options))


def _told(first: Line, options: Options) -> str:
    if ASTDB.match(first.text):
        return "freepbx"
    cells = header_of(first)
    names = frozenset(map(plain_name, cells))
    told = next((name for name, sign in _SIGNS if sign(names)), "")
    return told or ("csv" if options.columns or is_header(cells) else "text")
