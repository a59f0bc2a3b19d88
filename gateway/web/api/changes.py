"""The audit: who changed which entry, when, by what way, and what a confirmed one covered."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response

from gateway.control import messages
from gateway.entries import Applied, Change, Op
from gateway.entries.search import ChangeFilter
from gateway.tokens import Scope
from gateway.web.api.entries import check_admin
from gateway.web.context import Web, web_of
from gateway.web.masking import check_sees, masked_entry, masked_words
from gateway.web.problems import Problem
from gateway.web.replies import Page, reply, returns
from gateway.web.security import allowed
from gateway.web.sessions import Principal

router = APIRouter(prefix="/v1/changes", tags=["entries"])
Reader = Annotated[Principal, Depends(allowed(Scope.READ))]
Writer = Annotated[Principal, Depends(allowed(Scope.WRITE))]
Parts = Annotated[Web, Depends(web_of)]
Rev = Annotated[int, Path(ge=1, le=2**63 - 1)]

MOST = 200


@router.get("", **returns(Page[Change], 422))
async def changes(
    web: Parts,
    who: Reader,
    by: Annotated[str, Query(max_length=200, description="Whose changes")] = "",
    list: Annotated[str, Query(max_length=40)] = "",
    digits: Annotated[str, Query(max_length=15, pattern="^[0-9]*$")] = "",
    op: Op | None = None,
    after: Annotated[str, Query(max_length=19, pattern="^[0-9]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
) -> Response:
    """Changes, newest first."""
    check_sees(who, digits)
    wanted = ChangeFilter(who=by, list=list, digits=digits, op=op)
    before = min(int(after or 0), 2**63 - 1)
    page = await web.run(lambda: web.entries.search_changes(wanted, before=before, limit=limit))
    following = str(page.next) if page.next else ""
    return reply(Page([change_shown(item, who) for item in page.items], following))


@router.post("/{rev}/undo", **returns(Applied, 403, 404, 422))
async def undo(web: Parts, who: Writer, rev: Rev) -> Response:
    """Put back what a change found, if nothing has touched its entry since."""
    await check_undo(web, who, rev)
    return reply(_applied_shown(await undone(web, who, rev), who))


async def check_undo(web: Web, who: Principal, rev: int) -> None:
    """To undo a change of a list that allows takes what making it took. Problem 403, 404."""
    found = await web.run(lambda: web.entries.changes_since(rev - 1, 1))
    if not found or found[0].rev != rev:
        raise Problem(404, f"there is no change {rev}")
    either = found[0].after or found[0].before
    if either is not None:
        await check_admin(web, who, [either.list])


async def undone(web: Web, who: Principal, rev: int) -> Applied:
    """Have the gateway undo a change. ControlRefused where it cannot."""
    request = messages.Undo(rev=rev, who=who.name, source=who.source)
    return msgspec.convert(await web.control.request(request), Applied)


def change_shown(change: Change, who: Principal) -> Change:
    """A change as somebody may see it."""
    if who.may(Scope.NUMBERS):
        return change
    before, after = (masked_entry(item) if item else None for item in (change.before, change.after))
    covered = masked_words(change.covered)
    return msgspec.structs.replace(change, before=before, after=after, covered=covered)


def _applied_shown(found: Applied, who: Principal) -> Applied:
    if found.entry is None or who.may(Scope.NUMBERS):
        return found
    return msgspec.structs.replace(found, entry=masked_entry(found.entry))
