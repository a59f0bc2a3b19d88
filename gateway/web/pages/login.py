"""Logging in with a token, and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from gateway.web.context import web_of
from gateway.web.pages.kit import Parts, Viewer, render
from gateway.web.security import address_of, check_same_site
from gateway.web.sessions import COOKIE

router = APIRouter(include_in_schema=False)


@router.get("/login")
async def form(request: Request) -> Response:
    """The one field."""
    if web_of(request).sessions.by_cookie(request.cookies.get(COOKIE, "")):
        return RedirectResponse("/", 303)
    return render(request, "login.html", error="")


@router.post("/login")
async def login(
    request: Request, web: Parts, token: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Begin a session."""
    check_same_site(request)
    address = address_of(request)
    wait = web.sessions.barred(address)
    found = web.sessions.login(token, address)
    if found is None and wait:
        error = f"Too many wrong tokens. Try again in {wait} seconds."
        return render(request, "login.html", status=429, error=error)
    if found is None:
        error = "This token is unknown, expired or revoked."
        return render(request, "login.html", status=401, error=error)
    response = RedirectResponse("/", 303)
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
