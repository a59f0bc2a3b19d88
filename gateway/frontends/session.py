"""What every screening frontend has in common: one connection, one call, one verdict.

Rule 1: a peer that never named a call gets no answer and leaves no attempt; it is counted.
Everybody who has named one is answered, hostile or not.
Rule 2: an answer leaves after its attempt stands in the journal, and on the disk if that is asked.
The attempts of one turn are written together, so all its answers leave at the end of it.
Rule 3: the delivery of an attempt is told once.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any, ClassVar, Final, Protocol, Required, TypedDict, TypeVar

from gateway.attempts.model import Delivery
from gateway.calls import Call
from gateway.frontends.connection import Connection, Counters, Owner
from gateway.frontends.tcp import Listener
from gateway.logs import Seldom
from gateway.networks import permitted
from gateway.pbx.request import Refused, ScreenRequest
from gateway.policy.model import Reason, Verdict

log = logging.getLogger(__name__)
_T = TypeVar("_T")

MOST_LOGGED: Final = 200
"""Characters of what a peer says that a line of the log holds."""


class Screened(Protocol):
    """A verdict and the id of its attempt."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def attempt_id(self) -> str: ...


class Screener(Protocol):
    """What decides and records; ``gateway.screener.Screener`` is one. Nothing of it raises."""

    def screen(self, call: Call, frontend: str, *, started: float | None = None) -> Screened: ...
    def refuse(self, call: Call, frontend: str, reason: Reason, why: str) -> Screened: ...
    def hostile(self, call: Call, frontend: str, why: str) -> Screened: ...
    def delivered(self, attempt_id: str, delivery: Delivery) -> None: ...
    def hold(self) -> None: ...
    def flush(self) -> None: ...
    def durable(self) -> Awaitable[None] | None: ...


class Bounds(TypedDict, total=False):
    """What every frontend is made with: where it counts, its secret, its peers, its limits."""

    counters: Required[Counters]
    secret: str
    allow: Sequence[str]
    max_connections: int
    deadline: float


class Frontend:
    """A listener whose every connection asks for one verdict.

    ``secret`` must come with every call when it is set. ``allow`` are the networks whose peers may
    connect; everybody may when it is empty. ``deadline`` is in seconds, from the
    accept to the close.
    """

    name: ClassVar[str]
    """Under which it is counted and recorded; the section of the settings is called so too."""
    serve: ClassVar[type[Session]]
    """What serves one connection."""
    farewell: ClassVar[bytes] = b""
    """What a peer is told for whom there is no room."""

    def __init__(
        self,
        screener: Screener,
        *,
        counters: Counters,
        secret: str = "",
        allow: Sequence[str] = (),
        max_connections: int = 1000,
        deadline: float = 1.0,
    ) -> None:
        self.screener = screener
        self.seldom = Seldom(log)
        self.decided: list[tuple[Session, Screened]] = []
        """Who is to be answered at the end of this turn."""
        self._secret = secret.encode()
        self._tasks: set[asyncio.Future[Any]] = set()
        self.listener = Listener(
            self.name,
            partial(self.serve, self),
            counters=counters,
            max_connections=max_connections,
            deadline=deadline,
            farewell=self.farewell,
            allow=permitted(allow),
            hold=screener.hold,
            settle=self._settle,
        )

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that were bound."""
        return self.listener.address

    async def start(
        self, host: str | None = None, port: int = 0, *, sockets: Sequence[socket.socket] = ()
    ) -> None:
        """Listen on an address, or on sockets that are bound already. Raises OSError."""
        await self.listener.start(host, port, sockets=sockets)

    async def drain(self, bound: float) -> int:
        """Stop accepting, wait ``bound`` seconds for live calls, end the rest; how many."""
        return await self.listener.drain(bound)

    def decide(self, request: ScreenRequest | Refused, started: float) -> Screened:
        """The verdict on a request; only one with the secret reaches the decision."""
        if isinstance(request, Refused):
            return self.screener.hostile(request.call, self.name, request.why)
        if self._secret and not self.knows(request.key):
            why = "the secret is wrong" if request.key else "the secret is missing"
            return self.screener.refuse(request.call, self.name, Reason.UNAUTHORISED, why)
        return self.screener.screen(request.call, self.name, started=started)

    def knows(self, key: str) -> bool:
        """Whether this is the secret, and there is one."""
        return bool(self._secret) and hmac.compare_digest(key.encode(), self._secret)

    def keep(self, task: asyncio.Future[_T]) -> asyncio.Future[_T]:
        """Hold on to a task: the loop itself does not."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _settle(self) -> None:
        """The end of a turn: write what was decided to the journal, then the answers."""
        self.screener.flush()
        if not self.decided:
            return
        decided, self.decided = self.decided, []
        waiting = self.screener.durable()
        if waiting is None:
            _tell(decided)
        else:
            task = self.keep(asyncio.ensure_future(waiting))
            task.add_done_callback(partial(_synced, decided))


class Session(Connection):
    """One connection of a PBX: one request, one answer."""

    _pending: object = None  # what the answer waits for; replaced if turned hostile
    _attempt = ""
    _report = False
    _written = False
    _counted = False

    def __init__(self, frontend: Frontend, owner: Owner, fd: int, peer: object, due: float) -> None:
        super().__init__(owner, fd, peer, due)
        self._frontend = frontend

    def answer(self, screened: Screened) -> bytes:
        """What tells this PBX a verdict, for one write."""
        raise NotImplementedError

    def screen(self, request: ScreenRequest | Refused, started: float) -> None:
        """Decide; the answer leaves as soon as the attempt is as durable as it must be."""
        frontend = self._frontend
        if isinstance(request, Refused):
            frontend.seldom.warning(
                "hostile %s request from %s: %s", frontend.name, self.peer, request.why
            )
        self._pending = screened = frontend.decide(request, started)
        self._attempt = screened.attempt_id
        frontend.decided.append((self, screened))

    def tell(self, screened: Screened) -> None:
        """Send the answer, unless the peer has gone, or has turned hostile."""
        if self._pending is screened:
            self._pending = None
            self.write(self.answer(screened))

    def write(self, answer: bytes) -> None:
        """Send an answer, unless the connection is closing."""
        self._pending = None
        if self.live:
            self._written = True
            self.send(answer)
        else:
            self.settle(Delivery.LOST)

    def settle(self, delivery: Delivery) -> None:
        """Tell what became of the answer, if nobody has yet."""
        if self._attempt:
            attempt_id, self._attempt = self._attempt, ""
            said = Delivery.REPORTED if self._report else delivery
            self._frontend.screener.delivered(attempt_id, said)

    def give_up(self, cause: str) -> None:
        """End the connection from our side."""
        self.unanswered(cause)
        self.settle(Delivery.SENT if self._written else Delivery.LOST)
        self._pending = None
        self.abort()

    def unanswered(self, cause: str) -> None:
        """Count a peer that gets no answer, once."""
        if not self._written and not self._counted:
            self._counted = True
            self._frontend.listener.unanswered(cause)


def _tell(decided: list[tuple[Session, Screened]]) -> None:
    for session, screened in decided:
        try:
            session.tell(screened)
        except Exception:
            log.exception("an answer of %s failed", session)
            session.abort()


def _synced(decided: list[tuple[Session, Screened]], done: asyncio.Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.error("an answer leaves before its attempt is on the disk: %s", error)
    _tell(decided)
