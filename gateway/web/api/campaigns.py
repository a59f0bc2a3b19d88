"""Campaigns: their contacts with labels, counts, uploads; and a file of leads scrubbed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Annotated, BinaryIO

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from gateway.errors import EntryError, StoreError
from gateway.files import Unreadable
from gateway.policy.model import Campaign, Policy
from gateway.review.contacts import Upload, forget
from gateway.review.labels import Labels
from gateway.review.rows import BadRows
from gateway.review.scrub import Scrub, Summary
from gateway.tokens import Scope
from gateway.web.campaignviews import (
    MOST_DAYS,
    CampaignView,
    DayCount,
    campaign_named,
    campaign_views,
    days_of,
)
from gateway.web.contactviews import ONLY, Contacts, cannot, find_contacts, path_of, scrubbed
from gateway.web.context import Web, web_of
from gateway.web.problems import Problem
from gateway.web.replies import reply, returns, returns_text
from gateway.web.security import allowed
from gateway.web.sessions import Principal
from gateway.web.uploads import sent, taking

router = APIRouter(prefix="/v1", tags=["campaigns"])
Reader = Annotated[Principal, Depends(allowed(Scope.READ))]
Writer = Annotated[Principal, Depends(allowed(Scope.WRITE))]
Parts = Annotated[Web, Depends(web_of)]
Name = Annotated[str, Path(max_length=40)]
Column = Annotated[str, Query(max_length=80, description="Its name, or its place from 1")]
Kind = Annotated[str, Query(pattern=f"^({'|'.join(ONLY)})$")]
Only = Annotated[list[Kind] | None, Query(max_length=10, description="Only these; all without")]

MOST = 500
LONGEST_COUNT = 600.0
"""Seconds that whoever asks for a summary may wait for it."""
CSV = "text/csv"


class Labelling(msgspec.Struct, frozen=True, kw_only=True):
    """How many contacts have each label, by the word they are asked for.

    ``broken`` rows could not be read and are invalid; ``would_be_blacklisted`` are those that
    shadow lists would block if they were enforced. ``column`` has the numbers.
    """

    rows: int
    blacklisted: int
    exception: int
    invalid: int
    clear: int
    emergency: int
    broken: int
    would_be_blacklisted: int
    column: str


class Taken(msgspec.Struct, frozen=True):
    """What was taken: the bytes of the file, and the column that has the numbers."""

    size: int
    column: str


@router.get("/campaigns", **returns(list[CampaignView]))
async def campaigns(web: Parts, who: Reader) -> Response:
    """Every campaign of the policy, by its name."""
    return reply(await campaign_views(web, who))


@router.get("/campaigns/{name}", **returns(CampaignView, 404))
async def campaign(web: Parts, who: Reader, name: Name) -> Response:
    """One campaign."""
    found = await campaign_named(web, name)
    return reply((await campaign_views(web, who, [found.name]))[0])


@router.get("/campaigns/{name}/contacts", **returns(Contacts, 403, 404, 422))
async def contacts(
    web: Parts,
    who: Reader,
    name: Name,
    only: Only = None,
    search: Annotated[str, Query(max_length=80, description="In cells or the number")] = "",
    column: Column = "",
    after: Annotated[str, Query(pattern="^[0-9]{0,10}$")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> Response:
    """Contacts in the order of the file, each with the label that a call to it would bear out.

    To search takes the scope `numbers:read`.
    """
    found = await find_contacts(
        web,
        who,
        await campaign_named(web, name),
        after=int(after or 0),
        limit=limit,
        only=only or (),
        search=search.strip(),
        column=column,
    )
    return reply(found)


@router.put(
    "/campaigns/{name}/contacts",
    openapi_extra=taking(CSV),
    **returns(Taken, 403, 404, 409, 413, 422),
)
async def put_contacts(web: Parts, who: Writer, request: Request, name: Name) -> Response:
    """Replace the contacts that were uploaded, whole or not at all. 409 where the policy names
    them.
    """
    del who
    return reply(await take_contacts(web, request, await campaign_named(web, name)))


@router.delete("/campaigns/{name}/contacts", **returns(Taken, 403, 404, 409))
async def delete_contacts(web: Parts, who: Writer, name: Name) -> Response:
    """Remove the contacts that were uploaded."""
    del who
    found = await campaign_named(web, name)
    check_uploadable(found)
    if not await web.run(lambda: forget(found, web.options.state_dir)):
        raise Problem(404, f"campaign {name!r} has no contacts that were uploaded")
    return reply(Taken(0, ""))


@router.get(
    "/campaigns/{name}/contacts.csv",
    **returns_text(CSV, 403, 404, 422, what="The file, with five columns more"),
)
async def export(
    web: Parts, who: Reader, name: Name, only: Only = None, column: Column = ""
) -> Response:
    """All contacts with their labels, as a file. Takes the scope `numbers:read`."""
    if not who.may(Scope.NUMBERS):
        raise Problem(403, f"the token {who.name!r} lacks the scope {Scope.NUMBERS}")
    found, policy = await campaign_named(web, name), await web.policy()
    pieces = scrubbed(path_of(web, found), policy, name, only=only or (), column=column)
    try:
        first = await web.run(lambda: next(pieces, b""))
    except (BadRows, Unreadable) as error:
        raise cannot(found, error) from None
    return as_file(web, chain([first], pieces), f"{name}-labelled.csv")


@router.get("/campaigns/{name}/summary", **returns(Labelling, 404, 422))
async def summary(web: Parts, who: Reader, name: Name) -> Response:
    """How many contacts have each label. A million of them take a minute or two."""
    del who
    found, policy = await campaign_named(web, name), await web.policy()
    try:
        tally = await web.tallies.count(path_of(web, found), found, policy, LONGEST_COUNT)
    except OSError as error:
        raise cannot(found, error) from None
    if fault := tally.error():
        raise cannot(found, fault)
    if not tally.done:
        raise Problem(503, "it is still being counted", headers={"Retry-After": "60"})
    return reply(labelling(tally.summary))


@router.get("/campaigns/{name}/days", **returns(list[DayCount], 404, 422))
async def days(
    web: Parts, who: Reader, name: Name, days: Annotated[int, Query(ge=1, le=MOST_DAYS)] = 30
) -> Response:
    """Attempts per day, direction and verdict; days are those of the policy's time zone."""
    del who
    found = await days_of(web, (await campaign_named(web, name)).name, days)
    return reply([DayCount(day.date, day.direction, day.verdict, day.count) for day in found])


@router.post(
    "/scrub",
    openapi_extra=taking(CSV, "text/plain"),
    **returns_text(CSV, 413, 422, what="The file, with five columns more"),
)
async def scrub(
    web: Parts,
    who: Reader,
    request: Request,
    campaign: Annotated[str, Query(max_length=40)] = "",
    trunk: Annotated[str, Query(max_length=40)] = "",
    only: Only = None,
    column: Column = "",
) -> Response:
    """A file of leads, with the label of every number beside it. Nothing of it is kept."""
    del who
    policy = await web.policy()
    check_names(policy, campaign, trunk)
    labels = Labels(policy, campaign, time.time(), trunk=trunk or None)
    async with sent(request, web) as found:
        try:
            scrubbing = await web.run(
                lambda: Scrub(found.file, labels, only=only or (), column=column)
            )
        except BadRows as error:
            raise Problem(422, str(error)) from None
        # The answer outlives this handler, and with it the file does.
        pieces = _closing(scrubbing.pieces(), found.keep())
    return as_file(web, pieces, "scrubbed.csv")


async def take_contacts(web: Web, request: Request, campaign: Campaign) -> Taken:
    """Put what is sent in the place of a campaign's contacts. Problem 409, 422."""
    check_uploadable(campaign)
    labels = Labels(await web.policy(), campaign.name, time.time())
    async with sent(request, web) as found:
        return await web.run(lambda: _keep(found.file, web, campaign, labels))


def check_uploadable(campaign: Campaign) -> None:
    """Problem 409 for a campaign whose contacts the policy names: an upload would not be seen."""
    if campaign.contacts:
        named = f"the policy names the contacts of {campaign.name!r}: {campaign.contacts}"
        raise Problem(409, f"{named}; they are changed there")


def labelling(summary: Summary) -> Labelling:
    kinds = summary.kinds
    return Labelling(
        rows=summary.rows,
        **{kind: kinds[kind] for kind in ONLY},
        broken=summary.broken,
        would_be_blacklisted=summary.would,
        column=summary.column,
    )


def as_file(web: Web, pieces: Iterator[bytes], name: str) -> Response:
    """Pieces that threads make, as a file that is downloaded."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_in_turn(web, pieces), media_type=CSV, headers=headers)


async def _in_turn(web: Web, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Many files that are made at a time share few threads, a piece each in turn."""
    while (piece := await web.run_long(lambda: next(pieces, None))) is not None:
        yield piece


def check_names(policy: Policy, campaign: str, trunk: str) -> None:
    """Problem 422 for a name that the policy lacks: every number would be refused for it."""
    for what, name, known in (
        ("campaign", campaign, policy.campaigns),
        ("trunk", trunk, policy.trunks),
    ):
        if name and name not in known:
            raise Problem(422, f"the policy has no {what} {name!r}")


def _keep(file: BinaryIO, web: Web, campaign: Campaign, labels: Labels) -> Taken:
    try:
        with Upload(campaign, web.options.state_dir, web.http.max_upload) as upload:
            while chunk := file.read(2**20):
                upload.write(chunk)
            column = upload.keep(labels)
            return Taken(upload.size, column.name)
    except (BadRows, EntryError) as error:
        raise Problem(422, str(error), title="These are no contacts") from None
    except OSError as error:
        raise StoreError(f"it could not be written: {error.strerror}") from None


def _closing(pieces: Iterator[bytes], file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield from pieces
