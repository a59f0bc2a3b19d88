"""``scrub``: a file of leads with the label of every number, for a campaign or for everybody.

The file goes to standard output, or whole or not at all to ``-o``; what was found is told beside
it. The work is that of ``gateway.review.scrub``.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from zoneinfo import ZoneInfo

import click

from gateway.cli.environment import Environment
from gateway.cli.inforce import answering
from gateway.cli.moments import Moment
from gateway.cli.output import json_option

if TYPE_CHECKING:
    from gateway.policy.model import Policy
    from gateway.review.labels import Labels
    from gateway.review.scrub import Scrub, Summary

FOUND = 1
ONLY = ("clear", "exception", "blacklisted", "invalid", "emergency")
WORDS = {
    "clear": "clear",
    "exception": "allowed by exception",
    "blacklisted": "blacklisted",
    "invalid": "invalid",
    "emergency": "emergency numbers, which are no leads",
}


@click.command("scrub", short_help="Label every number of a file of leads.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--column", default="", metavar="NAME|N", help="The column of numbers; without it, it is found."
)
@click.option("--campaign", default="", help="The campaign that would call; without it, none.")
@click.option("--trunk", help="The trunk of the calls, instead of those of the campaign.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write, whole or not at all; without it, standard output.",
)
@click.option(
    "--only",
    type=click.Choice(ONLY),
    multiple=True,
    help="Write only such rows; may be given more than once.",
)
@click.option(
    "--at",
    type=Moment(),
    help="When the calls would be made: 2026-01-31T18:00; without it, now.",
)
@click.option(
    "--policy",
    "draft",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A policy file instead of the configured one; managed entries are left out.",
)
@click.option("--fail-on-blacklisted", is_flag=True, help="Exit with 1 when a row is blacklisted.")
@json_option
@click.pass_obj
def scrub_command(
    environment: Environment,
    /,
    file: Path,
    output: Path | None,
    draft: Path | None,
    as_json: bool,
    fail_on_blacklisted: bool,
    **options: Any,
) -> None:
    """Write FILE with five columns more that say what a call to each number would get.

    FILE is CSV or text of any size, - for standard input. What it has stays as it is, to the byte.
    The summary goes to standard error, or with -o to standard output; --json is for it.
    """
    from gateway.cli import Unusable
    from gateway.review.rows import BadRows
    from gateway.review.scrub import Scrub

    policy, _ = answering(environment, draft)
    labels = _labels(policy, options["campaign"], options["trunk"], options["at"])
    try:
        with _opened(file) as (source, size), _writing(output) as write:
            scrub = Scrub(source, labels, column=options["column"], only=options["only"])
            for piece in _progress(scrub, size, shown=output is not None):
                write(piece)
    except BadRows as error:
        raise Unusable(f"{file}: {error}") from None
    summary = scrub.summary
    _tell(summary, as_json, err=output is None)
    if fail_on_blacklisted and summary.kinds["blacklisted"]:
        sys.exit(FOUND)


def _labels(policy: Policy, campaign: str, trunk: str | None, at: datetime | None) -> Labels:
    """A name that the policy lacks is a slip: every number would be refused for it."""
    from gateway.review.labels import Labels
    from gateway.yamlmodel import suggestion

    asked = [("campaign", campaign, [*policy.campaigns]), ("trunk", trunk, [*policy.trunks])]
    for what, name, names in asked:
        if name and name not in names:
            unknown = f"the policy has no {what} '{name}'{suggestion(name, names)}"
            raise click.UsageError(unknown)
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(policy.timezone))
    return Labels(policy, campaign, at.timestamp() if at else time.time(), trunk=trunk)


@contextmanager
def _opened(file: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The file and its size, 0 where that is not known."""
    from gateway.cli import Unusable

    if str(file) == "-":
        yield sys.stdin.buffer, 0
        return
    try:
        source = file.open("rb")
    except OSError as error:
        raise Unusable(f"{file}: {error.strerror}") from None
    with source:
        yield source, os.fstat(source.fileno()).st_size


@contextmanager
def _writing(output: Path | None) -> Iterator[Callable[[bytes], object]]:
    """What takes the pieces. A file is put in its place when all are written."""
    from gateway.cli import Failed

    if output is None:
        yield lambda piece: click.echo(piece, nl=False)
        return
    try:
        if output.exists() and not stat.S_ISREG(output.stat().st_mode):
            with output.open("wb") as device:
                yield device.write
            return
        target = output.resolve()  # a link is written through, as a shell does
        with _fresh(target) as file:
            yield file.write
    except OSError as error:
        raise Failed(f"{output}: {error.strerror}") from error


@contextmanager
def _fresh(target: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of another, with its permissions, unless an error comes."""
    path = target.with_name(f".{target.name}.{os.getpid()}")
    path.unlink(missing_ok=True)  # of a killed process that had this number
    try:
        with path.open("xb") as file:
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
        path.replace(target)
    finally:
        path.unlink(missing_ok=True)


def _progress(scrub: Scrub, size: int, *, shown: bool) -> Iterable[bytes]:
    """A bar on a terminal, unless the rows go there themselves."""
    if not (size and sys.stderr.isatty() and (shown or not sys.stdout.isatty())):
        yield from scrub.pieces()
        return
    source = scrub.source
    with click.progressbar(length=size, label="scrubbing", file=sys.stderr) as bar:
        done = 0
        for piece in scrub.pieces():
            yield piece
            bar.update(source.read - done)
            done = source.read


def _tell(summary: Summary, as_json: bool, *, err: bool) -> None:
    import json

    if as_json:
        click.echo(json.dumps(as_dict(summary), indent=2), err=err)
        return
    taken = f"{summary.seconds:.1f} s" if summary.seconds >= 1 else "less than a second"
    click.echo(f"{summary.rows:,} rows in {taken}, numbers in column {summary.column!r}", err=err)
    told = [(summary.kinds[kind], text) for kind, text in WORDS.items()]
    if summary.broken:
        told.append((summary.broken, "of the invalid could not be read"))
    if summary.would:
        told.append((summary.would, "would be blacklisted if shadow lists were enforced"))
    for count, text in told:
        if count:
            click.echo(f"{count:>12,}  {text}", err=err)


def as_dict(summary: Summary) -> dict[str, object]:
    """A summary as programs read it."""
    return {
        "column": summary.column,
        "rows": summary.rows,
        "written": summary.written,
        **{kind: summary.kinds[kind] for kind in ONLY},
        "unreadable": summary.broken,
        "would_be_blacklisted": summary.would,
        "seconds": round(summary.seconds, 3),
        "rows_per_second": round(summary.rate),
    }
