"""Contacts of a campaign as they are shown: a row, the label of its number, and what decided.

Rule: the label is that of ``Labels``, under the policy that the next call is decided by.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec

from gateway.files import Unreadable, opened
from gateway.policy.model import Campaign, Policy
from gateway.review.contacts import BUDGET, MOST, Contact, contacts_file, read_page
from gateway.review.labels import Label, Labels
from gateway.review.rows import BadRows
from gateway.review.scrub import EMERGENCY, KINDS, Scrub, kind_of
from gateway.tokens import Scope
from gateway.web.context import Web
from gateway.web.masking import masked, masked_text
from gateway.web.problems import Problem
from gateway.web.sessions import Principal

BLACKLISTED = 220
"""The call status by which the hosted product calls a contact that is on a blacklist."""
ONLY = (*KINDS, EMERGENCY)
"""The words for kinds of contacts."""
SEARCHED = 200_000
"""Rows that one search looks at, a second or so."""


class ContactView(msgspec.Struct, frozen=True, kw_only=True):
    """One contact.

    ``row`` counts from 0. ``cells`` are the row's, in the order of the page's ``columns``; none
    for whoever may not see numbers. ``status`` is 220 for one that is Blacklisted, else null.
    ``kind`` is the word by which such contacts are asked for. ``would`` is the label if shadow
    lists were enforced, empty when that changes nothing; ``inbound`` that of a call from the
    number. ``differs``: another trunk of the campaign says otherwise. ``fault``: why the row could
    not be read.
    """

    row: int
    number: str
    e164: str
    label: Label
    kind: str
    status: int | None
    reason: str
    list: str
    entry: str
    origin: str
    note: str
    trunk: str
    inbound: str
    would: str
    differs: bool
    fault: str
    cells: tuple[str, ...]


class Contacts(msgspec.Struct, frozen=True, kw_only=True):
    """A page of contacts. ``column`` has the numbers, the cell ``place`` (from 0) of each row;
    ``columns`` are the names in the header.

    ``next`` is the ``after`` to go on from, empty at the end. A page may have fewer contacts than
    were asked for, even none, before the end: only so many rows are looked at.
    """

    items: list[ContactView]
    column: str
    place: int
    columns: list[str]
    next: str = ""


async def find_contacts(
    web: Web,
    who: Principal,
    campaign: Campaign,
    *,
    after: int = 0,
    limit: int,
    only: Collection[str] = (),
    search: str = "",
    column: str = "",
) -> Contacts:
    """A page of a campaign's contacts as somebody may see them. Problem 404 where it has none.

    ``search`` is a part of a cell, or of a number however it is written. Problem 403 for whoever
    may not see what it is searched in, or chooses another column to be shown.
    """
    if (search or column) and not who.may(Scope.NUMBERS):
        raise Problem(403, f"the token {who.name!r} lacks the scope {Scope.NUMBERS}")
    path = path_of(web, campaign)
    policy = await web.policy()
    labels = Labels(policy, campaign.name, time.time())
    read = partial(read_page, path, labels, offset=after, limit=limit, only=only, column=column)
    if search:
        read = partial(read, search=search, budget=BUDGET if only else SEARCHED)
    try:
        page = await (web.run_long if search or only else web.run)(read)
    except (BadRows, Unreadable) as error:
        raise cannot(campaign, error) from None
    whole = who.may(Scope.NUMBERS)
    return Contacts(
        items=[_view(contact, page.column.place, whole=whole) for contact in page.contacts],
        column=page.column.name,
        place=page.column.place,
        columns=[*page.column.names],
        next="" if page.next is None else str(page.next),
    )


def path_of(web: Web, campaign: Campaign) -> Path:
    """Where a campaign's contacts lie. Problem 404 where it has none."""
    path = contacts_file(campaign, web.policy_path, web.options.state_dir)
    if path is None:
        raise Problem(404, f"campaign {campaign.name!r} has no contacts: upload a CSV file")
    return path


def cannot(campaign: Campaign, error: Exception) -> Problem:
    """What is said of a file of contacts that cannot be used."""
    return Problem(422, f"the contacts of {campaign.name!r}: {error}")


def scrubbed(
    path: Path, policy: Policy, campaign: str, *, only: Collection[str], column: str
) -> Iterator[bytes]:
    """A file with labels, in pieces. BadRows and Unreadable, most of them before the first."""
    labels = Labels(policy, campaign, time.time())
    with opened(path, MOST) as (file, _):
        scrubbing = Scrub(file, labels, only=only, column=column)
        with closing(scrubbing.pieces()) as pieces:  # type: ignore[type-var]
            yield from pieces


def _view(contact: Contact, place: int, *, whole: bool) -> ContactView:
    found = contact.labelled
    said = found.outbound
    number = contact.cells[place] if place < len(contact.cells) else ""
    return ContactView(
        row=contact.row,
        number=number if whole else masked(found.e164),
        e164=found.e164 if whole else masked(found.e164),
        label=found.label,
        kind=kind_of(found),
        status=BLACKLISTED if found.label is Label.BLACKLISTED else None,
        reason=said.reason.value,
        list=said.list,
        entry=said.entry if whole else masked_text(said.entry),
        origin=said.origin,
        note=said.note,
        trunk=found.trunk,
        inbound=found.inbound.label.value if found.inbound else "",
        would=found.would.label.value if found.would else "",
        differs=found.differs,
        fault=contact.fault,
        cells=contact.cells if whole else (),
    )
