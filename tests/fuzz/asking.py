"""The HTTP side without a listener: bytes of a connection are handed in, what is answered is read.

Rule: everything between the socket and the journal is the real thing: uvicorn's protocol with our
bounds, the barrier, the token, the routes, the mappers, the messages to the gateway, its decision.
Only the two sockets are left out, for speed. In what is handed in, ``Bearer @`` stands for a token
that may screen, and ``Content-Length: @`` for the length of what follows the head.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import ServerState

from gateway.attempts.model import Attempt
from gateway.control.messages import MAX_LINE, AnyRequest, Screen
from gateway.control.screening import Screening
from gateway.errors import ControlError
from gateway.metrics import Metrics
from gateway.screener import Screener
from gateway.tokens import Scope as Right
from gateway.tokens import Tokens
from gateway.web.app import create_app
from gateway.web.connections import protocol
from gateway.web.context import Web
from gateway.web.options import Options
from tests.fuzz.sessions import POLICY, Lines

LONG = 20
"""Seconds after which a request hangs."""


@dataclass
class Exchange:
    """One request that reached the application, and what it answered; status 0: nothing."""

    path: str
    body: bytes = b""
    status: int = 0
    said: bytes = b""


@dataclass
class Heard:
    """A connection: the bytes that it was answered, its requests and their attempts."""

    wire: bytes = b""
    exchanges: list[Exchange] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    elsewhere: int = 0
    """Questions to the gateway that were no screening; nobody is there who could answer them."""


class _Control:
    """The gateway behind the control socket: every message is encoded and read again."""

    def __init__(self) -> None:
        self.lines, self.metrics, self.elsewhere = Lines(), Metrics(), 0
        policies: Any = SimpleNamespace(current=POLICY)
        screener = Screener(policies, self.lines, self.metrics)  # type: ignore[arg-type]
        self._screening = Screening(screener)

    async def request(self, request: AnyRequest, **_: object) -> Any:
        line = msgspec.json.encode(request)
        assert b"\n" not in line
        assert len(line) < MAX_LINE
        asked = msgspec.json.decode(line, type=AnyRequest)
        if not isinstance(asked, Screen):
            self.elsewhere += 1
            raise ControlError("nobody is there")
        screened = await self._screening.screen(asked)
        self._screening.delivered(screened, sent=True)
        return msgspec.json.decode(msgspec.json.encode(screened))

    async def close(self) -> None:
        pass


class _Noted:
    """The application, whose exchanges are noted. ``waiting`` is how many await more of a body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.heard: list[Exchange] = []
        self.waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope["path"])
        self.heard.append(exchange)

        async def read() -> Message:
            self.waiting += 1
            try:
                message = await receive()
            finally:
                self.waiting -= 1
            exchange.body += message.get("body", b"")
            return message

        async def told(message: Message) -> None:
            exchange.status = message.get("status", exchange.status)
            exchange.said += message.get("body", b"")
            await send(message)

        await self._app(scope, read, told)


class _Wire(asyncio.Transport):
    """A connection that takes whatever is written."""

    def __init__(self, peer: int) -> None:
        super().__init__({"peername": (f"10.{peer >> 16 & 255}.{peer >> 8 & 255}.{peer & 255}", 1)})
        self.said = b""
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            self.said += bytes(data)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def filled(data: bytes, token: bytes) -> bytes:
    """What is handed in as it is sent."""
    head, mark, body = data.partition(b"\r\n\r\n")
    head = head.replace(b"Bearer @", b"Bearer " + token, 1)
    return head.replace(b"Length: @", b"Length: %d" % len(body), 1) + mark + body


class Http:
    """One HTTP side. ``talk`` is one connection to it."""

    def __init__(self, folder: Path) -> None:
        state = folder / "state"
        state.mkdir(parents=True)
        self._token = Tokens(state).create("pbx", [Right.SCREEN]).encode()
        self._control = _Control()
        options = Options(
            descriptor=-1, parent=0, state=str(state), policy=str(folder / "none"), http={}, log={}
        )
        self._web = Web(options)
        self._web.control = self._control  # type: ignore[assignment]
        self._app = _Noted(create_app(self._web, version="0"))
        self._config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            http=protocol(),
            lifespan="off",
            limit_concurrency=100,
        )
        self._config.load()
        self._runner = asyncio.Runner()
        self._peers = 0

    def talk(self, data: bytes, size: int = 64 * 1024) -> Heard:
        """What comes of a connection that sends these bytes, so many at a time, and hangs up."""
        self._app.heard, self._control.lines.attempts = [], []
        self._control.elsewhere = 0
        self._peers += 1
        wire = self._runner.run(self._talk(filled(data, self._token), size))
        assert not self._control.metrics.value("callgate_decision_errors_total")
        attempts = self._control.lines.attempts
        return Heard(wire, self._app.heard, attempts, self._control.elsewhere)

    async def _talk(self, data: bytes, size: int) -> bytes:
        state, wire = ServerState(), _Wire(self._peers)
        loop = asyncio.get_running_loop()
        made: Any = self._config.http_protocol_class
        connection = made(config=self._config, server_state=state, app_state={}, _loop=loop)
        connection.connection_made(wire)
        for start in range(0, len(data), size):
            if not wire.is_closing():
                connection.data_received(data[start : start + size])
        async with asyncio.timeout(LONG):
            while any(not task.done() for task in state.tasks) and not self._starved(state):
                await asyncio.wait(state.tasks, timeout=0.001)
            said = wire.said
            connection.connection_lost(None)
            while state.tasks:
                await asyncio.wait(state.tasks)
        return said

    def _starved(self, state: ServerState) -> bool:
        """Whether all that is under way waits for more to come."""
        return self._app.waiting >= len(state.tasks)

    def close(self) -> None:
        self._runner.run(self._web.close())
        self._runner.close()


@cache
def http_side() -> Http:
    """The one that every input is tried on."""
    folder = Path(tempfile.mkdtemp(prefix="callgate-fuzz-"))
    made = Http(folder)

    @atexit.register
    def _gone() -> None:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)

    return made
