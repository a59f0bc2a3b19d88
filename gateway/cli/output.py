"""How commands print: JSON for programs; tables for people, in colour on a terminal.

Colour follows click: none when output is no terminal, or NO_COLOR is set. Piped tables are as wide
as they need to be and never cut a value.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import click

VERDICT_COLOURS = {"allow": "green", "block": "red"}
WIDE = 10_000

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


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; the terminal's width decides where cells fold, a pipe never does."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout, width=None if terminal else WIDE, highlight=False, no_color=not colourful()
    )
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=True)
    for column in columns:
        table.add_column(column, no_wrap=not terminal)
    for row in rows:
        table.add_row(*(Text(cell, VERDICT_COLOURS.get(cell, "")) for cell in row))
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


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
