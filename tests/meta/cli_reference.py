"""The help of every command, as docs/cli.md shows it. ``python -m tests.meta.cli_reference``
writes it there anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from gateway.cli import COMMANDS, main

REFERENCE = Path(__file__).parents[2] / "docs" / "cli.md"
WIDTH = 100


def commands() -> list[str]:
    """Every command, those of groups with their group's name before them; "" is the program."""
    names = [""]
    for name in COMMANDS:
        found = _command(name)
        names.append(name)
        if isinstance(found, click.Group):
            names += [f"{name} {inner}" for inner in found.commands]
    return names


def help_of(command: str) -> str:
    """What ``callgate COMMAND --help`` prints in a terminal of 100 columns."""
    root = click.Context(main, info_name="callgate", terminal_width=WIDTH, max_content_width=WIDTH)
    root.help_option_names = ["-h", "--help"]
    if not command:
        return main.get_help(root)
    found = _command(command)
    context = click.Context(
        found, info_name=command, parent=root, terminal_width=WIDTH, max_content_width=WIDTH
    )
    return found.get_help(context)


def _command(name: str) -> click.Command:
    group, _, inner = name.partition(" ")
    found = main.get_command(click.Context(main), group)
    assert found is not None
    if inner:
        assert isinstance(found, click.Group)
        return found.commands[inner]
    return found


def block_of(command: str) -> str:
    return f"```text\n{help_of(command)}\n```"


def heading_of(command: str) -> str:
    return f"## callgate {command}".rstrip()


def rewritten(text: str) -> str:
    """The reference with the first ``text`` block after each heading replaced."""
    for command in commands():
        start = re.search(rf"^{heading_of(command)}$", text, re.MULTILINE)
        assert start, f"{heading_of(command)} has no section"
        shown = re.compile(r"^```text\n.*?^```$", re.MULTILINE | re.DOTALL)
        found = shown.search(text, start.end())
        assert found, f"{heading_of(command)} has no text block"
        text = text[: found.start()] + block_of(command) + text[found.end() :]
    return text


if __name__ == "__main__":
    REFERENCE.write_text(rewritten(REFERENCE.read_text()))
