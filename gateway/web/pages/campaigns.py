"""Campaigns: what each is, what its calls came to, and its contacts with their labels."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from gateway.attempts.daily import Day
from gateway.attempts.query import AttemptFilter
from gateway.policy.model import Campaign
from gateway.review.contacts import forget
from gateway.tokens import Scope
from gateway.web.api.attempts import shown
from gateway.web.api.campaigns import check_uploadable, labelling, take_contacts
from gateway.web.campaignviews import campaign_named, campaign_views, date_of, days_of
from gateway.web.chart import per_day
from gateway.web.contactviews import ONLY, cannot, find_contacts, path_of
from gateway.web.pages.kit import Editor, Parts, Viewer, render
from gateway.web.problems import Problem
from gateway.web.sessions import Principal

router = APIRouter(prefix="/campaigns", include_in_schema=False)

ROWS = 50
CALLS = 8
DAYS = 28
PATIENCE = 1.0
"""Seconds that a page waits for the labels to be counted, before it shows how far that is."""
WORDS = {
    "blacklisted": "Blacklisted",
    "exception": "Allowed by exception",
    "invalid": "Invalid",
    "clear": "Clear",
    "emergency": "Emergency numbers",
}
Asking = Annotated[str, Query(max_length=80)]
Row = Annotated[str, Query(pattern="^[0-9]{0,10}$")]


@router.get("")
async def page(request: Request, web: Parts, who: Viewer) -> Response:
    """Every campaign."""
    return render(request, "campaigns.html", campaigns=await campaign_views(web, who))


@router.get("/{name}")
async def one(
    request: Request, web: Parts, who: Viewer, name: str, only: Asking = "", search: Asking = ""
) -> Response:
    """One campaign, with the first of its contacts."""
    found = await campaign_named(web, name)
    view = (await campaign_views(web, who, [name]))[0]
    days = await days_of(web, name, DAYS)
    calls = await web.read(lambda store: store.query(AttemptFilter(campaign=name), limit=CALLS))
    return render(
        request,
        "campaign.html",
        campaign=view,
        chart=per_day(days, date_of(time.time(), view.timezone), DAYS),
        totals=_totals(days),
        attempts=[shown(call, who) for call in calls],
        kinds=[(kind, WORDS[kind]) for kind in ONLY],
        upload_most=web.http.max_upload,
        **await _contacts(web, who, found, only, search, ""),
    )


@router.get("/{name}/contacts")
async def rows(
    request: Request,
    web: Parts,
    who: Viewer,
    name: str,
    only: Asking = "",
    search: Asking = "",
    after: Row = "",
) -> Response:
    """Contacts for the filters, or the next ones."""
    found = await campaign_named(web, name)
    values = await _contacts(web, who, found, only, search, after)
    return render(request, "parts/contact_rows.html", campaign=found, **values)


@router.get("/{name}/counts")
async def counts(request: Request, web: Parts, who: Viewer, name: str) -> Response:
    """How many contacts have each label, or how far the counting is."""
    del who
    found, policy = await campaign_named(web, name), await web.policy()
    try:
        tally = await web.tallies.count(path_of(web, found), found, policy, PATIENCE)
    except OSError as error:
        raise cannot(found, error) from None
    if fault := tally.error():
        raise cannot(found, fault)
    known = labelling(tally.summary)
    told = [(kind, word, getattr(known, kind)) for kind, word in WORDS.items()]
    return render(
        request,
        "parts/label_counts.html",
        campaign=found,
        counts=told,
        known=known,
        done=tally.done,
        percent=int(tally.share * 100),
    )


@router.post("/{name}/contacts")
async def upload(request: Request, web: Parts, who: Editor, name: str) -> Response:
    """Take a file of contacts in the place of the former one; the page is then loaded anew."""
    del who
    await take_contacts(web, request, await campaign_named(web, name))
    return _anew()


@router.post("/{name}/contacts/remove")
async def remove(web: Parts, who: Editor, name: str) -> Response:
    """Remove the file that was uploaded."""
    del who
    found = await campaign_named(web, name)
    check_uploadable(found)
    await web.run(lambda: forget(found, web.options.state_dir))
    return _anew()


async def _contacts(
    web: Parts, who: Principal, campaign: Campaign, only: str, search: str, after: str
) -> dict[str, Any]:
    """Contacts for a template; or why there are none: ``fault``, empty when there is no file."""
    kinds = [only] if only in ONLY else []
    wanted = search.strip() if who.may(Scope.NUMBERS) else ""
    values: dict[str, Any] = {
        "only": only if kinds else "",
        "search": wanted,
        "contacts": None,
        "fault": "",
    }
    try:
        found = await find_contacts(
            web, who, campaign, after=int(after or 0), limit=ROWS, only=kinds, search=wanted
        )
    except Problem as problem:
        return values | {"fault": problem.detail if problem.status != 404 else ""}
    rest = [
        " · ".join(cell for n, cell in enumerate(item.cells) if n != found.place and cell.strip())
        for item in found.items
    ]
    return values | {"contacts": found, "rows": [*zip(found.items, rest, strict=True)]}


def _totals(days: list[Day]) -> list[tuple[str, int, int]]:
    """Allowed and blocked calls of each direction."""
    counts: Counter[tuple[str, str]] = Counter()
    for day in days:
        counts[day.direction, day.verdict] += day.count
    return [(way, counts[way, "allow"], counts[way, "block"]) for way in ("inbound", "outbound")]


def _anew() -> Response:
    return Response(status_code=204, headers={"HX-Refresh": "true"})
