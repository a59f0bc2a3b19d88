"""Overview: how many calls, which of them were blocked and by what, and whether all is well."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from gateway.attempts.erasure import ERASED
from gateway.attempts.query import AttemptFilter
from gateway.attempts.store import AttemptStore, Rollup
from gateway.control.trouble import troubles
from gateway.errors import ControlError
from gateway.web.api.attempts import event, event_stream, shown
from gateway.web.api.policy import policy_state
from gateway.web.chart import per_minute
from gateway.web.pages.kit import Parts, Viewer, fragment, render

router = APIRouter(include_in_schema=False)

HOUR, DAY = 3600.0, 86400.0
ROWS = 12
TOP = 6


@router.get("/")
async def overview(request: Request, web: Parts, who: Viewer) -> Response:
    """The first page."""
    rows = await web.read(lambda store: store.query(limit=ROWS))
    return render(
        request,
        "overview.html",
        attempts=[shown(row, who) for row in rows],
        newest=rows[0].id if rows else "",
        rows=ROWS,
        **await _figures(web),
    )


@router.get("/parts/figures")
async def figures(request: Request, web: Parts, who: Viewer) -> Response:
    """What is counted, asked for again every few seconds."""
    del who
    return render(request, "parts/figures.html", **await _figures(web))


@router.get("/parts/live")
async def live(
    request: Request,
    web: Parts,
    who: Viewer,
    after: Annotated[str, Query(max_length=64)] = "",
    blocked: bool = False,
) -> Response:
    """Rows of the table of attempts, as they arrive."""
    web.live.check_room()
    after = request.headers.get("last-event-id", "") or after

    async def rows() -> AsyncIterator[bytes]:
        yield b": here\n\n"
        async for found, _ in web.live.watch(after):
            if not web.sessions.goes_on(who):
                return
            if not found:
                yield b": here\n\n"
            for item in found:
                if not blocked or item.verdict == "block":
                    row = fragment(
                        request, "parts/attempt_row.html", attempt=shown(item, who), fresh=True
                    )
                    yield event("attempt", " ".join(row.splitlines()).encode(), item.id)

    return event_stream(rows())


async def _figures(web: Parts) -> dict[str, Any]:
    now = time.time()
    day = await web.read(lambda store: store.rollups(now - DAY, now + 60))
    numbers = await web.read(lambda store: _top_numbers(store, now - DAY))
    hour = [row for row in day if row.minute > now - HOUR - 60]
    status, trouble = None, ""
    try:
        status = await web.status()
    except ControlError as error:
        trouble = str(error)
    return {
        "chart": per_minute(hour, now),
        "day": _by_verdict(day),
        "top_entries": _top_entries(day),
        "top_numbers": numbers,
        "running": status,
        "policy": policy_state(status) if status else None,
        "trouble": trouble,
        "parts": [told for told in troubles(status or {}) if told[0] != "policy"],
    }


def _by_verdict(rollups: Iterable[Rollup]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rollups:
        counts[row.verdict] += row.count
    return {"allow": counts["allow"], "block": counts["block"]}


def _top_entries(rollups: Iterable[Rollup]) -> list[tuple[str, str, str, int]]:
    """What blocked most: ``list`` or, without one, ``reason``; its name, the entry, the count."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in rollups:
        if row.verdict == "block":
            by = ("list", row.list) if row.list else ("reason", row.reason)
            counts[*by, row.entry] += row.count
    return [(*what, count) for what, count in counts.most_common(TOP)]


def _top_numbers(store: AttemptStore, since: float) -> list[tuple[str, int]]:
    """Numbers of remote parties that were blocked most, and how often; erased ones are none."""
    found = store.top_numbers(AttemptFilter(verdict="block", since=since), TOP + 1)
    return [(number, count) for number, count in found if number != ERASED][:TOP]
