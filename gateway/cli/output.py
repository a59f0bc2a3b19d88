"""How commands print: JSON for programs; tables for people, in colour on a terminal.

Colour follows click: none when output is no terminal, or NO_COLOR is set. No table cuts a value:
piped it is as wide as it needs to be, on a terminal its cells fold, or it is told row by row.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

VERDICT_COLOURS = {"allow": "green", "block": "red"}
WIDE = 10_000

_OPTION = re.compile(r"\((confirm|column|kind|before|from)(?= [^()]*\)|\))")


def with_options(text: str) -> str:
    """A message for every way in, with what it names as the options of a command."""
    return _OPTION.sub(r"(--\1", text)


json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs."
)


def colourful() -> bool:
    """Whether standard output shows colour (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def styled(text: str, colour: str | None = None, *, bold: bool = False) -> str:
    return click.style(text, fg=colour, bold=bold or None) if colourful() else text


def verdict_word(action: str) -> str:
    return styled(action, VERDICT_COLOURS.get(action), bold=True)


def print_json(value: Any) -> None:
    """One document, indented."""
    click.echo(json.dumps(value, indent=2))


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Names and values in two columns; empty values are left out."""
    shown = [(name, str(value)) for name, value in facts if value not in ("", None)]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"  {styled(name.ljust(width), 'bright_black')}  {value}")


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    whole: Container[str] = (),
    block: Callable[[Sequence[str], int], str] | None = None,
) -> None:
    """A table; on a terminal its cells fold, but not those of the columns that are ``whole``.

    Where it would not fit, ``block`` gives the text of each row for a width in columns; without
    it every cell of a row has a line.
    """
    from rich.console import Console

    kept = [tuple(row) for row in rows]
    width = terminal_width()
    drawn = io.StringIO()  # what is drawn leaves through click, as all output does
    console = Console(
        file=drawn, width=width or WIDE, highlight=False, force_terminal=colourful() or None
    )
    table = _table(columns, kept, whole if width else columns)
    if width and _least(console, table) > width:
        for row in kept:
            click.echo(block(row, width) if block else _lines(columns, row))
        return
    console.print(table)
    for line in drawn.getvalue().splitlines():
        click.echo(line.rstrip())


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], whole: Container[str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold" if colourful() else "")
    for column in columns:
        table.add_column(column, no_wrap=column in whole, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, VERDICT_COLOURS.get(cell, "")) for cell in row))
    return table


def _least(console: Console, table: Table) -> int:
    """How narrow a table can be without a folded word."""
    return console.measure(table, options=console.options.update_width(WIDE)).minimum


def _lines(columns: Sequence[str], row: Sequence[str]) -> str:
    """One cell a line, and an empty line behind the last."""
    width = max(map(len, columns))
    shown = [(name, cell) for name, cell in zip(columns, row, strict=True) if cell]
    return "".join(f"{name.ljust(width)}  {cell}\n" for name, cell in shown)


def terminal_width() -> int:
    """Columns of the terminal that standard output is, 0 when it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def printable(text: str) -> str:
    """Text from outside without control characters, which a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)


def local_time(at: float) -> str:
    """A moment as people read it, to the second, in the time zone of this machine."""
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def plural(count: int, noun: str) -> str:
    """``1 list``, ``2 lists``, ``2 entries``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"
