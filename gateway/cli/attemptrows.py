"""Attempts for people: a table, or some lines for each where the terminal has no room for one.

Whatever callers wrote is made harmless here, and no number is ever cut. Nor is an id, which
``attempts --id`` is to be given.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from gateway.cli.output import local_time, print_table, printable, terminal_width, verdict_word

if TYPE_CHECKING:
    from gateway.attempts.model import Attempt

COLUMNS = (
    ("time", 19),
    ("direction", 9),
    ("caller", 16),
    ("callee", 16),
    ("verdict", 7),
    ("reason", 10),
    ("list", 14),
    ("entry", 14),
    ("sip", 3),
    ("delivery", 9),
    ("id", 29),
)
WHOLE = frozenset({"time", "caller", "callee", "entry", "id"})
UNSAID = frozenset({"config", "hostile", "unauthorised", "error"})
"""Reasons that no list explains."""
INDENT = "    "


def print_people(attempts: Iterable[Attempt], live: bool) -> None:
    """Those found, or ``live`` each as it comes, in columns whose width is fixed."""
    if not live:
        rows = list(map(_cells, attempts))
        if rows:
            print_table([name for name, _ in COLUMNS], rows, whole=WHOLE, block=block)
        else:
            click.echo("no attempts match", err=True)
        return
    widths = [width for _, width in COLUMNS]
    header = _line([name for name, _ in COLUMNS], widths)
    narrow = 0 < terminal_width() < sum(widths) + len("  ") * (len(widths) - 1)
    if not narrow:
        click.echo(header)
    for cells in map(_cells, attempts):
        click.echo(block(cells, terminal_width()) if narrow else _line(cells, widths))


def block(cells: Sequence[str], width: int) -> str:
    """One attempt where a table is too wide: some lines, folded between words alone."""
    at, direction, caller, callee, verdict, reason, list_name, entry, sip, delivery, known = cells
    what = [reason, list_name and f"list {list_name}", entry and f"entry {entry}"]
    what += [sip and f"SIP {sip}", delivery, f"id {known}"]
    told = (
        (f"{at} {verdict} {direction} {caller} → {callee}", ""),
        (", ".join(filter(None, what)), INDENT),
    )
    lines = "\n".join(
        textwrap.fill(
            text,
            max(width, 2 * len(INDENT)),
            initial_indent=first,
            subsequent_indent=INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for text, first in told
    )
    return lines.replace(f" {verdict}", f" {verdict_word(verdict)}", 1)


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _cells(attempt: Attempt) -> list[str]:
    return [
        local_time(attempt.at),
        attempt.direction,
        printable(attempt.caller_e164 or attempt.caller) or "-",
        printable(attempt.callee_e164 or attempt.callee) or "-",
        attempt.verdict,
        _reason(attempt),
        attempt.list,
        attempt.entry,
        str(attempt.response or ""),
        attempt.delivery,
        attempt.id,
    ]


def _reason(attempt: Attempt) -> str:
    """With what the reason alone leaves open: which trunk, what was wrong."""
    shadow = f" (shadow: {attempt.shadow.verdict})" if attempt.shadow else ""
    if attempt.reason not in UNSAID:
        return attempt.reason + shadow
    scope = [("trunk", attempt.trunk), ("campaign", attempt.campaign)]
    facts = [f"{name} {printable(value)}" for name, value in scope if value]
    facts += [printable(attempt.note)] if attempt.note else []
    more = f": {', '.join(facts)}" if facts else ""
    return attempt.reason + more + shadow
