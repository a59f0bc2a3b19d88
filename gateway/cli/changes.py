"""Changes of the managed entries: by the running gateway, else in the store, where it finds them.

What was done is told on standard output, what speaks against it on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.environment import Environment, person
from gateway.cli.output import print_json, printable

if TYPE_CHECKING:
    from gateway.entries import Asked, Change, Op

PHRASES = {
    "added": "added {} to {}",
    "exists": "{} is already in {}",
    "removed": "removed {} from {}",
    "edited": "edited {} in {}",
    "absent": "{} is not among the managed entries of {}",
}
UNATTENDED = "no gateway is running: the change is written for its next start"


def asked(numbers: Sequence[str], list_name: str, kind: str | None, **rest: Any) -> list[Asked]:
    from gateway.entries import Asked
    from gateway.policy.model import EntryKind

    wanted = EntryKind(kind) if kind else None
    return [Asked(number=number, list=list_name, kind=wanted, **rest) for number in numbers]


def confirmed(
    environment: Environment, op: Op, entries: list[Asked], *, ask: bool
) -> list[dict[str, Any]]:
    """The same as ``change``; what needs a confirmation is asked for on a terminal, if wanted."""
    from gateway.entries import NeedsConfirmation

    try:
        return change(environment, op, entries)
    except NeedsConfirmation as error:
        if not (ask and sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        for one in error.covers:
            click.echo(f"{one.entry}: {printable(one.text)}", err=True)
        click.confirm("Add it all the same?", abort=True, err=True)
    return change(environment, op, [replace(item, confirm=True) for item in entries])


def change(environment: Environment, op: Op, entries: list[Asked]) -> list[dict[str, Any]]:
    """Through the running gateway if there is one, else in the store."""
    gateway = environment.gateway()
    if gateway is None:
        answers = _change_here(environment, op, entries)
        click.echo(UNATTENDED, err=True)
        return answers
    asking = {"add": gateway.add, "edit": gateway.edit, "remove": gateway.remove}
    return asking[op.value](entries)


def _change_here(environment: Environment, op: Op, entries: list[Asked]) -> list[dict[str, Any]]:
    import msgspec

    from gateway.cli.inforce import configured
    from gateway.entries import told, understand_all

    policy, _ = configured(environment)
    read = understand_all(entries, op, policy, who=person(), source="cli")
    with environment.entries(create=True) as store:
        assert store is not None
        applied = store.apply_all([item.change for item in read])
    answers = [told(item, answer) for item, answer in zip(read, applied, strict=True)]
    return list(msgspec.to_builtins(answers))


def undo(environment: Environment, rev: int) -> dict[str, Any]:
    """Take a change back. EntryError or ControlError when there is none, or it is too late."""
    import msgspec

    from gateway.entries import NewChange, Op
    from gateway.errors import EntryError

    gateway = environment.gateway()
    if gateway is not None:
        return gateway.undo(rev)
    with environment.entries() as store:
        if store is None:
            raise EntryError(f"there is no change {rev}")
        applied = store.apply(NewChange(op=Op.UNDO, who=person(), source="cli", rev=rev))
    click.echo(UNATTENDED, err=True)
    return dict(msgspec.to_builtins(applied))


def changes(environment: Environment, last: int) -> list[Change]:
    """The last changes, newest first."""
    with environment.entries() as store:
        found = store.changes_since(max(0, store.rev - last)) if store else []
    return found[::-1]


def tell(answers: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(answers)
        return
    for answer in answers:
        click.echo(PHRASES[answer["status"]].format(text_of(answer), answer["list"]))
        if answer["warning"]:
            click.echo(f"warning: {answer['warning']}", err=True)


def text_of(answer: dict[str, Any]) -> str:
    """As people write it: ``+33162``, with a star where it is a prefix."""
    kind, digits = str(answer["kind"]), str(answer["digits"])
    star = "*" * kind.endswith("prefix")
    return f"{digits}{star}" if kind.startswith("short") else f"+{digits}{star}"
