"""Asking the running gateway, for the web process: asynchronous, over connections that are kept.

Rule 1: at most ``CALLS + OTHERS`` connections, one request at a time on each. Calls that wait for
a verdict have their own, so that no import or reload holds them up, and no flood of calls holds up
a page; the rest of the gateway's MAX_PEERS is for the command line.
Rule 2: a connection is used again only if it is whole: an exchange that was broken off, by an
error, a timeout or a cancelled task, closes it, or the next one would read its answer.
Rule 3: a request that changes or records anything is sent once. Only a mere question is asked
again, once, where a kept connection turns out to be closed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.control.client import AS_WHOM, TIMEOUT, result_of
from gateway.control.messages import (
    MAX_LINE,
    AnyRequest,
    Changes,
    List,
    Metrics,
    Ping,
    Screen,
    Status,
    check_path,
)
from gateway.errors import ControlError

CALLS: Final = 4
"""Connections for calls that wait for a verdict."""
OTHERS: Final = 4
"""Connections for everything else."""
KEPT: Final = 30.0
"""Seconds that an idle connection is kept: well below the IDLE of the gateway's side."""

_QUESTIONS: Final = (Ping, Status, Metrics, List, Changes)


class _Gone(Exception):
    """The connection was closed before the first byte of an answer."""


class _Peer:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._since = asyncio.get_running_loop().time()

    @property
    def usable(self) -> bool:
        idle = asyncio.get_running_loop().time() - self._since
        return idle < KEPT and not self._reader.at_eof() and not self._writer.is_closing()

    async def ask(self, line: bytes) -> bytes:
        """Send one line, read one. Raises _Gone, OSError or ControlError."""
        try:
            self._writer.write(line)
            await self._writer.drain()
            answer = await self._reader.readline()
        except ConnectionError as error:
            raise _Gone from error
        except ValueError as error:
            raise ControlError("the gateway's answer is too long") from error
        if not answer:
            raise _Gone
        if not answer.endswith(b"\n"):
            raise ControlError("the gateway closed the connection in the middle of its answer")
        self._since = asyncio.get_running_loop().time()
        return answer

    def close(self) -> None:
        self._writer.transport.abort()


class _Lane:
    """The connections of one kind of request."""

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._idle: list[_Peer] = []
        self._free = asyncio.Semaphore(most)
        self._closed = False

    async def ask(self, line: bytes, *, question: bool) -> bytes:
        """One exchange, on a connection that is free."""
        async with self._free:
            kept = self._kept()
            if kept is not None:
                try:
                    return await self._exchange(kept, line)
                except _Gone:
                    if not question:
                        raise
            return await self._exchange(await self._connected(), line)

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> _Peer | None:
        while self._idle:
            peer = self._idle.pop()
            if peer.usable:
                return peer
            peer.close()
        return None

    async def _connected(self) -> _Peer:
        address = check_path(self._path)
        return _Peer(*await asyncio.open_unix_connection(address, limit=MAX_LINE))

    async def _exchange(self, peer: _Peer, line: bytes) -> bytes:
        try:
            answer = await peer.ask(line)
        except BaseException:
            peer.close()
            raise
        if self._closed:
            peer.close()
        else:
            self._idle.append(peer)
        return answer


class Asking:
    """Requests to the gateway behind one socket. ControlError when it refuses or is not there,
    NeedsConfirmation when it would go on if the entries were confirmed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._calls = _Lane(path, CALLS)
        self._others = _Lane(path, OTHERS)

    async def request(  # its timeout bounds the wait for a connection too
        self,
        request: AnyRequest,
        *,
        timeout: float = TIMEOUT,  # noqa: ASYNC109
    ) -> Any:
        """Send one request, give its result. ``timeout`` is in seconds, the wait for a free
        connection included.
        """
        lane = self._calls if isinstance(request, Screen) else self._others
        line = msgspec.json.encode(request) + b"\n"
        try:
            async with asyncio.timeout(timeout):
                data = await lane.ask(line, question=isinstance(request, _QUESTIONS))
        except TimeoutError:
            raise ControlError(f"{self._path}: timed out") from None
        except _Gone:
            raise ControlError("the gateway closed the connection without an answer") from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise ControlError(f"no gateway is running on {self._path}") from None
        except PermissionError:
            raise ControlError(f"{self._path}: Permission denied; {AS_WHOM}") from None
        except OSError as error:
            raise ControlError(f"{self._path}: {error.strerror or error}") from error
        return result_of(data)

    async def close(self) -> None:
        """Close the connections that are idle; a request under way closes its own at its end."""
        self._calls.close()
        self._others.close()
