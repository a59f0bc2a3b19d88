"""One attempt, told whole: its record, the steps that the record knows, how to ask for the others.

The record holds what was read and what was concluded, not each entry that was looked at.
``callgate explain`` with the same call tells those, under the policy of today.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from gateway.cli.output import print_facts, printable

if TYPE_CHECKING:
    from gateway.attempts.model import Attempt


def print_attempt(attempt: Attempt) -> None:
    """Every field that says something, then the steps."""
    from gateway.attempts.export import as_dict
    from gateway.attempts.steps import steps

    fields = as_dict(attempt)
    told = {**fields, "shadow": "", "unknown_scope": "yes" * attempt.unknown_scope}
    print_facts((name, printable(str(value)) if value else "") for name, value in told.items())
    click.echo()
    for number, step in enumerate(steps(attempt), 1):
        click.echo(f"{number:>2}. {printable(step)}")
    click.echo(f"\nunder the policy of today: {again(attempt)}")


def again(attempt: Attempt) -> str:
    """The command that explains the same call, quoted for a shell."""
    given = [
        f"--direction={attempt.direction}",
        f"--caller={printable(attempt.caller)}",
        f"--callee={printable(attempt.callee)}",
    ]
    options = [
        ("trunk", attempt.trunk),
        ("campaign", attempt.campaign),
        ("extension", attempt.extension),
        ("presentation", attempt.presentation * (attempt.presentation != "allowed")),
    ]
    given += [f"--{name}={printable(value)}" for name, value in options if value]
    return shlex.join(["callgate", "explain", *given])
