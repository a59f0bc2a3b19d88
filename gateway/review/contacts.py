"""A campaign's contacts: the rows of a CSV file, each with the label of its number.

Rule 1: the file that the policy names is the campaign's; where it names none, the one that was
uploaded is. An upload beside a file of the policy is refused: nobody would see it.
Rule 2: an upload is there whole or not at all, and is private (0600): a kill leaves the old file.
Rule 3: a page reads no more rows than its budget. Paging is by row number, from 0, of the rows
that hold anything, the header not counted.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from gateway.errors import EntryError
from gateway.files import opened, sync_directory
from gateway.policy.model import Campaign
from gateway.review.columns import Column, find_column
from gateway.review.labels import Labelled, Labels
from gateway.review.rows import BadRows, Row, Source, text_of
from gateway.review.scrub import TOO_FEW, Summary, kind_of, scrub

MOST = 2**30
"""Bytes of a file of contacts that pages read: some ten million rows."""
MOST_UPLOADED = 256 * 2**20
BUDGET = 5_000
"""Rows whose label one page may look up, half a second or so, when most are filtered out."""

_LEFT_OVER_SECONDS = 3600.0
_NUMBERLIKE = re.compile(r"[+\d ().-]*\d[\d ().-]*")


@dataclass(frozen=True, slots=True)
class Contact:
    """One row: its number in the file, its cells as text in the order of the columns, its label.

    ``fault`` says why a row could not be read; it is ``Invalid`` then.
    """

    row: int
    cells: tuple[str, ...]
    labelled: Labelled
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Contacts in the order of the file. ``next``: the ``offset`` to go on from, None at the end.

    A page may hold fewer than were asked for, even none, before the end: its budget was used up.
    """

    column: Column
    contacts: tuple[Contact, ...]
    next: int | None


def contacts_file(campaign: Campaign, policy_path: Path, state: Path) -> Path | None:
    """The file of a campaign's contacts, None when it has none."""
    if campaign.contacts:
        return policy_path.parent / campaign.contacts
    path = uploaded(campaign.name, state)
    return path if path.is_file() else None


def uploaded(campaign: str, state: Path) -> Path:
    """Where the contacts of a campaign lie that somebody uploaded."""
    return state / "contacts" / f"{campaign}.csv"


def read_page(
    path: Path,
    labels: Labels,
    *,
    offset: int = 0,
    limit: int = 100,
    only: Collection[str] = (),
    search: str = "",
    column: str = "",
    budget: int = BUDGET,
) -> Page:
    """The contacts from row ``offset`` on, of the kinds in ``only`` (``scrub.KINDS``, empty: all).

    ``search`` is a part of a cell in any case, or digits of the number however it is written.
    ``column`` is the column of numbers, by name or place from 1. Raises Unreadable and BadRows.
    """
    has = _searched(search, labels)
    with opened(path, MOST) as (file, _):
        source = Source(file)
        found = find_column(source, labels.reads, column)
        rows = enumerate(data_rows(source, found))
        kept: list[Contact] = []
        row = -1
        for row, item in islice(rows, offset, offset + budget):
            text = _number(item, found)
            if not has(item, text):
                continue
            if not only or kind_of(labels.of(text, inbound=False)) in only:
                kept.append(_contact(row, item, labels.of(text), found))
                if len(kept) >= limit:
                    break
        more = next(rows, None)
    return Page(found, tuple(kept), more[0] if more and row >= 0 else None)


def data_rows(source: Source, column: Column) -> Iterator[Row]:
    """The rows behind the header that hold anything."""
    header = bool(column.names)
    for row in source.rows():
        if header and any(row.cells):
            header = False
        elif row.cells != [b""]:
            yield row


def tally(path: Path, labels: Labels, column: str = "") -> Summary:
    """How many contacts have each label. Reads it all: minutes for a million rows."""
    with opened(path, MOST) as (file, _):
        return scrub(file, lambda _: None, labels, column=column)


def _number(row: Row, column: Column) -> str:
    return text_of(row.cells[column.place]) if column.place < len(row.cells) else ""


def _searched(search: str, labels: Labels) -> Callable[[Row, str], bool]:
    """Whether a row, whose number is the second argument, has what is searched."""
    wanted = search.strip().casefold()
    digits = {"".join(filter(str.isdigit, wanted)), labels.digits(wanted)} - {""}
    if not _NUMBERLIKE.fullmatch(wanted):
        digits = set()

    def has(row: Row, number: str) -> bool:
        if not wanted or any(wanted in text_of(cell).casefold() for cell in row.cells):
            return True
        found = labels.digits(number) if digits else ""
        return any(part in found for part in digits)

    return has


def _contact(number: int, row: Row, labelled: Labelled, column: Column) -> Contact:
    cells = tuple(map(text_of, row.cells)) or (text_of(row.raw).rstrip("\r\n"),)
    fault = "" if column.place < len(row.cells) else row.fault or TOO_FEW
    return Contact(number, cells, labelled, fault)


class Upload:
    """A file of contacts on its way in: ``write`` its bytes, then ``keep`` it.

    As a context it leaves nothing behind when it is left before. Raises EntryError for a campaign
    whose contacts the policy names and for more than ``most`` bytes, OSError for a full disk.
    """

    def __init__(self, campaign: Campaign, state: Path, most: int = MOST_UPLOADED) -> None:
        if campaign.contacts:
            named = f"the policy names the contacts of '{campaign.name}': {campaign.contacts}"
            raise EntryError(f"{named}; they are changed there")
        self.size = 0
        self._most = most
        self._path = uploaded(campaign.name, state)
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(folder)
        descriptor, name = tempfile.mkstemp(prefix=f".{campaign.name}-", dir=folder)
        self._fresh: Path | None = Path(name)
        self._file = os.fdopen(descriptor, "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._most:
            raise EntryError(f"a file of contacts has at most {self._most:,} bytes")
        self._file.write(chunk)

    def keep(self, labels: Labels, column: str = "") -> Column:
        """Put it in the place of the former one, on the disk when this returns.

        Raises BadRows, and keeps the former one, where no column has numbers.
        """
        assert self._fresh, "it was kept or discarded before"
        self._file.flush()
        with self._fresh.open("rb") as file:
            source = Source(file)
            found = find_column(source, labels.reads, column)
            if not any(labels.reads(_number(row, found)) for row in source.sample()):
                raise BadRows("none of its first rows has a telephone number")
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._fresh, self._path)
        self._fresh = None
        sync_directory(self._path.parent)
        return found

    def discard(self) -> None:
        """Leave the former file as it is. Nothing after ``keep``."""
        self._file.close()
        if self._fresh:
            self._fresh.unlink(missing_ok=True)
            self._fresh = None


def forget(campaign: Campaign, state: Path) -> bool:
    """Remove what was uploaded; whether there was anything. Raises OSError."""
    path = uploaded(campaign.name, state)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_directory(path.parent)
    return True


def _sweep(folder: Path) -> None:
    """Remove what uploads that were killed left behind."""
    for path in folder.glob(".*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_OVER_SECONDS:
                path.unlink()
