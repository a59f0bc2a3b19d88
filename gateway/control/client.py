"""Asking the running gateway, for commands: blocking, one connection for each request."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.control.messages import (
    MAX_ENTRIES,
    MAX_LINE,
    Add,
    Answer,
    AnyRequest,
    Changes,
    Edit,
    List,
    Metrics,
    Ping,
    Reload,
    Remove,
    Rotate,
    Status,
    Undo,
    check_path,
)
from gateway.entries import Asked, NeedsConfirmation
from gateway.errors import ControlError, ControlRefused, ControlSilent

AS_WHOM = "run this as the user of the gateway, or as root"
"""What to do where the state folder or its socket is closed."""
QUESTION_TIMEOUT = 5.0
"""Seconds for what a person asks and waits for; a gateway that is well answers in a second."""
TIMEOUT = 30.0
RELOAD_TIMEOUT = 660.0
"""A reload may wait for another one and compile millions of entries."""
_CHUNK = 65536
_WHY = "it may be stopped or overloaded"
_TELLS: dict[type, str] = {
    Add: "callgate list",
    Edit: "callgate list",
    Remove: "callgate list",
    Undo: "callgate undo",
    Reload: "callgate status",
}
"""What is asked for once is done by a gateway that reads it late; where that is seen."""


class ControlClient:
    """Requests to the gateway behind one socket. ControlError when it refuses or is not there,
    NeedsConfirmation when it would go on if the entries were confirmed.
    """

    def __init__(self, path: Path, *, who: str = "", source: str = "cli") -> None:
        self._path = path
        self._who: dict[str, Any] = {"who": who, "source": source}

    def ping(self, *, timeout: float = TIMEOUT) -> dict[str, Any]:
        """``version`` and ``pid`` of the gateway."""
        return dict(self.request(Ping(), timeout=timeout))

    def status(self, *, timeout: float = TIMEOUT) -> dict[str, Any]:
        return dict(self.request(Status(), timeout=timeout))

    def metrics(self, *, timeout: float = TIMEOUT) -> str:
        """The metrics in Prometheus' text format."""
        return str(self.request(Metrics(), timeout=timeout))

    def reload(self, *, force: bool = False) -> dict[str, Any]:
        """What ``ReloadResult`` holds; a policy that was not loaded is an answer, not an error."""
        return dict(self.request(Reload(force), timeout=RELOAD_TIMEOUT))

    def rotate(self) -> None:
        """Have the segments of the journal closed that are written now."""
        self.request(Rotate())

    def add(self, entries: Sequence[Asked]) -> list[dict[str, Any]]:
        """For each entry ``number rev status entry warning``; all at once up to MAX_ENTRIES."""
        return [
            answer
            for part in _parts(entries)
            for answer in self.request(Add(entries=part, **self._who))
        ]

    def edit(self, entries: Sequence[Asked]) -> list[dict[str, Any]]:
        return list(self.request(Edit(entries=list(entries), **self._who)))

    def remove(
        self, entries: Sequence[Asked] = (), *, ids: Sequence[int] = ()
    ) -> list[dict[str, Any]]:
        request = Remove(entries=list(entries), ids=list(ids), **self._who)
        return list(self.request(request))

    def undo(self, rev: int) -> dict[str, Any]:
        return dict(self.request(Undo(rev=rev, **self._who)))

    def list(self, list_name: str = "") -> Iterator[dict[str, Any]]:
        """Every managed entry, page by page."""
        after = 0
        while page := self.request(List(list_name, after)):
            yield from page
            after = page[-1]["id"]

    def changes(self, since: int = 0) -> Iterator[dict[str, Any]]:
        """The change log after a revision, page by page."""
        while page := self.request(Changes(since)):
            yield from page
            since = page[-1]["rev"]

    def request(self, request: AnyRequest, *, timeout: float = TIMEOUT) -> Any:
        """Send one request, wait for its answer, give its result. ControlSilent when none comes
        for ``timeout`` seconds.
        """
        line = msgspec.json.encode(request) + b"\n"
        sent = False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                peer.settimeout(timeout)
                peer.connect(check_path(self._path))
                peer.sendall(line)
                sent = True
                data = _line(peer)
        except TimeoutError:
            raise ControlSilent(_silence(request, timeout, sent)) from None
        except BlockingIOError:  # as many wait at the socket as the kernel lets wait
            raise ControlSilent(f"the gateway takes no more connections; {_WHY}") from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise ControlError(f"no gateway is running on {self._path}") from None
        except PermissionError:
            raise ControlError(f"{self._path}: Permission denied; {AS_WHOM}") from None
        except OSError as error:
            raise ControlError(f"{self._path}: {error.strerror or error}") from error
        return result_of(data)


def _silence(request: AnyRequest, timeout: float, sent: bool) -> str:
    text = f"the gateway did not answer within {timeout:g} s; {_WHY}"
    look = _TELLS.get(type(request)) if sent else None
    return f"{text}; it may still be done: see {look}" if look else text


def _line(peer: socket.socket) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        part = peer.recv(_CHUNK)
        if not part:
            raise ControlError("the gateway closed the connection without an answer")
        data += part
        if len(data) > MAX_LINE:
            raise ControlError("the gateway's answer is too long")
    return bytes(data)


def result_of(data: bytes) -> Any:
    """What an answer holds. ControlError when it is a refusal, or cannot be read."""
    try:
        answer = msgspec.json.decode(data, type=Answer)
    except msgspec.MsgspecError as error:
        raise ControlError(f"the gateway's answer cannot be read: {error}") from error
    if answer.covers:
        raise NeedsConfirmation(answer.covers)
    if not answer.ok:
        raise ControlRefused(answer.error)
    return answer.result


def _parts(entries: Sequence[Asked]) -> Iterator[list[Asked]]:
    for start in range(0, len(entries), MAX_ENTRIES):
        yield list(entries[start : start + MAX_ENTRIES])
