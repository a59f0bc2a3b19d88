"""Check: type a number, see the verdict and how it came about."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from gateway.calls import Direction, Presentation
from gateway.policy.explain import explain
from gateway.web.api.decisions import CallFacts
from gateway.web.entryviews import covering, entry_shown
from gateway.web.pages.kit import Parts, Viewer, render

router = APIRouter(prefix="/check", include_in_schema=False)

Text = Annotated[str, Query(max_length=255)]


@router.get("")
async def page(
    request: Request,
    web: Parts,
    who: Viewer,
    number: Text = "",
    direction: Text = Direction.INBOUND,
    other: Text = "",
    trunk: Text = "",
    campaign: Text = "",
    presentation: Text = Presentation.ALLOWED,
) -> Response:
    """The form, and the answer to it when a number was given."""
    policy = await web.policy()
    told, entries, error = None, [], ""
    if request.query_params:
        inbound = direction == Direction.INBOUND
        try:
            facts = CallFacts.model_validate(
                {
                    "direction": direction,
                    "caller": number if inbound else other,
                    "callee": other if inbound else number,
                    "trunk": trunk,
                    "campaign": campaign,
                    "presentation": presentation,
                }
            )
        except ValidationError as fault:
            error = "; ".join(item["msg"] for item in fault.errors())
        else:
            told = explain(facts.call(), policy)
            digits = told.verdict.number.removeprefix("+")
            if digits:
                found = await web.run(lambda: covering(digits, False, policy, web.entries, 20))
                entries = [entry_shown(view, who) for view in found]
    values = {
        "number": number,
        "direction": direction,
        "other": other,
        "trunk": trunk,
        "campaign": campaign,
        "presentation": presentation,
    }
    again = bool(request.headers.get("hx-request"))
    return render(
        request,
        "parts/checked.html" if again else "check.html",
        again=again,
        told=told,
        entries=entries,
        error=error,
        asked=values,
        trunks=sorted(policy.trunks),
        campaigns=sorted(policy.campaigns),
        presentations=[item.value for item in Presentation],
    )
