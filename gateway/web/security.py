"""What a handler depends on to know who asks and whether they may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Depends, Request
from fastapi.security import HTTPBasic, HTTPBearer

from gateway.tokens import Scope
from gateway.web.context import Web, web_of
from gateway.web.problems import Problem
from gateway.web.sessions import COOKIE, CSRF_FIELD, CSRF_HEADER, Principal, same, sent_token

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = "application/x-www-form-urlencoded"

# They are here for the OpenAPI document; the header is read by ``sent_token``.
BEARER = HTTPBearer(auto_error=False, description="A token of `callgate token create`.")
BASIC = HTTPBasic(auto_error=False, description="Any user name, the token as the password.")


async def who(request: Request) -> Principal | None:
    """Whoever asks, by token, else by cookie. Problem 401 or 429 for a token that is wrong."""
    web = web_of(request)
    if text := sent_token(request.headers):
        if request.method not in SAFE:
            check_same_site(request)  # a browser keeps the password of Basic, and sends it itself
        return _by_token(web, request, text)
    principal = web.sessions.by_cookie(request.cookies.get(COOKIE, ""))
    if principal and request.method not in SAFE:
        await _check_page(request, principal)
    return principal


def allowed(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """A dependency: whoever asks, who must have a scope. Problem 401 or 403."""

    async def dependency(
        request: Request, _bearer: object = Depends(BEARER), _basic: object = Depends(BASIC)
    ) -> Principal:
        principal = await who(request)
        if principal is None:
            raise _unknown("a token is needed")
        if not principal.may(scope):
            raise Problem(403, f"the token {principal.name!r} lacks the scope {scope}")
        request.state.principal = principal
        return principal

    return dependency


def address_of(request: Request) -> str:
    """The address of the peer."""
    return request.client.host if request.client else ""


def _by_token(web: Web, request: Request, text: str) -> Principal:
    address = address_of(request)
    principal = web.sessions.by_token(text)
    if principal is not None:
        return principal
    if wait := web.sessions.barred(address):
        raise Problem(429, "too many wrong tokens", headers={"Retry-After": str(wait)})
    web.sessions.failed(address)
    raise _unknown("the token is unknown, expired or revoked")


def _unknown(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="callgate"'})


def check_same_site(request: Request) -> None:
    """Refuse what a page of another site has a browser send. Problem 403."""
    headers = request.headers
    origin = headers.get("origin")
    elsewhere = origin is not None and origin.rpartition("://")[2] != headers.get("host")
    if elsewhere or headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Problem(403, "the request comes from another site")


async def _check_page(request: Request, principal: Principal) -> None:
    """A change by cookie comes from our own page, and the page knows the session's secret."""
    check_same_site(request)
    headers = request.headers
    sent = headers.get(CSRF_HEADER, "")
    if not sent and headers.get("content-type", "").startswith(_FORM):
        sent = str((await request.form()).get(CSRF_FIELD, ""))
    if not same(sent, principal.csrf):
        raise Problem(403, "the page is out of date: load it again")
