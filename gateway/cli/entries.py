"""``add``, ``edit``, ``remove``, ``undo``, ``list`` and ``export``: the entries beside the YAML.

A running gateway makes the change itself, and the next call meets it. Without one the change is
written to the store, where the gateway finds it when it starts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.changes import asked, change, changes, confirmed, tell, undo
from gateway.cli.environment import Environment
from gateway.cli.output import json_option, local_time, print_json, print_table, printable

if TYPE_CHECKING:
    from gateway.entries import Change, ManagedEntry
    from gateway.policy.model import ListDef

KINDS = ("number", "prefix", "short", "short_prefix")
BLACKLIST = "blacklist"
ABSENT = 1
SHOWN_CHANGES = 20


def entry_options(command: Callable[..., None]) -> Callable[..., None]:
    """What names an entry, for adding and removing."""
    options = [
        click.argument("numbers", metavar="NUMBER...", nargs=-1, required=True),
        click.option(
            "--list", "list_name", default=BLACKLIST, show_default=True, help="The list it is in."
        ),
        click.option(
            "--kind",
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
    help="Also what covers an emergency number, a number of a campaign, an exception, or a country "
    "or a large part of one, such as +33 or +331; what lifts a block; an expiry that is past.",
)
@click.option("--no-input", is_flag=True, help="Ask nothing on a terminal either; so does --json.")
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
    no_input: bool,
) -> None:
    """Add numbers or prefixes to a list that takes effect with the next call.

    All of them are added, or none. They are read as in the policy: +33162, or 0162 in its region.

    What needs --confirm is named. On a terminal it is asked for, elsewhere it is refused.
    """
    from gateway.entries import Op

    wanted = asked(numbers, list_name, kind, reason=reason, expires=expires, confirm=confirm)
    ask = not (as_json or no_input)
    tell(confirmed(environment, Op.ADD, wanted, ask=ask), as_json)


@click.command("edit", short_help="Change the reason or expiry of managed entries.")
@click.option("--reason", help="Why; an empty one takes it away.")
@click.option(
    "--expires",
    metavar="WHEN",
    help="The last day, or a moment, as with add; an empty one: it does not expire.",
)
@click.option("--confirm", is_flag=True, help="Also an expiry that is past.")
@entry_options
def edit_command(
    environment: Environment,
    /,
    numbers: tuple[str, ...],
    list_name: str,
    kind: str | None,
    as_json: bool,
    **new: Any,
) -> None:
    """Change the reason or the expiry of entries that were added with a command, call or page.

    What is not given stays. All are changed, or none. Exit with 1 when one is not there.
    """
    from gateway.entries import Op

    if new["reason"] is None and new["expires"] is None:
        raise click.UsageError("what is to be changed? Give --reason, --expires or both.")
    answers = change(environment, Op.EDIT, asked(numbers, list_name, kind, **new))
    tell(answers, as_json)
    _exit_if_absent(environment, answers)


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

    answers = change(environment, Op.REMOVE, asked(numbers, list_name, kind))
    tell(answers, as_json)
    _exit_if_absent(environment, answers)


def _exit_if_absent(environment: Environment, answers: Sequence[dict[str, Any]]) -> None:
    from gateway.cli.whereabouts import tell_where

    if any(answer["status"] == "absent" for answer in answers):
        tell_where(environment, answers)
        sys.exit(ABSENT)


@click.command("undo", short_help="Take a change of the managed entries back.")
@click.argument("rev", type=click.IntRange(min=1, max=2**63 - 1), required=False)
@json_option
@click.pass_obj
def undo_command(environment: Environment, rev: int | None, as_json: bool) -> None:
    """Take change REV back, as long as its entry was not changed again. Without REV: list them.

    The last changes are listed, newest first. An undo is a change too, and can be undone.
    """
    if rev is None:
        _print_changes(changes(environment, SHOWN_CHANGES), as_json)
        return
    answer = undo(environment, rev)
    if as_json:
        print_json(answer)
        return
    click.echo(f"undone: change {rev}, by change {answer['rev']}")
    if answer["warning"]:
        click.echo(f"warning: {answer['warning']}", err=True)


def _print_changes(found: Sequence[Change], as_json: bool) -> None:
    import msgspec

    if as_json:
        print_json(msgspec.to_builtins(found))
    elif found:
        columns = ("rev", "change", "entry", "list", "reason", "expires", "who", "when", "covered")
        print_table(columns, map(_change_cells, found), whole={"entry"})
    else:
        click.echo("no changes of managed entries", err=True)


def _change_cells(item: Change) -> list[str]:
    entry = item.after or item.before
    assert entry is not None
    op = f"{item.op.value} {item.undoes}" if item.undoes else item.op.value
    return [
        str(item.rev),
        op,
        entry.entry.text,
        entry.list,
        printable(entry.reason),
        local_time(entry.expires) if entry.expires else "",
        printable(item.who),
        local_time(item.at),
        printable(item.covered),
    ]


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
    print_table(columns, map(_cells, entries), whole={"entry"})


@click.command("export", short_help="The managed entries as YAML.")
@click.option("--yaml", "as_yaml", is_flag=True, default=True, help="As a policy, the default.")
@click.option("--list", "list_name", default="", help="Only those of this list.")
@click.pass_obj
def export_command(environment: Environment, as_yaml: bool, list_name: str) -> None:
    """Print the managed entries as a policy of their own, to be reviewed and kept in git.

    It loads as it is, and says at its top what to do to keep it in the configured policy.

    A policy that cannot be loaded is no hindrance: its faults are told on standard error.
    """
    del as_yaml  # the only format, and named so that another one can join it
    from gateway.entries import export_yaml

    lists = _lists(environment)
    with environment.entries() as store:
        entries = store.managed(list_name=list_name) if store else []
    click.echo(export_yaml([item.entry for item in entries], lists), nl=False)


def _lists(environment: Environment) -> Sequence[ListDef]:
    """What the lists do, also while the policy is broken: entries are wanted then most of all."""
    from gateway.cli.inforce import configured
    from gateway.errors import ConfigError

    try:
        return configured(environment)[0].lists
    except ConfigError as error:
        unknown = "warning: what the lists do is not known; look at each action"
        click.echo(f"{error}\n{unknown}", err=True)
        return ()


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
