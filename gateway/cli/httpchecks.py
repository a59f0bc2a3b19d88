"""What ``doctor`` says of the HTTP side: whether it answers, who may ask, who can reach it."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from gateway.cli.remarks import Remark, fail, ok, warn
from gateway.errors import StoreError
from gateway.settings import Address, Settings
from gateway.tokens import Scope, Tokens

PATIENCE = 5.0


def check_http(settings: Settings) -> Iterator[Remark]:
    """One remark for the listener, and one for each thing that leaves it open."""
    address = settings.http.listen
    if address is None:
        return
    yield _answer(address, "; http.allow must hold this machine" if settings.http.allow else "")
    if not address.is_loopback and not settings.http.secure:
        yield warn(
            "http",
            f"{address} can be reached from other machines without TLS, and tokens are sent to it",
            "put a proxy with TLS in front and set http.secure, or listen on 127.0.0.1",
        )
    yield from _tokens(Tokens(settings.state_dir))


def _answer(address: Address, besides: str) -> Remark:
    host = "127.0.0.1" if address.host in ("0.0.0.0", "::") else address.host
    where = Address(host, address.port)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{where}/healthz", timeout=PATIENCE):
            return ok("http", f"http://{where}/ answers")
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        advice = "callgate serve starts it" + besides
        return fail("http", f"http://{where}/ does not answer: {reason}", advice)


def _tokens(tokens: Tokens) -> Iterator[Remark]:
    try:
        found = tokens.all()
    except StoreError as error:
        yield fail("http", str(error), "move the file away, then callgate token create")
        return
    now = time.time()
    alive = [token for token in found if token.alive(now)]
    if not alive:
        yield warn("http", "nobody can ask: there is no token", "callgate token create NAME")
    lasting = [token.name for token in alive if token.may(Scope.ADMIN) and not token.expires]
    if len(lasting) > 1:
        names = ", ".join(lasting)
        yield warn(
            "http",
            f"{len(lasting)} tokens may do everything and never expire: {names}",
            "callgate token revoke, and narrower scopes with --days",
        )
