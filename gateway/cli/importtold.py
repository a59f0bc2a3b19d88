"""What an import tells people: the totals, and the first of what was refused or is doubtful."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.output import plural, printable, styled, with_options

if TYPE_CHECKING:
    from gateway.entries.importing import ImportReport, Remark

SHOWN = 10
"""Refusals and warnings that are printed; ``--rejects`` and ``--json`` have more."""
_PHRASES = (
    ("added", "added", "would be added"),
    ("exists", "already there", "already there"),
    ("removed", "removed", "would be removed"),
    ("absent", "not there", "not there"),
    ("refused", "refused", "refused"),
    ("skipped", "skipped", "skipped"),
)


def tell(report: ImportReport, of: str, *, all_told: bool) -> None:
    """The totals on standard output, remarks on standard error. ``all_told``: in a file, too."""
    told = [
        f"{getattr(report, name):,} {(done, foreseen)[report.dry_run]}"
        for name, done, foreseen in _PHRASES
        if getattr(report, name)
    ]
    click.echo(f"{of}: {plural(report.rows, 'row')}: {', '.join(told) or 'nothing to do'}")
    for why, count in report.skips.most_common():
        click.echo(f"skipped {count:,}: {printable(why)}", err=True)
    if report.unread:
        click.echo(f"columns not read: {printable(', '.join(report.unread))}", err=True)
    _remarks("warning", report.warnings, report.warned, "")
    _remarks("refused", report.refusals, report.refused, "" if all_told else "--rejects FILE")


def _remarks(word: str, remarks: Sequence[Remark], count: int, where: str) -> None:
    for line, text, why in remarks[:SHOWN]:
        shown = f"{printable(text)}: " if text and text not in why else ""
        told = f"{shown}{printable(with_options(why))}"
        click.echo(f"{styled(word, 'yellow')} line {line}: {told}", err=True)
    if count > SHOWN:
        has = f"; {where} has them all" if where else ""
        click.echo(f"{word}: and {count - SHOWN:,} more{has}", err=True)


@contextmanager
def rejects_file(path: Path | None) -> Iterator[Callable[[Remark], None] | None]:
    """What writes a refused row to a file, if one is named. StoreError when the disk refuses."""
    if path is None:
        yield None
        return
    with _writing(path):
        file = path.open("w", encoding="utf-8", newline="")
    rows = csv.writer(file)

    def write(remark: tuple[object, ...]) -> None:
        with _writing(path):
            rows.writerow(remark)

    try:
        write(("line", "number", "why"))
        yield write
    finally:
        with _writing(path):
            file.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    from gateway.errors import StoreError

    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
