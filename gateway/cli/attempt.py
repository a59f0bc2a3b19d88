"""One attempt, told whole: its record, the steps that the record knows, how to ask for the others.

The record holds what was read and what was concluded, not each entry that was looked at.
``callgate explain`` with the same call tells those, under the policy of today.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from gateway.cli.output import print_facts, printable

if TYPE_CHECKING:
    from gateway.attempts.model import Attempt, Shadow


def print_attempt(attempt: Attempt) -> None:
    """Every field that says something, then the steps."""
    from gateway.attempts.export import as_dict

    fields = as_dict(attempt)
    told = {**fields, "shadow": "", "unknown_scope": "yes" * attempt.unknown_scope}
    print_facts((name, printable(str(value)) if value else "") for name, value in told.items())
    click.echo()
    for number, step in enumerate(steps(attempt), 1):
        click.echo(f"{number:>2}. {printable(step)}")
    click.echo(f"\nunder the policy of today: {again(attempt)}")


def steps(attempt: Attempt) -> Iterator[str]:
    """Those of ``explain``, as far as they are recorded."""
    yield f"policy revision {attempt.revision}; the call is {attempt.direction}"
    scope = f"trunk {attempt.trunk or 'none'}, campaign {attempt.campaign or 'none'}"
    yield scope + ": the policy lacks one of them" * attempt.unknown_scope
    yield _read("caller", attempt.caller, attempt.caller_e164)
    yield _read("callee", attempt.callee, attempt.callee_e164)
    yield _conclusion(attempt)
    if attempt.shadow:
        yield f"with shadow lists enforced, would have been: {_conclusion(attempt.shadow)}"
    yield f"the answer was {attempt.delivery}"


def _read(party: str, raw: str, e164: str) -> str:
    return f"the {party} {raw!r} reads as {e164 or 'no number in E.164'}"


def _conclusion(said: Attempt | Shadow) -> str:
    parts = [f"{said.verdict}, reason {said.reason}"]
    if said.response:
        parts.append(f"SIP {said.response}")
    if said.list:
        parts.append(f"list {said.list}" + (f" entry {said.entry}" if said.entry else ""))
    if origin := getattr(said, "origin", ""):
        parts.append(f"written at {origin}")
    if note := getattr(said, "note", ""):
        parts.append(f"note: {note}")
    return ", ".join(parts)


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
