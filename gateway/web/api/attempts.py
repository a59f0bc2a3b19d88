"""Attempts: pages of them, one whole, as they arrive, as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import StringIO
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse

from gateway.attempts.export import write_csv
from gateway.attempts.model import Attempt
from gateway.attempts.query import AttemptFilter
from gateway.attempts.steps import steps
from gateway.tokens import Scope
from gateway.web.context import Web, web_of
from gateway.web.masking import check_sees, masked_attempt, masked_words
from gateway.web.problems import Problem
from gateway.web.replies import Page, reply, returns, returns_text
from gateway.web.security import allowed
from gateway.web.sessions import Principal

router = APIRouter(prefix="/v1/attempts", tags=["attempts"])
Reader = Annotated[Principal, Depends(allowed(Scope.READ))]
Parts = Annotated[Web, Depends(web_of)]
Id = Annotated[str, Query(max_length=64, pattern=r"^[0-9a-z-]*$")]
Text = Annotated[str, Query(max_length=80)]
Moment = Annotated[float | None, Query(ge=0, le=1e11)]

MOST = 200
EXPORTED = 1000
"""Attempts that are read at once for a file."""
EVENTS = "text/event-stream"


class AttemptView(msgspec.Struct, frozen=True):
    """One attempt, and the steps of its decision as far as they are recorded."""

    attempt: Attempt
    steps: list[str]


def wanted(
    number: Annotated[Text, Query(description="Either party, +33… or as the PBX wrote it")] = "",
    prefix: Annotated[Text, Query(description="How either party's E.164 number begins")] = "",
    campaign: Text = "",
    direction: Annotated[str, Query(pattern="^(inbound|outbound|)$")] = "",
    verdict: Annotated[str, Query(pattern="^(allow|block|)$")] = "",
    reason: Text = "",
    list: Text = "",
    entry: Text = "",
    trunk: Text = "",
    delivery: Text = "",
    since: Moment = None,
    until: Moment = None,
) -> AttemptFilter:
    """Which attempts: all that is given must hold. ``since`` is inclusive, ``until`` is not."""
    return AttemptFilter(
        number=number.strip(),
        prefix=prefix.strip(),
        campaign=campaign,
        direction=direction,
        verdict=verdict,
        reason=reason,
        list=list,
        entry=entry,
        trunk=trunk,
        delivery=delivery,
        since=since,
        until=until,
    )


Wanted = Annotated[AttemptFilter, Depends(wanted)]


@router.get("", **returns(Page[Attempt], 422))
async def attempts(
    web: Parts,
    who: Reader,
    asked: Wanted,
    after: Id = "",
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
) -> Response:
    """Attempts, newest first."""
    check_filter(asked, who)
    found = await web.read(lambda store: store.query(asked, limit=limit, before=after or None))
    following = found[-1].id if len(found) == limit else ""
    return reply(Page([shown(item, who) for item in found], following))


@router.get("/stream", **returns_text(EVENTS, what="Server-sent events named attempt and gap"))
async def stream(
    web: Parts,
    who: Reader,
    after: Id = "",
    last_event_id: Annotated[str, Header(max_length=64)] = "",
) -> Response:
    """Attempts as they arrive; after the one with the id in ``Last-Event-ID`` or ``after``.

    An event ``gap`` says that some were lost before it: ask for pages. A comment shows every 15
    seconds that the stream is alive.
    """
    web.live.check_room()
    return event_stream(_events(web, who, last_event_id or after))


@router.get(".csv", **returns_text("text/csv", what="The fields of an attempt, one a line"))
async def export(web: Parts, who: Reader, asked: Wanted) -> Response:
    """All attempts that are wanted, newest first, as a file."""
    check_filter(asked, who)
    headers = {"Content-Disposition": 'attachment; filename="attempts.csv"'}
    return StreamingResponse(_csv(web, who, asked), media_type="text/csv", headers=headers)


@router.get("/{attempt_id}", **returns(AttemptView, 404))
async def attempt(web: Parts, who: Reader, attempt_id: str) -> Response:
    """One attempt, with the steps that led to its verdict."""
    found = await web.read(lambda store: store.get(attempt_id))
    if found is None:
        raise Problem(404, "there is no such attempt (any more)")
    seen = shown(found, who)
    return reply(AttemptView(seen, [*steps(seen)]))


def check_filter(asked: AttemptFilter, who: Principal) -> None:
    """Problem 403 for whoever may not see the numbers that are asked for."""
    check_sees(who, asked.number, asked.prefix)
    if masked_words(asked.entry) != asked.entry:
        check_sees(who, asked.entry)


def shown(found: Attempt, who: Principal) -> Attempt:
    """An attempt as somebody may see it."""
    return found if who.may(Scope.NUMBERS) else masked_attempt(found)


def event_stream(events: AsyncIterator[bytes]) -> Response:
    """Server-sent events, which no proxy should hold back."""
    return StreamingResponse(events, media_type=EVENTS, headers={"X-Accel-Buffering": "no"})


def event(name: str, data: bytes, identity: str = "") -> bytes:
    """One event; ``data`` has no line break, as JSON of ours never has."""
    head = f"id: {identity}\nevent: {name}\n" if identity else f"event: {name}\n"
    return head.encode() + b"data: " + data + b"\n\n"


async def _events(web: Web, who: Principal, after: str) -> AsyncIterator[bytes]:
    yield b": here\n\n"
    async for found, gap in web.live.watch(after):
        if not web.sessions.goes_on(who):
            return
        if gap:
            yield event("gap", b"{}")
        if not found:
            yield b": here\n\n"
        for item in found:
            yield event("attempt", msgspec.json.encode(shown(item, who)), item.id)


async def _csv(web: Web, who: Principal, asked: AttemptFilter) -> AsyncIterator[str]:
    before: str | None = None
    header = True
    while True:
        last: Any = before
        page = await web.read(lambda store: store.query(asked, limit=EXPORTED, before=last))  # noqa: B023
        text = StringIO(newline="")
        write_csv([shown(item, who) for item in page], text, header=header)
        yield text.getvalue()
        if len(page) < EXPORTED:
            return
        before, header = page[-1].id, False
