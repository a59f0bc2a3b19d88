"""Who asks: a token in every request of a program, a signed cookie after a login to the pages.

Rule 1: a cookie says nothing that its token does not: a revoked token ends its sessions.
Rule 2: a request that changes something and is known by its cookie needs the session's CSRF token
too, and must come from a page of ours.
Rule 3: wrong tokens cost their sender time: past a few a minute an address is not heard.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer

from gateway.errors import StoreError
from gateway.files import open_own
from gateway.httpsettings import HttpSettings
from gateway.tokens import Scope, Token, Tokens

COOKIE = "cg_session"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"
FAILURES = 10
FAILURE_WINDOW = 60.0
"""Wrong tokens that an address may send within so many seconds."""
_MOST_ADDRESSES = 10_000
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. ``source`` is how the change log calls the way in: ``api`` or ``page``."""

    token: Token
    source: str
    csrf: str = ""
    nonce: str = ""

    @property
    def name(self) -> str:
        return self.token.name

    def may(self, scope: Scope) -> bool:
        return self.token.may(scope)


class Sessions:
    """Tokens, cookies and failed logins of one state directory."""

    def __init__(self, state: Path, tokens: Tokens, http: HttpSettings) -> None:
        self._tokens = tokens
        self._seconds = http.session
        self._key = _key(state / "http.key")
        self._signer = URLSafeTimedSerializer(self._key, salt="session")
        self._failures: dict[str, list[float]] = {}
        self._ended: dict[str, float] = {}

    def by_token(self, text: str) -> Principal | None:
        """Whoever sends this token."""
        token = self._tokens.find(text, time.time())
        return Principal(token, "api") if token else None

    def by_cookie(self, cookie: str) -> Principal | None:
        """Whoever logged in with a token that is still good, not too long ago."""
        try:
            identity, nonce = self._signer.loads(cookie, max_age=int(self._seconds))
        except (BadSignature, ValueError, TypeError):
            return None
        if nonce in self._ended:
            return None
        token = self._tokens.by_id(identity, time.time())
        return Principal(token, "page", self._csrf(nonce), nonce) if token else None

    def goes_on(self, who: Principal) -> bool:
        """Whether whoever asked a while ago might ask still, for answers that do not end."""
        if who.nonce in self._ended:
            return False
        return self._tokens.by_id(who.token.id, time.time()) is not None

    def begin(self, token: Token) -> str:
        """The cookie of a new session."""
        return str(self._signer.dumps((token.id, secrets.token_hex(16))))

    def end(self, cookie: str) -> None:
        """Log out: the cookie is worth nothing from now on."""
        now = time.time()
        self._ended = {nonce: end for nonce, end in self._ended.items() if end > now}
        try:
            _, nonce = self._signer.loads(cookie, max_age=int(self._seconds))
        except (BadSignature, ValueError, TypeError):
            return
        self._ended[nonce] = now + self._seconds

    def login(self, text: str, address: str) -> Token | None:
        """The token that somebody logs in with; a wrong one counts against the address."""
        token = self._tokens.find(text.strip(), time.time())
        if token is None and not self.barred(address):
            self.failed(address)
        return token

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        recent = self._recent(address)
        recent.append(time.monotonic())
        self._failures.pop(address, None)  # the order is that of the last failure
        if len(self._failures) >= _MOST_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures[address] = recent[-FAILURES:]

    def barred(self, address: str) -> int:
        """Seconds until an address is heard again; 0: it is."""
        recent = self._recent(address)
        if len(recent) < FAILURES:
            return 0
        return max(1, int(FAILURE_WINDOW - (time.monotonic() - recent[0])) + 1)

    def _recent(self, address: str) -> list[float]:
        after = time.monotonic() - FAILURE_WINDOW
        return [at for at in self._failures.get(address, ()) if at > after]

    def _csrf(self, nonce: str) -> str:
        return hmac.new(self._key, f"csrf {nonce}".encode(), hashlib.sha256).hexdigest()


def sent_token(headers: Mapping[str, str]) -> str:
    """The token of an ``Authorization`` header, as Bearer or as the password of Basic; or empty."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[2]
    except ValueError:  # no base64, or no text
        return ""


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing."""
    return bool(one) and hmac.compare_digest(one.encode(), other.encode())


def _key(path: Path) -> bytes:
    """The key that signs cookies: made once, 0600, kept over a restart."""
    try:
        descriptor = open_own(path, os.O_RDWR)
        with os.fdopen(descriptor, "r+b") as file:
            key = file.read()
            if len(key) != _KEY_BYTES:
                key = secrets.token_bytes(_KEY_BYTES)
                file.seek(0)
                file.truncate()
                file.write(key)
            return key
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
