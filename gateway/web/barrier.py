"""What every request passes before anything of ours reads it, and every answer after.

Rule 1: the name that was asked for is ours (DNS rebinding: a page of another site that has its own
name point here would else speak to us as itself). A bare IP address cannot be rebound.
Rule 2: a body has a bound, also one that does not say how long it is, and comes at some speed.
Rule 3: no answer may be framed, sniffed, cached or run scripts from elsewhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.problems import Problem

MOST = 2**20
"""Bytes of a body, but for uploads."""
PATIENCE = 30.0
"""Seconds that a sender may take for the next part of a body."""
SLOWEST = 1024
"""Bytes a second below which a body is too slow; the time that its reader takes does not count."""
UPLOADS = (
    *("/v1/import", "/v1/scrub", "/v1/campaigns/", "/v1/replay"),
    *("/blacklist/import", "/campaigns/", "/replay"),
)
"""Where files are taken: what begins with these may be as long as ``http.max_upload`` says."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; manifest-src 'self'"
)
DOCS_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
"""Swagger UI puts styles into its elements."""

_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
}


class Barrier:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], max_upload: int) -> None:
        self._app = app
        self._hosts = frozenset(hosts) | {"localhost"}
        self._max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        path: str = scope["path"]
        sealed = _sealed(send, path)
        most = self._max_upload if path.startswith(UPLOADS) else MOST
        if not self._ours(headers.get(b"host", b"")):
            problem = Problem(421, "this name is not one of ours: see http.hosts in the settings")
        elif _length(headers) > most:
            problem = Problem(413, f"a body has at most {most:,} bytes here")
        else:
            await self._app(scope, _bounded(receive, most), sealed)
            return
        await problem.response()(scope, receive, sealed)

    def _ours(self, host: bytes) -> bool:
        name = _name(host.decode("latin-1").lower())
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _name(host: str) -> str:
    """A ``Host`` without its port and the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _length(headers: dict[bytes, bytes]) -> int:
    length = headers.get(b"content-length", b"0")
    return int(length[:20]) if length.isdigit() else 0  # more digits are too many anyway


def _bounded(receive: Receive, most: int) -> Receive:
    """The body as it comes, neither too long nor too slow; what follows it is no matter."""
    read, waited, more = 0, 0.0, True

    async def bounded() -> Message:
        nonlocal read, waited, more
        if not more:
            return await receive()
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(PATIENCE, PATIENCE + read / SLOWEST - waited)):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "the body did not come") from None
        waited += time.monotonic() - began
        more = message.get("more_body", False)
        read += len(message.get("body", b""))
        if read > most:
            raise HTTPException(413, f"a body has at most {most:,} bytes here")
        return message

    return bounded


def _sealed(send: Send, path: str) -> Send:
    policy = DOCS_POLICY if path == "/docs" else POLICY
    added = {**_HEADERS, b"content-security-policy": policy.encode()}

    async def sealed(message: Message) -> None:
        if message["type"] == "http.response.start":
            found = {name.lower() for name, _ in message["headers"]}
            if b"cache-control" not in found:
                added[b"cache-control"] = b"no-store"
            more = [(name, value) for name, value in added.items() if name not in found]
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return sealed
