"""Import: a file of any size into the managed entries, as ``callgate import`` does it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.tokens import Scope
from gateway.web.context import Web, web_of
from gateway.web.importing import ImportAsked, ImportResult, check_import, result_shown, run
from gateway.web.replies import reply, returns
from gateway.web.security import allowed
from gateway.web.sessions import Principal
from gateway.web.uploads import sent, taking

router = APIRouter(prefix="/v1/import", tags=["entries"])
Writer = Annotated[Principal, Depends(allowed(Scope.WRITE))]
Parts = Annotated[Web, Depends(web_of)]


@router.post(
    "",
    openapi_extra=taking("text/csv", "text/plain"),
    **returns(ImportResult, 403, 413, 422, 429),
)
async def import_file(
    web: Parts, who: Writer, request: Request, asked: Annotated[ImportAsked, Query()]
) -> Response:
    """Add what the rows name, or remove it. The answer comes when that is in force, which takes
    minutes for a million rows; whoever goes away meanwhile does not end it.

    Each row is added, there already, or refused with its line and reason, and spoils no other.
    429: two imports and replays are under way already.
    """
    options = asked.options()
    await check_import(web, who, options)
    async with sent(request, web) as found:
        if found.name and not asked.file:
            asked = asked.model_copy(update={"file": found.name})
        job = web.jobs.start(
            "import",
            who,
            lambda job: run(web, job, who, found.file, asked, dry_run=asked.dry_run),
            file=found.file,
        )
        found.keep()
    await job.finished()
    web.jobs.drop(job)
    if job.fault:
        raise job.fault
    return reply(result_shown(job.outcome, who))
