"""The formats of list files, read as policies read them: text, and CSV with a header.

What a policy takes is taken here. More is: a comment behind an entry becomes its reason, columns
may have other names, and those that nobody knows are told as not read.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.entries.sources.lines import Line
from gateway.entries.sources.rows import Options, Refused, Row
from gateway.entries.sources.sheets import Sheet
from gateway.entries.sources.titles import NAMES, places
from gateway.policy.model import EntryKind


def read_text(lines: Iterator[Line], options: Options) -> Iterator[Row]:
    """One entry a line; ``*`` at its end makes a prefix of it, ``#`` begins a comment."""
    for line in lines:
        if line.fault:
            yield Row(line.number, Refused(line.text, line.fault))
            continue
        entry, _, comment = line.text.partition("#")
        if entry := entry.strip():
            asked = options.asked(entry, kind=EntryKind.NUMBER, reason=comment.strip())
            yield Row(line.number, asked)


def read_csv(lines: Iterator[Line], options: Options) -> Iterator[Row]:
    """Columns number or prefix, of which a row fills one, reason and expires."""
    for row in Sheet(lines, options, NAMES, ("number", "prefix"), called=places):
        if isinstance(row, Row):
            yield row
            continue
        number, prefix = row["number"], row["prefix"]
        if bool(number) == bool(prefix):
            why = "exactly one of number and prefix must be filled"
            yield Row(row.line, Refused(f"{number} {prefix}".strip(), why))
            continue
        asked = options.asked(
            number or prefix,
            kind=EntryKind.NUMBER if number else EntryKind.PREFIX,
            reason=row["reason"],
            expires=row["expires"],
        )
        yield Row(row.line, asked)
