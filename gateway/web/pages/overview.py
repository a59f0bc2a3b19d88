"""Overview: what happens now."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.web.pages.kit import Parts, Viewer, render

router = APIRouter(include_in_schema=False)


@router.get("/")
async def overview(request: Request, web: Parts, who: Viewer) -> Response:
    """The first page."""
    del who
    return render(request, "overview.html", status_now=await web.status())
