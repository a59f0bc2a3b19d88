"""Whether it lives, whether it is ready, its metrics, and counts for a chart."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from gateway.attempts.store import Rollup
from gateway.control.trouble import troubles
from gateway.errors import ControlError
from gateway.tokens import Scope
from gateway.web.context import Web, web_of
from gateway.web.masking import masked_text
from gateway.web.replies import reply, returns, returns_text
from gateway.web.security import allowed
from gateway.web.sessions import Principal

router = APIRouter(tags=["service"])

PROMETHEUS = "text/plain; version=0.0.4"
HOUR = 3600.0
MOST_SECONDS = 400 * 86400.0


class Health(msgspec.Struct, frozen=True):
    """``status`` is ok; or, of readiness, degraded or unavailable with ``reasons`` in words."""

    status: str
    reasons: list[str] = []


@router.get("/healthz", **returns(Health, example=Health("ok")))
async def healthz() -> Response:
    """Whether this process answers. Needs no token."""
    return reply(Health("ok"))


@router.get("/readyz", **returns(Health, 503, example=Health("ok")))
async def readyz(web: Annotated[Web, Depends(web_of)]) -> Response:
    """Whether calls are being decided, and by the policy that is configured. Needs no token.

    Degraded (200): calls are decided, but something wants a look. Unavailable (503): no gateway
    answers.
    """
    try:
        status = await web.status()
    except ControlError as error:
        return reply(Health("unavailable", [str(error)]), status=503)
    reasons = [text for _, text in troubles(status)]
    return reply(Health("degraded" if reasons else "ok", reasons))


@router.get(
    "/metrics",
    dependencies=[Depends(allowed(Scope.READ))],
    **returns_text(PROMETHEUS, what="Prometheus text format"),
)
async def metrics(web: Annotated[Web, Depends(web_of)]) -> Response:
    """The gateway's metrics."""
    return Response(await web.metrics(), media_type=PROMETHEUS)


@router.get("/v1/stats", **returns(list[Rollup], 422))
async def stats(
    web: Annotated[Web, Depends(web_of)],
    who: Annotated[Principal, Depends(allowed(Scope.READ))],
    since: Annotated[float | None, Query(description="UTC seconds; an hour ago", ge=0)] = None,
    until: Annotated[float | None, Query(description="UTC seconds; now", ge=0)] = None,
    campaign: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Counts of attempts per minute, by what decided them."""
    now = time.time()
    end = now + 60 if until is None else min(until, 1e11)
    start = end - HOUR if since is None else max(since, end - MOST_SECONDS)
    rows = await web.read(lambda store: store.rollups(start, end, campaign=campaign))
    if not who.may(Scope.NUMBERS):
        rows = [replace(row, entry=masked_text(row.entry)) for row in rows]
    return reply(rows)
