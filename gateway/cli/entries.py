"""``add``, ``remove``, ``list`` and ``export``: the managed entries, beside the YAML.

A running gateway makes the change itself, and the next call meets it. Without one the change is
written to the store, where the gateway finds it when it starts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.environment import Environment, person
from gateway.cli.output import json_option, local_time, print_json, print_table, printable

if TYPE_CHECKING:
    from gateway.entries import Asked, ManagedEntry, Op
    from gateway.policy.model import ListDef, Policy

KINDS = ("number", "prefix", "short", "short_prefix")
BLACKLIST = "blacklist"
ABSENT = 1


def entry_options(command: Callable[..., None]) -> Callable[..., None]:
    """What names an entry, for adding and removing."""
    options = [
        click.argument("numbers", metavar="NUMBER...", nargs=-1, required=True),
        click.option(
            "--list", "list_name", default=BLACKLIST, show_default=True, help="The list it is in."
        ),
        click.option(
            "--type",
            "kind",
            type=click.Choice(KINDS),
            help="Without it: a whole number is a number, what is too short or ends in * a prefix.",
        ),
        json_option,
        click.pass_obj,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("add", short_help="Add numbers or prefixes to a list.")
@click.option("--reason", default="", help="Why, kept with the entry and shown with its verdicts.")
@click.option(
    "--expires",
    default="",
    metavar="WHEN",
    help="The last day, such as 2027-01-31, or a moment such as 2027-01-31T18:00.",
)
@click.option(
    "--confirm",
    is_flag=True,
    help="Also a prefix that covers a country or a large part of one, such as +33 or +331.",
)
@entry_options
def add_command(
    environment: Environment,
    /,
    numbers: tuple[str, ...],
    list_name: str,
    kind: str | None,
    as_json: bool,
    reason: str,
    expires: str,
    confirm: bool,
) -> None:
    """Add numbers or prefixes to a list that takes effect with the next call.

    All of them are added, or none. They are read as in the policy: +33162, or 0162 in its region.
    """
    from gateway.entries import Op

    asked = _asked(numbers, list_name, kind, reason=reason, expires=expires, confirm=confirm)
    _tell(_change(environment, Op.ADD, asked), as_json)


@click.command("remove", short_help="Remove managed numbers or prefixes.")
@entry_options
def remove_command(
    environment: Environment,
    /,
    numbers: tuple[str, ...],
    list_name: str,
    kind: str | None,
    as_json: bool,
) -> None:
    """Remove numbers or prefixes that were added with a command, call or page.

    Entries of the YAML and of list files are removed there. Exit with 1 when one is not there.
    """
    from gateway.entries import Op

    answers = _change(environment, Op.REMOVE, _asked(numbers, list_name, kind))
    _tell(answers, as_json)
    if any(answer["status"] == "absent" for answer in answers):
        sys.exit(ABSENT)


@click.command("list", short_help="The managed entries.")
@click.option("--list", "list_name", default="", help="Only those of this list.")
@json_option
@click.pass_obj
def list_command(environment: Environment, list_name: str, as_json: bool) -> None:
    """List the managed entries: what was added beside the YAML, by whom and when."""
    with environment.entries() as store:
        entries = store.managed(list_name=list_name) if store else []
    if as_json:
        print_json([_fields(entry) for entry in entries])
        return
    if not entries:
        click.echo("no managed entries" + f" in {list_name}" * bool(list_name), err=True)
        return
    columns = ("id", "list", "entry", "type", "reason", "expires", "who", "when")
    print_table(columns, map(_cells, entries))


@click.command("export", short_help="The managed entries as YAML.")
@click.option("--yaml", "as_yaml", is_flag=True, default=True, help="As a policy, the default.")
@click.option("--list", "list_name", default="", help="Only those of this list.")
@click.pass_obj
def export_command(environment: Environment, as_yaml: bool, list_name: str) -> None:
    """Print the managed entries as a policy of their own, to be reviewed and kept in git.

    A policy that cannot be loaded is no hindrance: its faults are told on standard error.
    """
    del as_yaml  # the only format, and named so that another one can join it
    from gateway.entries import export_yaml

    lists = _lists(environment)
    with environment.entries() as store:
        entries = store.managed(list_name=list_name) if store else []
    click.echo(export_yaml([item.entry for item in entries], lists), nl=False)


def _policy(environment: Environment) -> Policy:
    """The configured policy, else the last good one: a block must not wait for a clean YAML.

    ConfigError when there is neither.
    """
    from gateway.errors import ConfigError, StoreError
    from gateway.policy.generation import open_generation

    try:
        return environment.load().policy
    except ConfigError as error:
        try:
            kept = open_generation(environment.settings.last_good_dir / "current").policy
        except StoreError:
            raise error from None
        click.echo(f"{error}\nwarning: read under the last good policy", err=True)
        return kept


def _lists(environment: Environment) -> Sequence[ListDef]:
    """What the lists do, also while the policy is broken: entries are wanted then most of all."""
    from gateway.errors import ConfigError

    try:
        return _policy(environment).lists
    except ConfigError as error:
        unknown = "warning: what the lists do is not known; look at each action"
        click.echo(f"{error}\n{unknown}", err=True)
        return ()


def _asked(numbers: Sequence[str], list_name: str, kind: str | None, **rest: Any) -> list[Asked]:
    from gateway.entries import Asked
    from gateway.policy.model import EntryKind

    wanted = EntryKind(kind) if kind else None
    return [Asked(number=number, list=list_name, kind=wanted, **rest) for number in numbers]


def _change(environment: Environment, op: Op, asked: list[Asked]) -> list[dict[str, Any]]:
    """Through the running gateway if there is one, else in the store."""
    from gateway.entries import Op

    gateway = environment.gateway()
    if gateway is None:
        answers = _change_here(environment, op, asked)
        click.echo("no gateway is running: the change is written for its next start", err=True)
        return answers
    return gateway.add(asked) if op is Op.ADD else gateway.remove(asked)


def _change_here(environment: Environment, op: Op, asked: list[Asked]) -> list[dict[str, Any]]:
    import msgspec

    from gateway.entries import told, understand

    policy = _policy(environment)
    read = [understand(item, op, policy, who=person(), source="cli") for item in asked]
    with environment.entries(create=True) as store:
        assert store is not None
        applied = store.apply_all([item.change for item in read])
    answers = [told(item, answer) for item, answer in zip(read, applied, strict=True)]
    return list(msgspec.to_builtins(answers))


def _tell(answers: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(answers)
        return
    phrases = {
        "added": "added {} to {}",
        "exists": "{} is already in {}",
        "removed": "removed {} from {}",
        "absent": "{} is not among the managed entries of {}",
    }
    for answer in answers:
        click.echo(phrases[answer["status"]].format(_text(answer), answer["list"]))
        if answer["warning"]:
            click.echo(f"warning: {answer['warning']}", err=True)


def _text(answer: dict[str, Any]) -> str:
    """As people write it: ``+33162``, with a star where it is a prefix."""
    kind, digits = str(answer["kind"]), str(answer["digits"])
    star = "*" * kind.endswith("prefix")
    return f"{digits}{star}" if kind.startswith("short") else f"+{digits}{star}"


def _fields(entry: ManagedEntry) -> dict[str, Any]:
    import msgspec

    return {**msgspec.to_builtins(entry), "text": entry.entry.text}


def _cells(entry: ManagedEntry) -> list[str]:
    return [
        str(entry.id),
        entry.list,
        entry.entry.text,
        entry.kind.value,
        printable(entry.reason),
        local_time(entry.expires) if entry.expires else "",
        printable(entry.who),
        local_time(entry.at),
    ]
