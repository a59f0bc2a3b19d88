"""``import``: blocklists of any size and from elsewhere, into the managed entries.

Exit codes are those of a batch: 0 every row was taken, 1 some were refused, 2 it could not be done.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from gateway.cli.entries import KINDS
from gateway.cli.environment import Environment, person
from gateway.cli.importtold import rejects_file, tell
from gateway.cli.importwait import give_way, in_force_at
from gateway.cli.output import json_option, print_json, printable

if TYPE_CHECKING:
    from gateway.control import ControlClient
    from gateway.entries.importing import ImportReport, Remark
    from gateway.entries.sources import Options
    from gateway.policy.model import Policy

SOURCES = ("auto", "csv", "text", "freepbx", "fusionpbx", "vicidial", "kamailio", "ftc")
REFUSED = 1
INTERRUPTED = "interrupted: what was written stays, and the same command goes on"
_DAYS = re.compile(r"(\d{1,5})d", re.ASCII)


@click.command("import", short_help="Import a list of numbers from a file.")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--from",
    "source",
    type=click.Choice(SOURCES),
    default="auto",
    show_default=True,
    help="The format; auto tells it by the first line.",
)
@click.option(
    "--list",
    "lists",
    multiple=True,
    metavar="[KEY=]NAME",
    help="The list that takes them, blacklist without it; or that of a campaign (vicidial), a "
    "direction (fusionpbx) or a user (kamailio).",
)
@click.option("--allow-list", default="", metavar="NAME", help="The list of exceptions (kamailio).")
@click.option(
    "--kind",
    type=click.Choice([*KINDS, "infer"]),
    help="Of every row, whatever its column says; infer: what is too short is a prefix.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="[WHAT=]NAME",
    help="The column of the numbers, or of prefix, reason, expires.",
)
@click.option(
    "--before",
    default="",
    metavar="TEXT",
    help="Put + or +1 before numbers that begin with neither + nor 0.",
)
@click.option("--reason", default="", help="Why, for rows that do not say it.")
@click.option(
    "--expires",
    default="",
    metavar="WHEN",
    help="The last day, a moment, or days from today such as 90d, for rows that do not say it; "
    "90d with ftc.",
)
@click.option(
    "--min-complaints",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Complaints that make an entry (ftc).",
)
@click.option(
    "--within",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    metavar="DAYS",
    help="Days before the newest complaint in which they were made (ftc).",
)
@click.option("--remove", is_flag=True, help="Remove what the rows name: takes an import back.")
@click.option("--dry-run", is_flag=True, help="Do all but write.")
@click.option("--confirm", is_flag=True, help="Also rows that ask for a confirmation.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every refused row to this CSV: line, number, why.",
)
@json_option
@click.pass_obj
def import_command(
    environment: Environment,
    /,
    file: BinaryIO,
    source: str,
    dry_run: bool,
    remove: bool,
    rejects: Path | None,
    as_json: bool,
    **said: Any,
) -> None:
    """Import FILE, or standard input with -, into the managed entries.

    Each row is added, already there, or refused with its line. A running gateway has all of them
    in force when this returns. Exit with 1 when a row was refused, 2 when nothing could be done.
    """
    from gateway.cli import Unusable
    from gateway.errors import GatewayError

    try:
        options = _options(file, **said)
        gateway = environment.gateway()
        with rejects_file(rejects) as rejected:
            done = _Import(environment, gateway, file, options)
            report, format = done.run(source, dry_run, remove, as_json, rejected)
        in_force = dry_run or in_force_at(gateway, report.rev)
    except GatewayError as error:
        raise Unusable(str(error)) from error
    except KeyboardInterrupt:
        raise Unusable(INTERRUPTED) from None
    if as_json:
        facts = {"file": options.file, "format": format, "in_force": in_force}
        print_json(facts | _fields(report))
    else:
        tell(report, f"{options.file} ({format})", all_told=rejects is not None)
    sys.exit(REFUSED if report.refused else 0)


def _fields(report: ImportReport) -> dict[str, Any]:
    remarks = {
        name: [remark._asdict() for remark in getattr(report, name)]
        for name in ("refusals", "warnings")
    }
    return dataclasses.asdict(report) | remarks


def _options(file: BinaryIO, **said: Any) -> Options:
    from gateway.entries.sources import Options

    lists = dict(_pair(text, "") for text in said.pop("lists"))
    columns = dict(_pair(text, "number") for text in said.pop("columns"))
    before = said.pop("before")
    if not re.fullmatch(r"(\+\d{0,4})?", before, re.ASCII):
        raise click.BadParameter("is + or + and a country code", param_hint="--before")
    return Options(
        file="stdin" if file is sys.stdin.buffer else Path(file.name).name,
        list=lists.pop("", ""),
        lists=lists,
        columns=columns,
        before=before,
        kind=said.pop("kind") or "",
        reason=said.pop("reason"),
        expires=_expiry(said.pop("expires")),
        **said,
    )


def _pair(text: str, key: str) -> tuple[str, str]:
    before, sign, after = text.rpartition("=")
    return (before if sign else key), after


def _expiry(text: str) -> str:
    from gateway.entries.sources import expiry_after

    if found := _DAYS.fullmatch(text):
        try:
            return expiry_after(int(found[1]), date.today())
        except OverflowError:
            raise click.BadParameter("is too late", param_hint="--expires") from None
    return text


class _Import:
    """One run of the command."""

    def __init__(
        self,
        environment: Environment,
        gateway: ControlClient | None,
        file: BinaryIO,
        options: Options,
    ) -> None:
        self._environment = environment
        self._gateway = gateway
        self._file = file
        self._options = options

    def run(
        self,
        source: str,
        dry_run: bool,
        remove: bool,
        all_remarks: bool,
        rejected: Callable[[Remark], None] | None,
    ) -> tuple[ImportReport, str]:
        """What became of the rows, and the name of their format."""
        from gateway.entries import Op
        from gateway.entries.importing import KEPT, run_import
        from gateway.entries.sources import FORMATS, read

        policy = self._policy()
        format, rows = read(self._file, source, self._options, date.today())
        _check(policy, format, self._options)
        if FORMATS[format].days and not self._options.expires:
            click.echo(
                f"they expire after {FORMATS[format].days} days; --expires says else", err=True
            )
        if self._gateway is not None:
            give_way()
        with self._environment.entries(create=not dry_run) as store, self._bar() as progress:
            report = run_import(
                rows,
                policy,
                store,
                who=person(),
                source=f"import:{printable(self._options.file)[:100]}",
                op=Op.REMOVE if remove else Op.ADD,
                dry_run=dry_run,
                keep=None if all_remarks else KEPT,
                progress=progress,
                rejected=rejected,
            )
        return report, format

    def _policy(self) -> Policy:
        """What the gateway runs, else what it would start with."""
        from gateway.cli.inforce import configured, last_good
        from gateway.errors import StoreError

        if self._gateway is not None:
            try:
                return last_good(self._environment)
            except StoreError:
                pass  # its folder was replaced just now, or is unusable
        return configured(self._environment)[0]

    @contextmanager
    def _bar(self) -> Iterator[Callable[[ImportReport], None] | None]:
        """How far it is, on a terminal."""
        if not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import Progress

        status = os.fstat(self._file.fileno())
        regular = stat.S_ISREG(status.st_mode)
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=status.st_size if regular else None)

            def show(report: ImportReport) -> None:
                words = f"{report.rows:,} rows, {report.refused:,} refused"
                done = self._file.tell() if regular else report.rows
                bar.update(task, completed=done, description=words)

            yield show


def _check(policy: Policy, format: str, options: Options) -> None:
    """ConfigError where lists do not suit: that is said once, not of every row."""
    from gateway.entries.sources import FORMATS
    from gateway.errors import EntryError
    from gateway.policy.model import Action

    lists = {item.name: item for item in policy.lists}
    wanted = {*options.lists.values(), options.list, options.allow_list} - {""}
    if missing := sorted(wanted - lists.keys()):
        raise EntryError(f"there is no list {missing[0]!r}; the lists are {', '.join(lists)}")
    if options.allow_list and lists[options.allow_list].action is not Action.ALLOW:
        raise EntryError(f"list {options.allow_list!r} does not allow, so it takes no exceptions")
    for name in sorted(wanted - {options.allow_list}):
        if FORMATS[format].blocks and lists[name].action is Action.ALLOW:
            raise EntryError(f"list {name!r} allows what {FORMATS[format].title} blocks")
