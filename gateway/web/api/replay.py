"""Replay: what a draft of the policy would have done to past calls, before it does it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from gateway.tokens import Scope
from gateway.web.context import Web, web_of
from gateway.web.replaying import ReplayAsked, ReplayJob, replay_job, start_replay
from gateway.web.replies import reply, returns
from gateway.web.security import allowed
from gateway.web.sessions import Principal
from gateway.web.uploads import sent, taking

router = APIRouter(prefix="/v1/replay", tags=["policy"])
Admin = Annotated[Principal, Depends(allowed(Scope.ADMIN))]
Parts = Annotated[Web, Depends(web_of)]


@router.post(
    "",
    openapi_extra=taking("application/yaml", "text/plain"),
    **returns(ReplayJob, 403, 413, 422, 429, status=202),
)
async def begin(
    web: Parts, who: Admin, request: Request, asked: Annotated[ReplayAsked, Query()]
) -> Response:
    """Decide every past call again, at its time, under the draft that is sent, as if it lay beside
    the configured policy: files that it names are read from that folder, and from nowhere else.

    The answer names the job to ask for. Nothing is changed.
    """
    async with sent(request, web) as found:
        job = await start_replay(web, who, found.file, asked)
    headers = {"Location": f"/v1/replay/{job.id}"}
    return reply(replay_job(job), status=202, headers=headers)


@router.get("/{job_id}", **returns(ReplayJob, 403, 404))
async def look(
    web: Parts, who: Admin, job_id: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
) -> Response:
    """How far a replay is, and what it found. Jobs are forgotten when the gateway restarts."""
    return reply(replay_job(web.jobs.get(job_id, "replay", who)))
