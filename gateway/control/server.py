"""Answers the command line on a unix socket of mode 0600.

Rule 1: only the gateway's own user and root are heard; the kernel says who the peer is.
Rule 2: everything is bounded: a line in bytes, a wait in seconds, the peers in number.
Rule 3: a socket file that nobody answers on is left over from a crash and is replaced; one that
somebody answers on is another gateway's and is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gateway.control import messages
from gateway.control.messages import MAX_ENTRIES, MAX_LINE, MAX_PAGE, Answer, check_path
from gateway.control.screening import Screener, Screening
from gateway.entries import (
    Asked,
    EntryStore,
    NeedsConfirmation,
    NewChange,
    Op,
    Understood,
    told,
    understand_all,
)
from gateway.errors import ControlError, GatewayError
from gateway.metrics import Metrics
from gateway.reload import PolicyStore, ReloadResult

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_PEERS = 32
IDLE = 60.0
"""Seconds that a peer may take for its next request, and to read an answer."""
_LAST = 1.0
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid

_decoder = msgspec.json.Decoder(messages.AnyRequest)


class ControlServer:
    """The control socket of one gateway. ``status`` gives what the status request answers,
    ``remarks`` what is to be said beside the result of a reload; it may read files. Calls are
    screened for others only with a ``screener``; ``rotate`` closes the journal's segments.
    ``render`` gives the metrics, where they are not those of this process alone; ``refresh`` brings
    everything up to date that the gateway's other processes know, and waits for what they do.
    """

    def __init__(
        self,
        path: Path,
        policies: PolicyStore,
        entries: EntryStore,
        metrics: Metrics,
        status: Callable[[], Mapping[str, Any]],
        *,
        uids: frozenset[int] | None = None,
        remarks: Callable[[], tuple[str, ...]] = tuple,
        screener: Screener | None = None,
        rotate: Callable[[], None] | None = None,
        render: Callable[[], str] | None = None,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._path = path
        self._policies = policies
        self._entries = entries
        self._metrics = metrics
        self._status = status
        self._remarks = remarks
        self._render = render or metrics.render
        self._refresh = refresh
        self._screening = Screening(screener) if screener else None
        self._rotate = rotate
        self._uids = frozenset({0, os.geteuid()}) if uids is None else uids
        self._server: asyncio.Server | None = None
        self._peers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. ControlError when the path is too long or another gateway listens there."""
        listening = _listen(self._path)
        self._server = await asyncio.start_unix_server(self._accept, sock=listening, limit=MAX_LINE)

    async def close(self) -> None:
        """Stop listening, end every peer, remove the file."""
        if self._server is None:
            return
        self._server.close()
        for peer in list(self._peers):
            peer.cancel()
        if self._peers:
            await asyncio.wait(self._peers)
        self._path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._peers.add(task)
        try:
            if len(self._peers) <= MAX_PEERS and self._may(writer):
                await self._serve(reader, writer)
            await _closed(writer)
        except (OSError, TimeoutError) as error:
            log.debug("a peer of the control socket is gone: %r", error)
        except asyncio.CancelledError:
            log.debug("a peer of the control socket is cut off: the gateway stops")
        finally:
            writer.transport.abort()
            self._peers.discard(task)

    def _may(self, writer: asyncio.StreamWriter) -> bool:
        peer = writer.get_extra_info("socket")
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        uid = _CREDENTIALS.unpack(raw)[1]
        if uid not in self._uids:
            self._metrics.inc("callgate_control_refused_peers_total")
            log.warning("user id %d may not use the control socket", uid)
        return uid in self._uids

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE):
                    line = await reader.readline()
            except ValueError:
                line = b""
                answer = Answer(False, error=f"a request has at most {MAX_LINE} bytes")
            else:
                if not line.endswith(b"\n"):
                    return
                answer = await self._answer(line)
            try:
                writer.write(msgspec.json.encode(answer) + b"\n")
                async with asyncio.timeout(IDLE):
                    await writer.drain()
            except BaseException:
                self._settle(answer, sent=False)
                raise
            self._settle(answer, sent=True)
            if not line:
                return
            await asyncio.sleep(0)  # a thousand lines at once wait for nothing: calls come between

    async def _answer(self, line: bytes) -> Answer:
        op = "unreadable"
        try:
            request = _decoder.decode(line)
            op = str(type(request).__struct_config__.tag)
            answer = Answer(True, await self._handle(request))
        except NeedsConfirmation as error:
            answer = Answer(False, error=str(error), covers=error.covers)
        except (GatewayError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            answer = Answer(False, error=str(error))
        except Exception:
            log.exception("cannot answer a control request")
            answer = Answer(False, error="the gateway failed to answer; its log says why")
        result = "ok" if answer.ok else "refused"
        self._metrics.inc("callgate_control_requests_total", op=op, result=result)
        return answer

    async def _handle(self, request: messages.AnyRequest) -> object:
        match request:
            case messages.Ping():
                return {"version": program_version(), "pid": os.getpid()}
            case messages.Status():
                return await self._fresh(self._status)
            case messages.Metrics():
                return await self._fresh(self._render)
            case messages.Reload(force):
                return await self._reload(force)
            case messages.Rotate():
                if self._rotate is None:
                    raise ControlError("this gateway writes no journal")
                self._rotate()
                return await self._fresh(lambda: True)
            case messages.Add(entries=entries, forced=forced):
                return await self._change(request, Op.ADD, entries, forced=forced)
            case messages.Edit(entries=entries):
                return await self._change(request, Op.EDIT, entries)
            case messages.Remove(entries=entries, ids=ids):
                return await self._change(request, Op.REMOVE, entries, ids)
            case messages.Undo(rev=rev):
                change = NewChange(op=Op.UNDO, who=request.who, source=request.source, rev=rev)
                return (await self._policies.apply_changes([change]))[0]
            case messages.List(list=name, after=after, limit=limit):
                return await asyncio.to_thread(
                    self._entries.managed, list_name=name, after=after, limit=_page(limit)
                )
            case messages.Changes(since=since, limit=limit):
                return await asyncio.to_thread(self._entries.changes_since, since, _page(limit))
            case messages.Screen():
                return await self._screen(request)

    async def _fresh(self, told: Callable[[], T]) -> T:
        if self._refresh is not None:
            await self._refresh()
        return told()

    async def _screen(self, asked: messages.Screen) -> messages.Screened:
        if self._screening is None:
            raise ControlError("this gateway screens no calls for others")
        return await self._screening.screen(asked)

    def _settle(self, answer: Answer, *, sent: bool) -> None:
        """Tell what became of the answer, where somebody keeps a record of it."""
        if self._screening is not None and isinstance(answer.result, messages.Screened):
            self._screening.delivered(answer.result, sent=sent)

    async def _reload(self, force: bool) -> ReloadResult:
        result = await self._policies.reload(force)
        remarks = await asyncio.to_thread(self._remarks)
        return msgspec.structs.replace(result, warnings=(*result.warnings, *remarks))

    async def _change(
        self,
        request: messages.Changing,
        op: Op,
        entries: Sequence[Asked],
        ids: Sequence[int] = (),
        *,
        forced: bool = False,
    ) -> list[dict[str, Any]]:
        """Every entry is read before any is written, so that a bad one stops them all; beside the
        loop, since a thousand take long and a prefix may cover a million others.
        """
        if len(entries) + len(ids) > MAX_ENTRIES:
            raise ControlError(f"at most {MAX_ENTRIES} entries in one request")
        who, source, policy = request.who, request.source, self._policies.current
        read = await asyncio.to_thread(
            understand_all, entries, op, policy, who=who, source=source, forced=forced
        )
        by_id = [NewChange(op=op, who=who, source=source, id=id) for id in ids]
        applied = await self._policies.apply_changes([*(item.change for item in read), *by_id])
        read += [Understood(change) for change in by_id]
        return [told(item, answer) for item, answer in zip(read, applied, strict=True)]


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Close after what was written has left. TimeoutError when the peer does not read it."""
    writer.close()
    async with asyncio.timeout(_LAST):
        await writer.wait_closed()


@cache
def program_version() -> str:
    """The installed version, as it was when it was asked for first: that is what runs."""
    try:
        return version("callgate")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


def _page(limit: int) -> int:
    return max(1, min(limit, MAX_PAGE))


def _listen(path: Path) -> socket.socket:
    address = check_path(path)
    with contextlib.suppress(FileNotFoundError):
        _remove_stale(address)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), 0o600)  # what bind gives the file, less the umask
        listening.bind(address)
        path.chmod(0o600)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise ControlError(f"{path}: {error.strerror}") from error
    return listening


def _remove_stale(address: str) -> None:
    if not stat.S_ISSOCK(os.stat(address).st_mode):
        raise ControlError(f"{address}: there is a file that is no socket; remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            os.unlink(address)
        except OSError as error:
            raise ControlError(f"{address}: {error.strerror or error}") from error
        else:
            raise ControlError(f"{address}: another gateway listens there; stop it first")
