"""``replay``: past calls under a draft of the policy, and what it would change, before it does.

Exit codes, for the checks of a repository of policies: 0 no difference, 1 differences, 2 whatever
kept it from telling. The managed entries are applied to the draft too, for only the YAML changes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.environment import Environment, is_there
from gateway.cli.moments import Moment
from gateway.cli.output import (
    json_option,
    local_time,
    plural,
    print_json,
    print_table,
    printable,
    styled,
)

if TYPE_CHECKING:
    from gateway.policy.model import Policy
    from gateway.review.past import Example
    from gateway.review.replay import Change, Group, Replay

DIFFERENT = 1
SHOWN = 50
"""Groups that people are shown; JSON has all."""
COLUMNS = ("change", "calls", "numbers", "reason", "list", "entry", "written", "example")
WHOLE = frozenset({"change", "calls", "numbers", "reason", "entry", "written"})
COLOURS = {"blocked": "red", "allowed": "green", "response": "yellow"}


@click.command("replay", short_help="What a draft of the policy would change in past calls.")
@click.option(
    "--policy",
    "draft",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The draft: a policy file that is to replace the configured one.",
)
@click.option(
    "--since",
    type=Moment(),
    default="30d",
    show_default=True,
    help="Calls from this time on: 2026-01-31T18:00, or 24h.",
)
@click.option("--until", type=Moment(), help="Up to this time; without it, now.")
@click.option(
    "--against",
    type=click.Choice(["current", "recorded"]),
    default="current",
    show_default=True,
    help="What the configured policy says to the same call, or what was decided then.",
)
@click.option("--campaign", default="", help="Only calls of this campaign.")
@click.option(
    "--responses", is_flag=True, help="Another SIP response of a blocked call is a difference too."
)
@click.option(
    "--without-managed",
    is_flag=True,
    help="Leave the managed entries out of the draft, as when they move into its YAML.",
)
@json_option
@click.pass_obj
def replay_command(
    environment: Environment,
    draft: Path,
    since: datetime,
    until: datetime | None,
    against: str,
    campaign: str,
    responses: bool,
    without_managed: bool,
    as_json: bool,
) -> None:
    """Decide every past call again, at its time, and show those that a draft decides otherwise.

    Managed entries count in the draft too, unless --without-managed. Exit with 1 when there are
    differences, with 2 for errors.
    """
    from gateway.cli import Unusable
    from gateway.errors import GatewayError

    start, end = since.timestamp(), until.timestamp() if until else time.time()
    if start >= end:
        raise click.UsageError("--since is not before --until.")
    try:
        new, old = _policies(environment, draft, against, managed=not without_managed)
        found = _replay(environment, new, old, start, end, campaign)
    except GatewayError as error:
        raise Unusable(str(error)) from error
    groups = [group for group in found.groups if responses or _matters(group.change)]
    if as_json:
        span = {"since": start, "until": end, "draft": new.revision}
        print_json({**span, "against": old.revision if old else "recorded", **_told(found, groups)})
    else:
        _print(found, groups)
    if groups:
        sys.exit(DIFFERENT)


def _matters(change: Change) -> bool:
    from gateway.review.replay import Change

    return change is not Change.RESPONSE


def _policies(
    environment: Environment, draft: Path, against: str, *, managed: bool
) -> tuple[Policy, Policy | None]:
    """The draft, and what it is held against, None for what was recorded."""
    from gateway.cli.inforce import configured
    from gateway.policy.loader import load

    with environment.entries() as store:
        rev, entries = store.read() if store and managed else (0, [])
    loaded = load(draft, managed=entries, managed_seq=rev)
    for warning in loaded.warnings:
        click.echo(str(warning), err=True)
    return loaded.policy, configured(environment)[0] if against == "current" else None


def _replay(
    environment: Environment,
    draft: Policy,
    against: Policy | None,
    since: float,
    until: float,
    campaign: str,
) -> Replay:
    from gateway.attempts.query import AttemptFilter
    from gateway.attempts.store import AttemptStore
    from gateway.review.replay import Replay, walked, warm_up

    path = environment.settings.attempts_path
    if not is_there(path):
        click.echo("no attempts yet: no call was screened here", err=True)
        return Replay()
    store = AttemptStore(path, readonly=True)
    try:
        span = AttemptFilter(since=since - warm_up(draft, against), until=until)
        with _progress(lambda: store.count(span)) as progress:
            return walked(
                store, draft, against, progress, since=since, until=until, campaign=campaign
            )
    finally:
        store.close()


@contextmanager
def _progress(total: Callable[[], int]) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error, where that is a terminal; it goes when it is done."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("replaying", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total())
        yield lambda done: bar.update(task, completed=done)


def _told(found: Replay, groups: list[Group]) -> dict[str, object]:
    return {
        "replayed": found.replayed,
        "left_out": found.left_out,
        "newly_blocked": found.blocked,
        "newly_allowed": found.allowed,
        "other_response": found.responses,
        "uncertain": found.uncertain,
        "groups": [
            {
                "change": group.change.value,
                "calls": group.calls,
                "numbers": len(group.numbers),
                "directions": group.directions,
                "responses": group.responses,
                **group.deciding._asdict(),
                "examples": [asdict(example) for example in group.examples],
            }
            for group in groups
        ],
    }


def _print(found: Replay, groups: list[Group]) -> None:
    if groups:
        print_table(COLUMNS, map(_cells, groups[:SHOWN]), whole=WHOLE, block=_block)
        if len(groups) > SHOWN:
            click.echo(f"and {plural(len(groups) - SHOWN, 'more group')}: --json gives all")
        click.echo()
    counts = [
        (found.blocked, "newly blocked", "blocked"),
        (found.allowed, "newly allowed", "allowed"),
        (found.responses, "with another response", "response"),
    ]
    told = [styled(f"{count:,} {what}", COLOURS[key]) for count, what, key in counts if count]
    outcome = ", ".join(told) or "no difference"
    click.echo(f"{plural(found.replayed, 'call')} replayed: {outcome}")
    if found.left_out:
        left = plural(found.left_out, "attempt")
        why = "no policy decided them (hostile, unauthorised, error), or a number was erased"
        click.echo(f"{left} left out: {why}", err=True)
    if found.uncertain:
        unsure = "whether the dialplan named the campaign is not recorded"
        click.echo(f"{found.uncertain:,} of these may be none: {unsure}", err=True)


def _cells(group: Group) -> list[str]:
    said = group.deciding
    return [
        group.change.value,
        f"{group.calls:,}",
        f"{len(group.numbers):,}",
        said.reason,
        said.list,
        said.entry,
        said.origin,
        _shown(group.examples[0]),
    ]


def _shown(example: Example) -> str:
    parties = (printable(party) or "-" for party in (example.caller, example.callee))
    return f"{local_time(example.at)} {example.direction} {' → '.join(parties)}"


def _block(cells: Any, width: int) -> str:
    """A group where the table is too wide: what and how many, what decides, an example."""
    del width
    change, calls, numbers, reason, list_name, entry, written, example = cells
    head = f"{styled(change, COLOURS[change], bold=True)} {calls} calls of {numbers} numbers"
    by = " ".join(filter(None, [reason, list_name, entry, written and f"({written})"]))
    return f"{head}\n    {by}\n    {example}"
