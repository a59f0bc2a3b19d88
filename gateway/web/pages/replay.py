"""Replay: a draft of the policy, tried on past calls before anybody reloads it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import ValidationError

from gateway.files import Unreadable, read_file
from gateway.tokens import Scope
from gateway.web.jobs import Job
from gateway.web.pages.kit import Parts, Viewer, render
from gateway.web.problems import Problem
from gateway.web.replaying import MOST, ReplayAsked, start_replay
from gateway.web.security import allowed
from gateway.web.sessions import Principal
from gateway.web.uploads import in_words, sent

router = APIRouter(prefix="/replay", include_in_schema=False)
Admin = Annotated[Principal, Depends(allowed(Scope.ADMIN))]

PERIODS = (("1d", "last day"), ("7d", "last 7 days"), ("30d", "last 30 days"), ("90d", "90 days"))
SHOWN = 2**17
"""Bytes of a policy with which the field begins; a longer one is better uploaded."""
GROUPS = 100
_FIELDS = ("since", "against", "campaign")


@router.get("")
async def page(
    request: Request, web: Parts, who: Viewer, job: Annotated[str, Query(max_length=16)] = ""
) -> Response:
    """The form, and the job that is named or runs."""
    found, lost = None, False
    if job:
        try:
            found = web.jobs.get(job, "replay", who)
        except Problem:
            lost = True
    else:
        last = web.jobs.latest("replay", who)
        found = last if last and last.running else None
    return render(
        request,
        "replay.html",
        periods=PERIODS,
        campaigns=sorted((await web.policy()).campaigns),
        written=await web.run(lambda: _policy(web)) if who.may(Scope.ADMIN) else "",
        lost=lost,
        **_shown(found),
    )


@router.post("")
async def begin(request: Request, web: Parts, who: Admin) -> Response:
    """Begin with the file of the form, or with what stands in its field."""
    async with sent(request, web, text="draft") as found:
        said = {key: found.fields[key][0] for key in _FIELDS if key in found.fields}
        managed = "managed" in found.fields
        try:
            asked = ReplayAsked.model_validate(said | {"managed": managed})
        except ValidationError as error:
            return render(request, "parts/refused.html", error=in_words(error))
        job = await start_replay(web, who, found.file, asked)
    response = render(request, "parts/replay_job.html", **_shown(job))
    response.headers["HX-Push-Url"] = f"/replay?job={job.id}"
    return response


@router.get("/jobs/{job_id}")
async def watch(request: Request, web: Parts, who: Admin, job_id: str) -> Response:
    """How far a replay is, or what it found."""
    return render(request, "parts/replay_job.html", **_shown(web.jobs.get(job_id, "replay", who)))


def _policy(web: Parts) -> str:
    """The configured policy, to begin a draft with; nothing where it is long or not readable."""
    try:
        text = read_file(web.policy_path, MOST).decode()
    except (Unreadable, UnicodeDecodeError):
        return ""
    return text if len(text) <= SHOWN else ""


def _shown(job: Job | None) -> dict[str, Any]:
    """A job for a template."""
    if job is None:
        return {"job": None}
    return {
        "job": job,
        "asked": job.asked,
        "result": job.outcome,
        "groups": job.outcome.groups[:GROUPS] if job.outcome else [],
        "faults": job.error.splitlines(),
        "percent": min(100, int(100 * job.done / job.total)) if job.total else 0,
    }
