"""``erase``: one number out of every record of calls, and where else it stands.

The work on journal and store is that of ``gateway.attempts.erasing``: the ingester does it where a
gateway runs, this process where none does. Nothing here prints the number.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.environment import Environment, person
from gateway.cli.output import json_option, plural, print_json

if TYPE_CHECKING:
    from gateway.attempts.orders import Erased
    from gateway.numbers.spellings import Spellings
    from gateway.policy.model import Policy
    from gateway.review.standing import ContactsFile

POLL = 0.1
LOCK_SECONDS = 15.0
"""Seconds for an ingester whose gateway has just ended to make its last pass."""
LATER = (
    "pwd",
    "gateway.attempts.erasing",
    "gateway.attempts.orders",
    "gateway.control",
    "gateway.entries",
    "gateway.errors",
    "gateway.review.standing",
)
"""What is imported where the command needs it, and by the time that it asks who somebody is."""
SHOWN = 20
"""Lines of one file, or revisions, that are named to people."""


@click.command("erase", short_help="Erase one number from every record of calls.")
@click.argument("number")
@click.option("--dry-run", is_flag=True, help="Only say where it stands.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the running gateway; what is left it does afterwards.",
)
@json_option
@click.pass_obj
def erase_command(
    environment: Environment, number: str, dry_run: bool, wait: float, as_json: bool
) -> None:
    """Erase NUMBER, one whole number as in a list, from the journal and the attempts, for good.

    NUMBER - reads it from standard input, where no list of processes and no history shows it.
    Records stay, with the word erased in its place, so that counts stay. It is taken out of
    contacts that were uploaded. Files that people keep and entries that block or allow it are
    left as they are and told. Exit with 1 while it stands anywhere but in entries.
    """
    from gateway.cli.inforce import configured
    from gateway.ownership import as_owner

    policy, _ = configured(environment)
    sought = _read(number, policy)
    state = environment.settings.state_dir
    _import_all()
    with as_owner(state):
        found = _count(state, sought) if dry_run else _erase(environment, state, sought, wait)
        told = _told(environment, policy, sought, found, dry_run=dry_run)
    if as_json:
        print_json(told)
    else:
        _print(told)
    if told["pending"] or told["unreadable"] or told["aside"] or told["contacts"]:
        raise SystemExit(1)


def _import_all() -> None:
    """Whom the state belongs to may be unable to read the program, and to import from it."""
    for name in LATER:
        importlib.import_module(name)


def _read(text: str, policy: Policy) -> Spellings:
    from gateway.numbers import read_number_entry
    from gateway.numbers.spellings import spellings

    if text == "-":
        text = sys.stdin.readline().strip()
    digits = read_number_entry(text, policy.plan.region)
    return spellings(digits, (policy.plan, *policy.trunks.values()))


def _count(state: Path, number: Spellings) -> Erased:
    from gateway.attempts.erasing import count
    from gateway.errors import StoreError

    try:
        return count(state, number)
    except OSError as error:
        raise StoreError(f"{state}: {error.strerror}") from error


def _erase(environment: Environment, state: Path, number: Spellings, wait: float) -> Erased | None:
    """What was done; None when it is not done yet. Raises StoreError."""
    from gateway.attempts.erasing import carry_out
    from gateway.attempts.orders import place
    from gateway.control import AS_WHOM
    from gateway.errors import StoreError

    try:
        order = place(state, number, at=time.time(), who=person(), source="cli")
        if environment.gateway() is None:
            carry_out(state, LOCK_SECONDS)
            wait = 0.0
        else:
            _rotate(environment)
        return _outcome(state, order.id, wait)
    except PermissionError:
        raise StoreError(f"{state}: Permission denied; {AS_WHOM}") from None
    except OSError as error:
        raise StoreError(f"{state}: {error.strerror}") from error


def _rotate(environment: Environment) -> None:
    """Without it the order waits for the segment to end by itself."""
    from gateway.errors import ControlError

    try:
        gateway = environment.gateway()
        if gateway is not None:
            gateway.rotate()
    except ControlError as error:
        click.echo(f"warning: the journal goes on in its segment: {error}", err=True)


def _outcome(state: Path, order: str, wait: float) -> Erased | None:
    from gateway.attempts.orders import erasures

    end = time.monotonic() + wait
    while True:
        if found := next((done for done in erasures(state) if done.id == order), None):
            return found
        if time.monotonic() >= end:
            return None
        time.sleep(POLL)


def _told(
    environment: Environment,
    policy: Policy,
    number: Spellings,
    found: Erased | None,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    """Everything that is said, as JSON says it."""
    from gateway.review import standing

    settings = environment.settings
    told: dict[str, Any] = {"dry_run": dry_run, "pending": found is None}
    for name in ("lines", "segments", "attempts", "rollups"):
        told[name] = getattr(found, name) if found else 0
    for name in ("unreadable", "aside"):
        told[name] = list(getattr(found, name)) if found else []
    files = standing.contacts_with(policy, settings.policy_path, settings.state_dir, number)
    ours = [file for file in files if file.ours and file.lines and not dry_run]
    for file in ours:
        standing.without(file.path, number)
    told["contacts_rows_removed"] = sum(len(file.lines) for file in ours)
    told["contacts"] = [_file(file) for file in files if file not in ours]
    told["entries"] = [
        {"list": name, "origin": origin, "id": managed}
        for name, origin, managed in standing.entries_of(policy, number)
    ]
    told["own_number_of"] = standing.owner_of(policy, number)
    with environment.entries() as store:
        told["changes"] = standing.logged(store, number) if store else []
    return told


def _file(file: ContactsFile) -> dict[str, Any]:
    return {
        "campaign": file.campaign,
        "file": str(file.path),
        "lines": list(file.lines),
        "error": file.fault,
    }


def _print(told: dict[str, Any]) -> None:
    if told["pending"]:
        click.echo(
            "not done yet: the order stands, and the gateway carries it out as soon as the "
            "segments are closed that were written when it was given (after a day at most)",
            err=True,
        )
    else:
        lines, segments = plural(told["lines"], "line"), plural(told["segments"], "segment")
        word = "found" if told["dry_run"] else "erased"
        click.echo(f"{word}: {lines} of {segments} of the journal, {_attempts(told)}")
    if told["contacts_rows_removed"]:
        rows = plural(told["contacts_rows_removed"], "row")
        click.echo(f"removed: {rows} of contacts that were uploaded")
    for name in (*told["unreadable"], *told["aside"]):
        click.echo(
            f"not erased: {name} cannot be read; remove it, or it keeps what it holds", err=True
        )
    for file in told["contacts"]:
        _print_file(file)
    for entry in told["entries"]:
        _print_entry(entry)
    if told["own_number_of"]:
        click.echo(f"kept: it is a number of the campaign {told['own_number_of']}")
    if told["changes"]:
        revisions = ", ".join(map(str, told["changes"][:SHOWN]))
        more = ", …" if len(told["changes"]) > SHOWN else ""
        click.echo(f"kept: the log of changes names it, in revision {revisions}{more}")


def _attempts(told: dict[str, Any]) -> str:
    return f"{plural(told['attempts'], 'attempt')} of the store"


def _print_file(file: dict[str, Any]) -> None:
    if file["error"]:
        click.echo(f"not known: {file['file']}: {file['error']}", err=True)
    for line in file["lines"][:SHOWN]:
        click.echo(f"still there: {file['file']}:{line}", err=True)
    if (more := len(file["lines"]) - SHOWN) > 0:
        click.echo(f"still there: {file['file']}: {plural(more, 'more line')}", err=True)


def _print_entry(entry: dict[str, Any]) -> None:
    if entry["id"]:
        how = f"managed entry {entry['id']}; callgate remove --list {entry['list']} takes it out"
    else:
        how = f"{entry['origin']}; take it out there"
    click.echo(f"kept: list {entry['list']}, {how}")
