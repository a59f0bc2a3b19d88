"""What every screening frontend has in common: one connection, one call, one verdict.

Rule 1: a peer that never named a call gets no answer and leaves no attempt; it is counted.
Everybody who has named one is answered, hostile or not.
Rule 2: an answer leaves after its attempt stands in the journal, and on the disk if that is asked.
Rule 3: the delivery of an attempt is told once.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar, Protocol, Required, TypedDict, TypeVar

from gateway.attempts.model import Delivery
from gateway.calls import Call
from gateway.frontends.tcp import Connection, Counters, Listener
from gateway.logs import Seldom
from gateway.pbx.request import Refused, ScreenRequest
from gateway.policy.model import Reason, Verdict

log = logging.getLogger(__name__)
_T = TypeVar("_T")


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
    """What every frontend is made with: where it counts, its secret, and its limits."""

    counters: Required[Counters]
    secret: str
    max_connections: int
    deadline: float


class Frontend:
    """A listener whose every connection asks for one verdict.

    ``secret`` must come with every call when it is set. ``deadline`` is in seconds, from the
    accept to the close.
    """

    name: ClassVar[str]
    """Under which it is counted and recorded; the section of the settings is called so too."""

    def __init__(
        self,
        screener: Screener,
        *,
        counters: Counters,
        secret: str = "",
        max_connections: int = 1000,
        deadline: float = 1.0,
    ) -> None:
        self.screener = screener
        self.seldom = Seldom(log)
        self._secret = secret.encode()
        self._tasks: set[asyncio.Future[Any]] = set()
        self.listener = Listener(
            self.name,
            self.session,
            counters=counters,
            max_connections=max_connections,
            deadline=deadline,
        )

    def session(self, listener: Listener) -> Connection:
        """What serves one connection."""
        raise NotImplementedError

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that were bound."""
        return self.listener.address

    async def start(
        self, host: str | None = None, port: int = 0, *, sock: socket.socket | None = None
    ) -> None:
        """Listen on an address, or on a socket that is bound already. Raises OSError."""
        await self.listener.start(host, port, sock=sock)

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


class Session(Connection):
    """One connection of a PBX: one request, one answer."""

    def __init__(self, listener: Listener, frontend: Frontend) -> None:
        super().__init__(listener)
        self._frontend = frontend
        self._pending: object = None  # what the answer waits for; replaced if turned hostile
        self._attempt = ""
        self._written = False
        self._counted = False

    def answer(self, screened: Screened) -> Mapping[str, str]:
        """The variables that tell this PBX a verdict."""
        raise NotImplementedError

    def command(self, values: Mapping[str, str]) -> bytes:
        """What is written to set these variables, in one write."""
        raise NotImplementedError

    def screen(self, request: ScreenRequest | Refused, started: float) -> None:
        """Decide, and answer as soon as the attempt is as durable as it must be."""
        frontend = self._frontend
        if isinstance(request, Refused):
            peer = self.transport.get_extra_info("peername")
            frontend.seldom.warning(
                "hostile %s request from %s: %s", frontend.name, peer, request.why
            )
        screened = frontend.decide(request, started)
        self._attempt = screened.attempt_id
        answer = self.answer(screened)
        self._pending = answer
        waiting = frontend.screener.durable()
        if waiting is None:
            self.write(answer)
        else:
            task = frontend.keep(asyncio.ensure_future(waiting))
            task.add_done_callback(lambda done: self._synced(done, answer))

    def write(self, values: Mapping[str, str]) -> None:
        """Send an answer, unless the connection is closing."""
        self._pending = None
        if not self.transport.is_closing():
            self.transport.write(self.command(values))
            self._written = True

    def settle(self, delivery: Delivery) -> None:
        """Tell what became of the answer, if nobody has yet."""
        if self._attempt:
            attempt_id, self._attempt = self._attempt, ""
            self._frontend.screener.delivered(attempt_id, delivery)

    def give_up(self, cause: str) -> None:
        """End the connection from our side."""
        self.unanswered(cause)
        self.settle(Delivery.SENT if self._written else Delivery.LOST)
        self._pending = None
        self.transport.abort()

    def unanswered(self, cause: str) -> None:
        """Count a peer that gets no answer, once."""
        if not self._written and not self._counted:
            self._counted = True
            self._listener.unanswered(cause)

    def _synced(self, done: asyncio.Future[None], answer: Mapping[str, str]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("an answer leaves before its attempt is on the disk: %s", error)
        if self._pending is answer:
            self.write(answer)
