"""Import: a file is looked at first, then taken; a job that the page watches."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from gateway.policy.model import MANAGED_LIST
from gateway.tokens import Scope
from gateway.web.importing import ImportAsked, check_import, formats, result_shown, run
from gateway.web.jobs import Job
from gateway.web.pages.kit import Editor, Parts, Viewer, render
from gateway.web.problems import Problem
from gateway.web.sessions import Principal
from gateway.web.uploads import in_words, sent

router = APIRouter(prefix="/blacklist/import", include_in_schema=False)

KIND = "page-import"
REFUSALS = 100
"""Rows of each kind of remark that the page shows."""
LONGEST_NAME = 200
"""Characters of the file's name, of which the audit keeps the first hundred."""
_MANY = ("list", "column")


@router.get("")
async def page(
    request: Request, web: Parts, who: Editor, job: Annotated[str, Query(max_length=16)] = ""
) -> Response:
    """The form, and the job that is named or runs: a page that is loaded again finds it."""
    found, lost = None, False
    if job:
        try:
            found = web.jobs.get(job, KIND, who)
        except Problem:
            lost = True
    else:
        last = web.jobs.latest(KIND, who)
        found = last if last and last.running else None
    policy = await web.policy()
    return render(
        request,
        "import.html",
        lists=[
            item
            for item in policy.lists
            if item.match is None and (item.action == "block" or who.may(Scope.ADMIN))
        ],
        chosen=MANAGED_LIST,
        formats=formats(),
        upload_most=web.http.max_upload,
        lost=lost,
        **_shown(found, who),
    )


@router.post("")
async def look(request: Request, web: Parts, who: Editor) -> Response:
    """Begin with a dry run; what was sent is kept for the real one."""
    async with sent(request, web) as found:
        try:
            asked = _asked(found.fields, found.name)
        except ValidationError as error:
            return render(request, "parts/refused.html", error=in_words(error))
        await check_import(web, who, asked.options())
        job = _start(web, who, found.file, asked)
        found.keep()
    response = render(request, "parts/import_job.html", **_shown(job, who))
    response.headers["HX-Push-Url"] = f"/blacklist/import?job={job.id}"
    return response


@router.get("/jobs/{job_id}")
async def watch(request: Request, web: Parts, who: Viewer, job_id: str) -> Response:
    """How far a job is, or what it came to."""
    found = web.jobs.get(job_id, KIND, who)
    return render(request, "parts/import_job.html", **_shown(found, who))


@router.post("/jobs/{job_id}/run")
async def take(request: Request, web: Parts, who: Editor, job_id: str) -> Response:
    """Do what the dry run has shown, with the same file."""
    seen = web.jobs.get(job_id, KIND, who)
    if seen.file is None or seen.running:
        raise Problem(409, "The file is not kept any more: choose it again.")
    asked: ImportAsked = seen.asked
    await check_import(web, who, asked.options())
    job = _start(web, who, seen.file, asked.model_copy(update={"dry_run": False}), after=seen)
    response = render(request, "parts/import_job.html", **_shown(job, who))
    response.headers["HX-Push-Url"] = f"/blacklist/import?job={job.id}"
    return response


def _start(
    web: Parts, who: Principal, file: Any, asked: ImportAsked, *, after: Job | None = None
) -> Job:
    return web.jobs.start(
        KIND,
        who,
        lambda job: run(web, job, who, file, asked, dry_run=asked.dry_run),
        asked=asked,
        file=file,
        after=after,
    )


def _asked(fields: dict[str, list[str]], name: str) -> ImportAsked:
    """What the form says; what it leaves empty is as if it were not there. ValidationError."""
    given: dict[str, Any] = {}
    for key, values in fields.items():
        said = [value.strip() for value in values if value.strip()]
        if said:
            given[key] = said if key in _MANY else said[0]
    return ImportAsked.model_validate(given | {"file": name[:LONGEST_NAME], "dry_run": True})


def _shown(job: Job | None, who: Principal) -> dict[str, Any]:
    """A job for a template."""
    if job is None:
        return {"job": None}
    asked: ImportAsked = job.asked
    found = result_shown(job.outcome, who) if job.state == "done" else None
    percent = int(100 * job.done / job.total) if job.total else 0
    return {
        "job": job,
        "asked": asked,
        "result": found,
        "percent": min(100, percent),
        "changes": (found.removed if asked.remove else found.added) if found else 0,
        "refusals": found.refusals[:REFUSALS] if found else [],
        "warnings": found.warnings[:REFUSALS] if found else [],
    }
