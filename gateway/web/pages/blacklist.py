"""Blacklist: one field and Add; what it would do, before; what is there, below."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response

from gateway.control import messages
from gateway.entries import Asked
from gateway.entries.guard import NeedsConfirmation
from gateway.entries.search import EntryFilter
from gateway.errors import ControlRefused, EntryError, GatewayError
from gateway.numbers import Kind, read
from gateway.policy.model import MANAGED_LIST, EntryKind, Policy
from gateway.tokens import Scope
from gateway.web.api.changes import Rev, check_undo, undone
from gateway.web.api.entries import Id, Outcome, changed, check_admin, managed, outcome_shown
from gateway.web.entryviews import Cursor, covering, entry_shown, find, managed_view
from gateway.web.masking import check_sees
from gateway.web.pages.kit import Editor, Parts, Viewer, render
from gateway.web.preview import preview, preview_shown
from gateway.web.sessions import Principal

router = APIRouter(prefix="/blacklist", include_in_schema=False)

ROWS = 50
Text = Annotated[str, Form(max_length=500)]
Asking = Annotated[str, Query(max_length=80)]


@router.get("")
async def page(
    request: Request,
    web: Parts,
    who: Viewer,
    q: Asking = "",
    list: Asking = "",
    number: Asking = "",
    into: Asking = "",
) -> Response:
    """The whole page; ``number`` and the list ``into`` fill the form, as a click may."""
    policy = await web.policy()
    return render(
        request,
        "blacklist.html",
        lists=_takers(policy, who),
        all_lists=[item.name for item in policy.lists if item.match is None],
        chosen=into or MANAGED_LIST,
        opened=bool(into),
        number=number,
        **await _rows(web, who, policy, q, list, ""),
    )


@router.get("/rows")
async def rows(
    request: Request,
    web: Parts,
    who: Viewer,
    q: Asking = "",
    list: Asking = "",
    after: Asking = "",
) -> Response:
    """The table's rows for a search, or its next rows."""
    found = await _rows(web, who, await web.policy(), q, list, after)
    return render(request, "parts/entry_rows.html", **found)


@router.get("/preview")
async def look(
    request: Request,
    web: Parts,
    who: Viewer,
    number: Asking = "",
    list: Asking = MANAGED_LIST,
    kind: Asking = "",
) -> Response:
    """What the number in the field would be, and do."""
    if not number.strip():
        return render(request, "parts/preview.html", preview=None, error="")
    try:
        asked = Asked(number=number, list=list, kind=_kind(kind))
        found = preview_shown(await preview(web, asked), who)
    except EntryError as error:
        return render(request, "parts/preview.html", preview=None, error=str(error))
    return render(request, "parts/preview.html", preview=found, error="")


@router.post("")
async def add(
    request: Request,
    web: Parts,
    who: Editor,
    number: Text = "",
    list: Text = MANAGED_LIST,
    kind: Text = "",
    reason: Text = "",
    expires: Text = "",
    confirm: bool = Form(default=False),
) -> Response:
    """Add what stands in the field; ask back first where it covers much."""
    await check_admin(web, who, [list])
    asked = Asked(
        number=number,
        list=list,
        kind=_kind(kind),
        reason=reason.strip(),
        expires=expires.strip(),
        confirm=confirm,
    )
    try:
        request_ = messages.Add(entries=[asked], who=who.name, source=who.source)
        outcome = (await changed(web, request_, who))[0]
    except NeedsConfirmation as error:
        found = preview_shown(await preview(web, asked), who)
        return render(
            request, "parts/confirm.html", asked=asked, covers=error.covers, preview=found
        )
    except (ControlRefused, EntryError) as error:
        return render(request, "parts/refused.html", error=str(error))
    return await _done(request, web, who, outcome)


@router.post("/{entry_id}/remove")
async def remove(request: Request, web: Parts, who: Editor, entry_id: Id) -> Response:
    """Take an entry away; the answer offers to put it back."""
    found = await managed(web, entry_id)
    await check_admin(web, who, [found.list])
    asked = messages.Remove(ids=[entry_id], who=who.name, source=who.source)
    return await _done(request, web, who, (await changed(web, asked, who))[0])


@router.post("/{entry_id}/edit")
async def edit(
    request: Request, web: Parts, who: Editor, entry_id: Id, reason: Text = "", expires: Text = ""
) -> Response:
    """Replace reason and expiry."""
    found = await managed(web, entry_id)
    await check_admin(web, who, [found.list])
    asked = Asked(
        number=found.entry.text,
        list=found.list,
        kind=found.kind,
        reason=reason.strip(),
        expires=expires.strip(),
    )
    try:
        request_ = messages.Edit(entries=[asked], who=who.name, source=who.source)
        outcome = (await changed(web, request_, who))[0]
    except (ControlRefused, EntryError) as error:
        response = render(request, "parts/refused.html", error=str(error))
        response.headers["HX-Retarget"] = f"#edit-said-{entry_id}"
        return response
    return await _done(request, web, who, outcome)


@router.post("/undo/{rev}")
async def undo(request: Request, web: Parts, who: Editor, rev: Rev) -> Response:
    """Take a change back."""
    await check_undo(web, who, rev)
    try:
        applied = await undone(web, who, rev)
    except GatewayError as error:
        return render(request, "parts/refused.html", error=str(error))
    entry = applied.entry
    outcome = Outcome(
        status=applied.status.value,
        rev=applied.rev,
        list=entry.list if entry else "",
        kind=entry.kind if entry else EntryKind.NUMBER,
        digits=entry.digits if entry else "",
        entry=entry,
        warning=applied.warning,
    )
    return await _done(request, web, who, outcome)


async def _done(request: Request, web: Parts, who: Principal, outcome: Outcome) -> Response:
    """What has become of a change; the page then asks for its rows anew."""
    policy = await web.policy()
    view = entry_shown(managed_view(outcome.entry, policy), who) if outcome.entry else None
    response = render(request, "parts/done.html", outcome=outcome_shown(outcome, who), entry=view)
    told = {"entries-changed": {"status": outcome.status}}
    response.headers["HX-Trigger"] = json.dumps(told)
    return response


async def _rows(
    web: Parts, who: Principal, policy: Policy, q: str, list: str, after: str
) -> dict[str, Any]:
    """A page of entries for a search: by the number they cover, how they begin, or a word."""
    wanted, digits = q.strip(), _digits(q)
    if not after and (number := _whole_number(wanted, policy)):
        found = await web.run(lambda: covering(number, False, policy, web.entries))
        rows = [view for view in found if list in ("", view.list)]
        return _shown(rows, "", who, q, list, covered=True)
    check_sees(who, wanted)
    if digits:
        filter = EntryFilter(list=list, digits=digits)
    else:
        filter = EntryFilter(list=list, text=wanted)
    cursor = Cursor.parse(after)
    page, following = await web.run(lambda: find(web.entries, policy, filter, cursor, ROWS, ""))
    return _shown(page, following, who, q, list, covered=False)


def _shown(
    rows: list[Any], following: str, who: Principal, q: str, list: str, *, covered: bool
) -> dict[str, Any]:
    return {
        "entries": [entry_shown(view, who) for view in rows],
        "next": following,
        "q": q,
        "list": list,
        "covered": covered,
    }


def _digits(text: str) -> str:
    """The digits of what looks like the beginning of a number."""
    cleaned = text.strip().removeprefix("+").replace(" ", "").rstrip("*")
    return cleaned if cleaned.isascii() and cleaned.isdigit() and len(cleaned) <= 15 else ""


def _whole_number(text: str, policy: Policy) -> str:
    """The E.164 digits of what is a whole number; nothing for a beginning or a word."""
    number = read(text, policy.plan)
    return number.digits if number.kind is Kind.E164 else ""


def _takers(policy: Policy, who: Principal) -> list[Any]:
    """Lists that take entries from whoever looks."""
    return [
        item
        for item in policy.lists
        if item.match is None and (item.action == "block" or who.may(Scope.ADMIN))
    ]


def _kind(text: str) -> EntryKind | None:
    return EntryKind(text) if text in {kind.value for kind in EntryKind} else None
