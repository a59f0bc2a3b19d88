"""Where a number still stands besides attempts: contacts, lists of the policy, managed entries.

Rule: what people write and keep is told of and never written. The program's own copy of contacts,
which somebody uploaded, is replaced whole.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.entries import EntryStore
from gateway.entries.model import Change, ManagedEntry
from gateway.files import Unreadable, opened, sync_directory
from gateway.numbers.spellings import Spellings
from gateway.policy.model import Policy
from gateway.review.contacts import MOST, contacts_file
from gateway.review.rows import BadRows, Row, Source, text_of

CHANGES = 10_000
"""Lines of the change log that are at hand."""


@dataclass(frozen=True, slots=True)
class ContactsFile:
    """The contacts of a campaign: the ``lines`` where a number stands, or why it is not known.

    ``ours`` is a file that was uploaded, which the program may write.
    """

    campaign: str
    path: Path
    ours: bool
    lines: tuple[int, ...] = ()
    fault: str = ""


def contacts_with(
    policy: Policy, policy_path: Path, state: Path, number: Spellings
) -> list[ContactsFile]:
    """The files of contacts that hold a number, or that cannot be read."""
    found = []
    for campaign in policy.campaigns.values():
        path = contacts_file(campaign, policy_path, state)
        if path is None:
            continue
        ours = not campaign.contacts
        try:
            with opened(path, MOST) as (file, _):
                lines = tuple(line for line, _, has in _rows(Source(file), number) if has)
        except (Unreadable, BadRows) as error:
            found.append(ContactsFile(campaign.name, path, ours, fault=str(error)))
        else:
            if lines:
                found.append(ContactsFile(campaign.name, path, ours, lines))
    return found


def without(path: Path, number: Spellings) -> None:
    """Replace a file of contacts by itself less the rows that hold a number.

    Raises Unreadable, BadRows and OSError; it stays as it is then.
    """
    with opened(path, MOST) as (file, _):
        source = Source(file)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as fresh:
                fresh.write(source.before)
                for _, row, has in _rows(source, number):
                    if not has:
                        fresh.write(source.outward(row.raw))
                fresh.flush()
                os.fsync(fresh.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    sync_directory(path.parent)


def _rows(source: Source, number: Spellings) -> Iterator[tuple[int, Row, bool]]:
    """Every row with its first line, from 1, and whether a cell of it holds the number."""
    line = 1 + source.before.count(b"\n")
    for row in source.rows():
        cells = row.cells or [row.raw]
        yield line, row, any(number.stands_in(text_of(cell)) for cell in cells)
        line += row.raw.count(source.end)


def entries_of(policy: Policy, number: Spellings) -> list[tuple[str, str, int]]:
    """The entries that are the number itself: their list, where they are written, managed id.

    Prefixes that cover it are none: they name no one.
    """
    digits, index = number.e164.removeprefix("+"), policy.index
    entries = (index.entry(hit.row) for hit in index.matches(digits))
    return [
        (entry.list, str(entry.origin), entry.managed)
        for entry in entries
        if entry.digits == digits
    ]


def owner_of(policy: Policy, number: Spellings) -> str:
    """The campaign whose own number it is; empty for none."""
    return policy.dids.get(number.e164.removeprefix("+"), "")


def logged(store: EntryStore, number: Spellings) -> list[int]:
    """The revisions of the change log that name a number, as an entry or in a text."""
    digits, found, rev = number.e164.removeprefix("+"), [], 0
    while changes := store.changes_since(rev, CHANGES):
        found += [change.rev for change in changes if _names(change, digits, number)]
        rev = changes[-1].rev
    return found


def _names(change: Change, digits: str, number: Spellings) -> bool:
    sides = [side for side in (change.before, change.after) if side is not None]
    return number.stands_in(change.covered) or any(_is(side, digits, number) for side in sides)


def _is(entry: ManagedEntry, digits: str, number: Spellings) -> bool:
    return entry.digits == digits or number.stands_in(entry.reason)
