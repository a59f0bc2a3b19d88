"""Audit: who changed what, when, by what way, and what was covered."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from gateway.entries import Op
from gateway.entries.search import ChangeFilter
from gateway.web.api.changes import change_shown
from gateway.web.masking import check_sees
from gateway.web.pages.kit import Parts, Viewer, render
from gateway.web.sessions import Principal

router = APIRouter(prefix="/audit", include_in_schema=False)

ROWS = 50
Text = Annotated[str, Query(max_length=200)]


@router.get("")
async def page(
    request: Request,
    web: Parts,
    who: Viewer,
    by: Text = "",
    list: Text = "",
    op: Text = "",
    number: Text = "",
    after: Annotated[str, Query(pattern="^[0-9]{0,18}$")] = "",
) -> Response:
    """The page; only its rows where a script asks for those."""
    policy = await web.policy()
    digits = "".join(sign for sign in number if sign.isascii() and sign.isdigit())[:15]
    check_sees(who, digits)
    wanted = ChangeFilter(
        who=by, list=list, digits=digits, op=Op(op) if op in {item.value for item in Op} else None
    )
    return render(
        request,
        "parts/change_rows.html" if request.headers.get("hx-request") else "audit.html",
        asked={"by": by, "list": list, "op": op, "number": number},
        lists=[item.name for item in policy.lists if item.match is None],
        ops=[item.value for item in Op],
        **await _rows(web, who, wanted, int(after or 0)),
    )


async def _rows(web: Parts, who: Principal, wanted: ChangeFilter, before: int) -> dict[str, Any]:
    page = await web.run(lambda: web.entries.search_changes(wanted, before=before, limit=ROWS))
    return {"changes": [change_shown(item, who) for item in page.items], "next": page.next}
