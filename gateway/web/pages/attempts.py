"""Attempts: searched, and one of them told whole, with why."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from gateway.attempts.model import Attempt
from gateway.attempts.query import AttemptFilter
from gateway.attempts.steps import steps
from gateway.numbers import Kind, read
from gateway.policy.explain import Explanation, explain
from gateway.policy.model import Action, Policy, Reason
from gateway.review.past import call_of
from gateway.tokens import Scope
from gateway.web.api.attempts import check_filter, shown, wanted
from gateway.web.pages.kit import Parts, Viewer, render
from gateway.web.problems import Problem
from gateway.web.sessions import Principal

router = APIRouter(prefix="/attempts", include_in_schema=False)

ROWS = 50
_PERIODS = {"1h": 3600.0, "1d": 86400.0, "7d": 7 * 86400.0, "30d": 30 * 86400.0}
Id = Annotated[str, Query(max_length=64, pattern=r"^[0-9a-z-]*$")]


@router.get("")
async def page(request: Request, web: Parts, who: Viewer) -> Response:
    """The whole page, with the first rows of what is asked for."""
    policy = await web.policy()
    asked = _asked(request, policy)
    return render(
        request,
        "attempts.html",
        asked=asked,
        period=request.query_params.get("period", ""),
        campaigns=sorted(policy.campaigns),
        lists=[item.name for item in policy.lists],
        reasons=[reason.value for reason in Reason],
        **await _rows(web, who, asked, ""),
    )


@router.get("/rows")
async def rows(request: Request, web: Parts, who: Viewer, after: Id = "") -> Response:
    """Rows for the filters, or the next ones; the address of the page follows the filters."""
    asked = _asked(request, await web.policy())
    found = await _rows(web, who, asked, after)
    if after:
        return render(request, "parts/attempt_rows.html", **found)
    response = render(request, "parts/attempt_rows.html", again=True, **found)
    given = {name: value for name, value in request.query_params.items() if value}
    response.headers["HX-Replace-Url"] = "/attempts?" + urlencode(given)
    return response


@router.get("/{attempt_id}")
async def one(request: Request, web: Parts, who: Viewer, attempt_id: str) -> Response:
    """One attempt: what was recorded, why, and what would become of it today."""
    found = await web.read(lambda store: store.get(attempt_id))
    if found is None:
        raise Problem(404, "There is no such attempt (any more).")
    policy = await web.policy()
    today = _today(found, policy) if who.may(Scope.NUMBERS) else None
    seen = shown(found, who)
    inbound = found.direction == "inbound"
    remote = (found.caller_e164 or found.caller) if inbound else (found.callee_e164 or found.callee)
    return render(
        request,
        "attempt.html",
        attempt=seen,
        steps=list(steps(seen)),
        today=today,
        remote=remote if who.may(Scope.NUMBERS) else "",
        exceptions=_exceptions(policy),
    )


async def _rows(web: Parts, who: Principal, asked: AttemptFilter, after: str) -> dict[str, Any]:
    check_filter(asked, who)
    found = await web.read(lambda store: store.query(asked, limit=ROWS, before=after or None))
    following = found[-1].id if len(found) == ROWS else ""
    return {
        "attempts": [shown(item, who) for item in found],
        "next": following,
        "filters": urlencode(_given(asked)),
        "filtered": bool(_given(asked)),
    }


def _asked(request: Request, policy: Policy) -> AttemptFilter:
    """The filters of the form; a number in any form, or how one begins with a star."""
    given: dict[str, Any] = {
        name: value.strip()[:80]
        for name, value in request.query_params.items()
        if name in {field.name for field in fields(AttemptFilter)} - {"since", "until"}
    }
    asked = replace(wanted(), **{name: value for name, value in given.items() if value})
    if asked.number:
        asked = _numbered(asked, policy)
    if seconds := _PERIODS.get(request.query_params.get("period", "")):
        asked = replace(asked, since=time.time() - seconds)
    return asked


def _numbered(asked: AttemptFilter, policy: Policy) -> AttemptFilter:
    text = asked.number
    if text.endswith("*"):
        return replace(asked, number="", prefix=text.rstrip("*").replace(" ", ""))
    number = read(text, policy.plan)
    return replace(asked, number=number.e164 if number.kind is Kind.E164 else text)


def _given(asked: AttemptFilter) -> dict[str, str]:
    names = [field.name for field in fields(AttemptFilter)]
    return {name: str(getattr(asked, name)) for name in names if getattr(asked, name)}


def _exceptions(policy: Policy) -> str:
    """The first list that lets calls through and takes entries; empty where there is none."""
    takers = (item for item in policy.lists if item.match is None and item.action is Action.ALLOW)
    return next((item.name for item in takers), "")


def _today(found: Attempt, policy: Policy) -> Explanation | None:
    """What the policy of today says to the same call; None where the policy was not asked."""
    call = call_of(found)
    return explain(call, policy) if call else None
