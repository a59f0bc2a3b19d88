"""Logging in with a token, and out. Whoever was sent here from a page goes on to it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import SplitResult, quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from gateway.web.context import web_of
from gateway.web.pages.kit import Parts, Viewer, render
from gateway.web.security import address_of, check_same_site
from gateway.web.sessions import COOKIE

router = APIRouter(include_in_schema=False)

LONGEST = 2000
"""Characters of an address that is come back to."""


def login_for(page: SplitResult) -> str:
    """The address of the login that goes on to a page of ours."""
    wanted = _local(f"{page.path}?{page.query}" if page.query else page.path)
    return "/login" if wanted == "/" else f"/login?next={quote(wanted)}"


def _local(address: str) -> str:
    """An address within this site as it is, anything else as the first page.

    What begins with two slashes names another host, to browsers also where one is a backslash or
    where a control character stands in between.
    """
    inside = address.startswith("/") and not address.startswith("//")
    if inside and "\\" not in address and address.isprintable() and len(address) <= LONGEST:
        return address
    return "/"


@router.get("/login")
async def form(request: Request, next: str = "") -> Response:
    """The one field."""
    if web_of(request).sessions.by_cookie(request.cookies.get(COOKIE, "")):
        return RedirectResponse(_local(next), 303)
    return render(request, "login.html", error="", next=_local(next))


@router.post("/login")
async def login(
    request: Request,
    web: Parts,
    token: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form()] = "",
) -> Response:
    """Begin a session."""
    next = _local(next)
    check_same_site(request)
    address = address_of(request)
    wait = web.sessions.barred(address)
    found = web.sessions.login(token, address)
    if found is None and wait:
        error = f"Too many wrong tokens. Try again in {wait} seconds."
        return render(request, "login.html", status=429, error=error, next=next)
    if found is None:
        error = "This token is unknown, expired or revoked."
        return render(request, "login.html", status=401, error=error, next=next)
    response = RedirectResponse(next, 303)
    response.set_cookie(
        COOKIE,
        web.sessions.begin(found),
        max_age=int(web.http.session),
        httponly=True,
        samesite="strict",
        secure=web.http.secure,
    )
    return response


@router.post("/logout")
async def logout(request: Request, web: Parts, who: Viewer) -> Response:
    """End the session."""
    del who
    web.sessions.end(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response
