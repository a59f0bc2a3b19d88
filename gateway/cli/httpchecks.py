"""What ``doctor`` says of the HTTP side: whether it answers, who may ask, who can reach it."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from enum import StrEnum

from gateway.cli.environment import denied
from gateway.cli.remarks import SOMETHING_ELSE, Remark, fail, ok, warn
from gateway.errors import StoreError
from gateway.settings import Address, Settings
from gateway.tokens import Scope, Tokens

PATIENCE = 5.0


class Behind(StrEnum):
    """What is known of the gateway whose pages these would be."""

    RUNS = "runs"
    SILENT = "silent"
    NONE = "none"
    UNKNOWN = "unknown"


def check_http(settings: Settings, behind: Behind = Behind.RUNS) -> Iterator[Remark]:
    """One remark for the listener, and one for each thing that leaves it open."""
    address = settings.http.listen
    if address is None:
        return
    besides = "; http.allow must hold this machine" if settings.http.allow else ""
    yield _answer(address, besides, behind)
    if not address.is_loopback and not settings.http.secure:
        yield warn(
            "http",
            f"{address} can be reached from other machines without TLS, and tokens are sent to it",
            "put a proxy with TLS in front and set http.secure, or listen on 127.0.0.1",
        )
    yield from _tokens(Tokens(settings.state_dir))


def _answer(address: Address, besides: str, behind: Behind) -> Remark:
    host = "127.0.0.1" if address.host in ("0.0.0.0", "::") else address.host
    where = Address(host, address.port)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{where}/healthz", timeout=PATIENCE):
            return _answered(f"http://{where}/", behind)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        advice = "callgate serve starts it" + besides
        return fail("http", f"http://{where}/ does not answer: {reason}", advice)


def _answered(where: str, behind: Behind) -> Remark:
    if behind is Behind.NONE:
        return fail("http", f"{where} {SOMETHING_ELSE}", "stop that, or set another http.listen")
    if behind is Behind.SILENT:
        return warn("http", f"{where} answers, but not the gateway behind it")
    return ok("http", f"{where} answers")


def _tokens(tokens: Tokens) -> Iterator[Remark]:
    try:
        found = tokens.all()
    except StoreError as error:
        if denied(error):
            return  # that is said of the whole state folder
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
