"""Connections: whoever is silent makes room, no head grows without end, no answer is cut off."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import SimpleNamespace

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from gateway.web import connections as module
from gateway.web.connections import H11, HEAD, SILENCE, HttpTools, cut_off, overdue, protocol

LONG = 30.0
MOST = 5
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Server:
    """An application that reads its body and answers ``done``; for ``/wait`` when it is let."""

    def __init__(self, made: type[asyncio.Protocol]) -> None:
        self.state = ServerState()
        self.waiting = asyncio.Event()
        self.let = asyncio.Event()
        self._made = made
        self._writers: list[asyncio.StreamWriter] = []

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        if scope["path"] == "/wait":
            self.waiting.set()
            await self.let.wait()
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})

    async def start(self) -> None:
        config = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            limit_concurrency=MOST + 1,
            interface="asgi3",
        )
        config.load()

        def make() -> asyncio.Protocol:
            return self._made(config=config, server_state=self.state, app_state={})  # type: ignore[call-arg]

        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(make, sock=listening)

    async def peer(self) -> Peer:
        """A connection that the server knows of."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        mine = writer.get_extra_info("sockname")
        await until(lambda: mine in [getattr(one, "client", 0) for one in self.state.connections])
        return reader, writer

    async def close(self) -> None:
        self.let.set()
        self._server.close()
        for writer in self._writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        await until(lambda: not self.state.connections and not self.state.tasks)


@pytest.fixture(params=[HttpTools, H11])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    server = Server(request.param)
    await server.start()
    yield server
    await server.close()


async def answered(reader: asyncio.StreamReader) -> bytes:
    """The first line of an answer that ends with ``done``, or was cut off before."""
    async with asyncio.timeout(LONG):
        with suppress(ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(4 if b"content-length: 4" in head else 0)
            return head.partition(b"\r\n")[0]
    return b""


async def is_cut_off(reader: asyncio.StreamReader) -> bool:
    """Whether it is closed without a word; waits until it is."""
    async with asyncio.timeout(LONG):
        try:
            return not await reader.read()
        except ConnectionError:
            return True


async def ask(peer: Peer, text: bytes = ASK) -> bytes:
    reader, writer = peer
    writer.write(text)
    return await answered(reader)


def test_the_faster_protocol_is_used_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert protocol() is HttpTools
    monkeypatch.setattr(module, "HttpToolsProtocol", None)
    assert protocol() is H11


async def test_whoever_is_silent_longest_makes_room(server: Server) -> None:
    silent = [await server.peer() for _ in range(MOST)]
    assert await ask(silent[0]) == b"HTTP/1.1 200 OK"
    good = await server.peer()
    assert await is_cut_off(silent[1][0])
    assert await ask(good) == b"HTTP/1.1 200 OK"
    assert await ask(silent[0]) == b"HTTP/1.1 200 OK"
    assert await ask(silent[2]) == b"HTTP/1.1 200 OK"


async def test_many_more_silent_ones_than_there_is_room_for_keep_nobody_out(
    server: Server,
) -> None:
    for number in range(4 * MOST):
        _, writer = await server.peer()
        if number % 2:
            writer.write(ASK[:-2])
    assert len(server.state.connections) == MOST
    assert await ask(await server.peer()) == b"HTTP/1.1 200 OK"


async def test_no_request_under_way_is_cut_off_for_room(server: Server) -> None:
    busy = [await server.peer() for _ in range(MOST)]
    asking = [asyncio.create_task(ask(peer, ASK.replace(b"/", b"/wait", 1))) for peer in busy]
    await until(lambda: len(server.state.tasks) == MOST)
    late = await server.peer()
    assert (await ask(late)).startswith(b"HTTP/1.1 503")
    server.let.set()
    assert await asyncio.gather(*asking) == [b"HTTP/1.1 200 OK"] * MOST


async def test_only_who_asks_nothing_is_overdue(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    half, asking, waiting = [await server.peer() for _ in range(3)]
    half[1].write(ASK[:-2])
    task = asyncio.create_task(ask(waiting, ASK.replace(b"/", b"/wait", 1)))
    await server.waiting.wait()
    now += SILENCE
    assert overdue(server.state.connections, now) == []
    assert await ask(asking) == b"HTTP/1.1 200 OK"
    now += 1
    late = overdue(server.state.connections, now)
    assert len(late) == 1
    cut_off(late[0])
    assert await is_cut_off(half[0])
    server.let.set()
    assert await task == b"HTTP/1.1 200 OK"
    assert await ask(asking) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "begin", [b"GET /?", b"GET / HTTP/1.1\r\nx: ", b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10]
)
async def test_a_head_has_a_bound(server: Server, begin: bytes) -> None:
    reader, writer = await server.peer()
    writer.write(begin)
    async with asyncio.timeout(LONG):
        with suppress(ConnectionError):
            for _ in range(200):
                writer.write(b"a" * HEAD)
                await writer.drain()
    assert writer.transport.is_closing() or await is_refused(reader)
    assert await ask(await server.peer()) == b"HTTP/1.1 200 OK"


async def is_refused(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(LONG):
        try:
            answer = await reader.read()
        except ConnectionError:
            return True
    return not answer or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


async def test_a_head_is_refused_in_words_to_whoever_stops_to_listen(server: Server) -> None:
    reader, writer = await server.peer()
    writer.write(b"GET / HTTP/1.1\r\nx: " + b"a" * (HEAD + 1000))
    async with asyncio.timeout(LONG):
        answer = await reader.read()
    assert answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


async def test_trailers_have_a_bound_too(server: Server) -> None:
    reader, writer = await server.peer()
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    async with asyncio.timeout(LONG):
        with suppress(ConnectionError):
            for _ in range(100):  # one reading may have the head and much of what follows it
                writer.write((b"x: " + b"a" * 1000 + b"\r\n") * 64)
                await writer.drain()
    assert await is_refused(reader)


async def test_a_body_may_be_longer_than_a_head(server: Server) -> None:
    peer = await server.peer()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (5 * HEAD)
    assert await ask(peer, head + b"a" * (5 * HEAD)) == b"HTTP/1.1 200 OK"
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"1\r\na\r\n" * HEAD
    assert await ask(peer, chunked + body + b"0\r\n\r\n") == b"HTTP/1.1 200 OK"
    assert await ask(peer) == b"HTTP/1.1 200 OK"


async def test_many_small_requests_are_no_long_head(server: Server) -> None:
    peer = await server.peer()
    for _ in range(3 * HEAD // 4000):
        text = b"GET / HTTP/1.1\r\nHost: x\r\nx: " + b"a" * 4000 + b"\r\n\r\n"
        assert await ask(peer, text) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("made", [HttpTools, H11])
async def test_a_stranger_is_closed_unheard_and_takes_nobodys_room(
    made: type[asyncio.Protocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    if made is H11:
        monkeypatch.setattr(module, "HttpToolsProtocol", None)
    kept = protocol(["127.0.0.1"])
    assert issubclass(kept, made)
    server = Server(kept)
    await server.start()
    inside = [await server.peer() for _ in range(MOST)]
    for _ in range(3):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, local_addr=("127.0.0.2", 0)
        )
        writer.write(ASK)
        assert await is_cut_off(reader)
        writer.close()
    for peer in inside:
        assert await ask(peer) == b"HTTP/1.1 200 OK"
    await server.close()
