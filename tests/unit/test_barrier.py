"""The barrier: our names only, bodies that are neither too long nor too slow, sealed answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from gateway.web import barrier as module
from gateway.web.barrier import MOST, Barrier

UPLOAD = 3 * MOST


def make_app() -> FastAPI:
    app = FastAPI()

    @app.post("/{path:path}")
    async def read(request: Request, path: str) -> Response:
        del path
        return Response(str(len(await request.body())))

    @app.get("/stream")
    async def stream() -> Response:
        async def events() -> AsyncIterator[bytes]:
            for _ in range(3):
                await asyncio.sleep(0.05)
                yield b": here\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/{path:path}")
    async def get(path: str) -> Response:
        headers = {"Cache-Control": "public"} if path == "kept" else None
        return Response(path, headers=headers)

    app.add_middleware(Barrier, hosts=["calls.example"], max_upload=UPLOAD)
    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8080", "LocalHost", "calls.example", "CALLS.example:443"),
        *("127.0.0.1", "127.0.0.1:8080", "192.0.2.7", "[::1]", "[::1]:8080", "[2001:db8::7]:1"),
    ],
)
async def test_our_names_and_bare_addresses_pass(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/x", headers={"Host": host})
    assert (answer.status_code, answer.text) == (200, "x")


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "calls.example.evil.example", "xcalls.example", "evil.localhost"),
        *("127.0.0.1.evil.example", "127.1", "2130706433", "0x7f.1", "[evil.example]", "::1", ""),
        *("localhost@evil.example", "calls.example\xe9", "[]", ":8080", "localhost."),
    ],
)
async def test_any_other_name_is_refused(host: str) -> None:
    answer = await ask_with([(b"host", host.encode("latin-1"))])
    assert answer["status"] == 421


async def test_a_request_without_a_name_is_refused() -> None:
    assert (await ask_with([]))["status"] == 421


@given(host=st.binary(max_size=40))
def test_no_name_breaks_the_reading(host: bytes) -> None:
    answer = asyncio.run(ask_with([(b"host", host)]))
    assert answer["status"] in (200, 421)


async def ask_with(
    headers: Iterable[tuple[bytes, bytes]],
    messages: Iterable[Message] = ({"type": "http.request"},),
    path: str = "/x",
    method: str = "GET",
) -> Message:
    """The start of the answer to a request with exactly these headers and parts."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": [*headers],
        "client": ("192.0.2.1", 1),
        "server": ("127.0.0.1", 8080),
    }
    parts, answers = iter(messages), list[Message]()

    async def receive() -> Message:
        for part in parts:
            return part
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        answers.append(message)

    await make_app()(scope, receive, send)
    return answers[0]


@pytest.mark.parametrize(("path", "most"), [("/v1/check", MOST), ("/v1/import", UPLOAD)])
async def test_a_body_has_a_bound_with_and_without_a_length(
    client: httpx.AsyncClient, path: str, most: int
) -> None:
    async def parts(size: int) -> AsyncIterator[bytes]:
        while size > 0:
            yield b"x" * min(size, 100_000)
            size -= 100_000

    assert (await client.post(path, content=b"x" * most)).text == str(most)
    assert (await client.post(path, content=parts(most))).text == str(most)
    for long in (b"x" * (most + 1), parts(most + 1)):
        answer = await client.post(path, content=long)
        assert answer.status_code == 413
        assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("length", [b"9" * 5000, b"1" + b"0" * 20, b"%d" % (MOST + 1)])
async def test_a_body_that_says_it_is_too_long_is_not_read(length: bytes) -> None:
    headers = [(b"host", b"localhost"), (b"content-length", length)]
    assert (await ask_with(headers, [], method="POST"))["status"] == 413


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"", b"\xb2"])
async def test_a_length_that_is_none_is_no_matter(length: bytes) -> None:
    headers = [(b"host", b"localhost"), (b"content-length", length)]
    assert (await ask_with(headers, method="POST"))["status"] == 200


async def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    part = {"type": "http.request", "body": b"x", "more_body": True}
    headers = [(b"host", b"localhost"), (b"content-length", b"10")]
    async with asyncio.timeout(30):
        assert (await ask_with(headers, [part], method="POST"))["status"] == 408


async def test_a_body_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    headers = [(b"host", b"localhost")]
    assert await trickled(headers) == 408


async def trickled(headers: list[tuple[bytes, bytes]]) -> int:
    """What is answered to one byte after the other, each well within the patience for a part."""

    async def parts() -> AsyncIterator[Message]:
        while True:
            await asyncio.sleep(0.02)
            yield {"type": "http.request", "body": b"x", "more_body": True}

    answers = list[Message]()
    source = parts()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive, send).body()

    async def send(message: Message) -> None:
        answers.append(message)

    scope: Scope = {"type": "http", "path": "/", "method": "POST", "headers": headers}
    barrier = Barrier(app, ["x"], MOST)
    async with asyncio.timeout(30):
        try:
            await barrier(scope, source.__anext__, send)
        except HTTPException as error:
            return error.status_code
    return int(answers[0]["status"])


async def test_a_slow_reader_is_not_the_senders_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 1.0)
    parts: list[Message] = [{"type": "http.request", "body": b"x", "more_body": True}] * 4
    parts.append({"type": "http.request", "body": b"", "more_body": False})
    read = list[Message]()

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        while True:
            read.append(await receive())
            if not read[-1]["more_body"]:
                return
            await asyncio.sleep(0.4)

    source = iter(parts)

    async def receive() -> Message:
        return next(source)

    async def send(_: Message) -> None: ...

    scope: Scope = {"type": "http", "path": "/", "headers": [(b"host", b"localhost")]}
    await Barrier(app, [], MOST)(scope, receive, send)
    assert len(read) == 5


async def test_a_stream_that_is_watched_outlasts_the_patience_for_a_body(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    answer = await client.get("/stream")
    assert (answer.status_code, answer.text) == (200, ": here\n\n" * 3)


async def test_every_answer_is_sealed_and_kept_by_nobody_unless_it_says_so(
    client: httpx.AsyncClient,
) -> None:
    for path, host in (("/x", "localhost"), ("/x", "evil.example"), ("/docs", "localhost")):
        headers = (await client.get(path, headers={"Host": host})).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "script-src 'self';" in headers["content-security-policy"]
        assert ("unsafe-inline" in headers["content-security-policy"]) == (path == "/docs")
    assert (await client.get("/kept")).headers["cache-control"] == "public"
    assert (await client.get("/x")).headers["cache-control"] == "no-store", "not the one before"
