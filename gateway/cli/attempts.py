"""``attempts``: what became of the calls, from the attempt store.

The store follows the journal by a moment. Whatever callers wrote is made harmless before it is
printed: a terminal runs escape sequences. JSON and CSV are those of ``gateway.attempts.export``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.attemptrows import print_people
from gateway.cli.environment import Environment, is_there
from gateway.cli.moments import Moment
from gateway.cli.output import json_option, printable

if TYPE_CHECKING:
    from gateway.attempts.model import Attempt
    from gateway.attempts.query import AttemptFilter
    from gateway.attempts.store import AttemptStore

POLL_SECONDS = 0.5
PAGE = 500


@click.command("attempts", short_help="The calls that were screened.")
@click.option(
    "--id",
    "attempt_id",
    default="",
    help="This one alone, told whole. The table ends with the id; it is in CALLGATE_ATTEMPT too.",
)
@click.option("--number", default="", help="Either party, as +33… or as the PBX wrote it.")
@click.option(
    "--prefix", default="", help="What the number of either party begins with: +33162, or 0162."
)
@click.option("--campaign", default="", help="Only calls of this campaign.")
@click.option("--direction", type=click.Choice(["inbound", "outbound"]), help="One direction.")
@click.option("--verdict", type=click.Choice(["allow", "block"]), help="One verdict.")
@click.option("--reason", default="", help="One reason: list, binding, anonymous, …")
@click.option("--list", "list_name", default="", help="Only calls that this list decided.")
@click.option("--since", type=Moment(), help="From this time on: 2026-01-31T18:00, or 24h.")
@click.option("--until", type=Moment(), help="Up to this time.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many at most, the newest; 0: all.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with every field.")
@json_option
@click.pass_obj
def attempts_command(
    environment: Environment,
    /,
    limit: int,
    follow: bool,
    as_csv: bool,
    as_json: bool,
    attempt_id: str,
    **asked: Any,
) -> None:
    """List screened calls, newest first; with --follow oldest first.

    With --json one object a line, with --csv one row; both have every field. With --id one
    attempt is told whole; the other filters are left out then.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other.")
    if attempt_id:
        _print_one(environment, attempt_id, as_json=as_json, as_csv=as_csv)
        return
    wanted = _filter(asked, environment)
    if not is_there(environment.settings.attempts_path) and not follow:
        click.echo("no attempts yet: no call was screened here", err=True)
        return
    from gateway.attempts.store import AttemptStore

    store = AttemptStore(environment.settings.attempts_path, readonly=not follow)
    try:
        printer = _print_csv if as_csv else _print_json if as_json else print_people
        if follow:
            _follow(store, wanted, limit, printer)
        else:
            found = _newest(store, wanted, limit and limit + 1)
            printer(islice(found, limit or None), False)
            if limit and next(found, None):
                click.echo(f"these are the newest {limit}: --limit 0 gives all", err=True)
    except KeyboardInterrupt:
        if not follow:
            raise  # to follow until interrupted is what was asked for
    finally:
        store.close()


def _print_one(environment: Environment, attempt_id: str, *, as_json: bool, as_csv: bool) -> None:
    from gateway.attempts.store import AttemptStore
    from gateway.cli.attempt import print_attempt
    from gateway.errors import StoreError

    found = None
    if is_there(environment.settings.attempts_path):
        store = AttemptStore(environment.settings.attempts_path, readonly=True)
        try:
            found = store.get(attempt_id)
        finally:
            store.close()
    if found is None:
        raise StoreError(f"there is no attempt {printable(attempt_id)!r} in the store")
    if as_json or as_csv:
        (_print_json if as_json else _print_csv)([found], False)
    else:
        print_attempt(found)


def _filter(asked: dict[str, Any], environment: Environment) -> AttemptFilter:
    from gateway.attempts.query import AttemptFilter

    prefix = asked["prefix"].strip()
    if prefix:
        prefix = "+" + _prefix(prefix.rstrip("* "), environment)
    _check_reason(asked["reason"])
    return AttemptFilter(
        number=_bare(asked["number"]),
        prefix=prefix,
        campaign=asked["campaign"],
        direction=asked["direction"] or "",
        verdict=asked["verdict"] or "",
        reason=asked["reason"],
        list=asked["list_name"],
        since=asked["since"] and asked["since"].timestamp(),
        until=asked["until"] and asked["until"].timestamp(),
    )


def _prefix(text: str, environment: Environment) -> str:
    """Read as an entry is; only what has no + waits for the policy to say its region."""
    from gateway.cli.inforce import configured
    from gateway.numbers import read_prefix_entry

    region = None if text.startswith("+") else configured(environment)[0].plan.region
    return read_prefix_entry(text, region)


def _check_reason(reason: str) -> None:
    from gateway.policy.model import Reason

    reasons = [item.value for item in Reason]
    if reason and reason not in reasons:
        raise click.UsageError(f"no reason is {reason!r}; the reasons are {', '.join(reasons)}.")


def _bare(number: str) -> str:
    """Without what people put between digits to read them."""
    return re.sub(r"[\s().-]", "", number)


def _newest(store: AttemptStore, wanted: AttemptFilter, limit: int) -> Iterator[Attempt]:
    """Page by page, newest first."""
    left, before = limit, None
    while True:
        page = store.query(wanted, limit=min(left, PAGE) if limit else PAGE, before=before)
        yield from page
        left -= len(page)
        if len(page) < PAGE or (limit and left <= 0):
            return
        before = page[-1].id


def _follow(
    store: AttemptStore,
    wanted: AttemptFilter,
    limit: int,
    printer: Callable[[Iterable[Attempt], bool], None],
) -> None:
    """The last ones in the order they came, then each as it arrives."""

    def attempts() -> Iterator[Attempt]:
        place = store.last_seq()
        yield from reversed(list(_newest(store, wanted, limit)))
        while True:
            arrived, place = store.arrivals(wanted, after=place)
            yield from arrived
            if not arrived:
                time.sleep(POLL_SECONDS)

    printer(attempts(), True)


def _print_json(attempts: Iterable[Attempt], live: bool) -> None:
    from gateway.attempts.export import write_json

    del live
    write_json(attempts, _Printed())


def _print_csv(attempts: Iterable[Attempt], live: bool) -> None:
    from gateway.attempts.export import write_csv

    del live
    write_csv(attempts, _Printed(), clean=printable)


class _Printed:
    """Standard output, line by line: what is followed is seen at once."""

    def write(self, text: str) -> None:
        click.echo(text, nl=False)
