"""The HTTP side as a child process that inherits its listening socket.

Rule: the gateway opens the socket, so that a port that is taken is known at the start, and a child
that had to be started again answers where its predecessor did, with no connection refused between.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

import msgspec

from gateway.app.child import Child
from gateway.app.notify import is_journal
from gateway.metrics import Metrics
from gateway.settings import Address, Settings
from gateway.tokens import Scope, Tokens
from gateway.web.options import Options

STOP_TIME = 5.0
"""Seconds that requests under way may take when the gateway stops."""
FIRST_TOKEN = "first"
STDOUT = 1
_BACKLOG = 128


class WebSide:
    """The listening socket and the process behind it.

    Where there was no token ``first_token`` is one, which is printed; or ``lacks_token`` is set,
    when the journal would keep what is printed.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._socket: socket.socket | None = None
        self._child: Child | None = None
        self.first_token = ""
        self.lacks_token = False

    def listen(self, address: Address) -> None:
        """Open the socket, and make the first token. OSError, StoreError."""
        family, kind, protocol, _, where = _resolved(address)
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
        self._socket = listening
        self._child = Child(
            "HTTP side",
            self._metrics,
            self._command,
            up="callgate_http_up",
            restarts="callgate_http_restarts_total",
            files=[listening.fileno()],
            stop_time=STOP_TIME,
        )
        tokens = Tokens(self._settings.state_dir)
        if not tokens.all():
            self.lacks_token = is_journal(STDOUT)
            if not self.lacks_token:
                self.first_token = tokens.create(FIRST_TOKEN, [Scope.ADMIN])

    @property
    def address(self) -> Address | None:
        """Where it really listens."""
        if self._socket is None:
            return None
        host, port, *_ = self._socket.getsockname()
        return Address(host, port)

    async def run(self) -> None:
        """Until it is cancelled; then the child ends."""
        if self._child is not None:
            await self._child.run()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _command(self) -> Sequence[str]:
        assert self._socket is not None
        settings = self._settings
        options = Options(
            descriptor=self._socket.fileno(),
            parent=os.getpid(),
            state=str(settings.state_dir),
            policy=str(settings.policy_path),
            http={**settings.http.model_dump(), "listen": str(self.address)},
            log=settings.log.model_dump(mode="json"),
        )
        return ["gateway.web", msgspec.json.encode(options).decode()]


def _resolved(address: Address) -> tuple[int, int, int, str, tuple[object, ...]]:
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return found[0]
