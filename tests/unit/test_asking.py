"""Asking over kept connections: one request at a time on each, and none is sent twice in secret."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from gateway.calls import Direction
from gateway.control import asking as module
from gateway.control.asking import CALLS, OTHERS, Asking
from gateway.control.messages import Add, AnyRequest, Changes, Ping, Reload, Screen
from gateway.entries import Asked, Covered, NeedsConfirmation
from gateway.errors import ControlError

SCREEN = Screen(direction=Direction.INBOUND, caller="", callee="")
CHANGING: list[AnyRequest] = [Add(entries=[Asked(number="+336")]), Reload(), SCREEN]
OK = b'{"ok":true,"result":"done"}\n'
Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A control socket that treats every line as ``answer`` says, and counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answer: Answer = self.well
        self.lines: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.most = 0
        self.asked = asyncio.Event()
        self.release = asyncio.Event()
        self.idle = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    async def well(self, _: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    async def late(self, _: bytes, writer: asyncio.StreamWriter) -> None:
        self.asked.set()
        await self.release.wait()
        writer.write(OK)

    async def closing(self, _: bytes, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.idle.clear()
        self.most = max(self.most, self.open)
        self._writers.append(writer)
        with suppress(ConnectionError):
            while line := await reader.readline():
                self.lines.append(line)
                await self.answer(line, writer)
        writer.close()
        self.open -= 1
        if not self.open:
            self.idle.set()

    async def drop(self) -> None:
        """Close every connection, as the gateway does with idle ones."""
        for writer in self._writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Server, Asking]]:
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        server = Server(Path(folder) / "control.sock")
        listening = await asyncio.start_unix_server(server.serve, str(server.path))
        asking = Asking(server.path)
        yield server, asking
        await asking.close()
        server.release.set()
        await server.drop()
        listening.close()


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with running() as (server, asking):
        for _ in range(3):
            assert await asking.request(Ping()) == "done"
        assert server.connections == 1


async def test_no_more_connections_than_its_own_are_open_at_a_time() -> None:
    async with running() as (server, asking):
        server.answer = server.late
        requests: list[AnyRequest] = [SCREEN, Ping()] * 50
        tasks = [asyncio.create_task(asking.request(request)) for request in requests]
        await server.asked.wait()
        server.release.set()
        assert await asyncio.gather(*tasks) == ["done"] * 100
        assert server.most <= CALLS + OTHERS
        assert len(server.lines) == 100


@pytest.mark.parametrize(("busy", "free"), [(SCREEN, Ping()), (Ping(), SCREEN)])
async def test_calls_and_everything_else_do_not_hold_each_other_up(
    busy: AnyRequest, free: AnyRequest
) -> None:
    async with running() as (server, asking):
        held = msgspec.json.encode(busy) + b"\n"

        async def late(line: bytes, writer: asyncio.StreamWriter) -> None:
            await (server.late if line == held else server.well)(line, writer)

        server.answer = late
        tasks = [asyncio.create_task(asking.request(busy)) for _ in range(20)]
        await server.asked.wait()
        assert await asking.request(free) == "done"
        server.release.set()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("request_", [Ping(), *CHANGING], ids=lambda one: type(one).__name__)
async def test_a_connection_that_was_closed_meanwhile_is_replaced(request_: AnyRequest) -> None:
    async with running() as (server, asking):
        await asking.request(request_)
        await server.drop()
        await server.idle.wait()
        for _ in range(3):  # turns of the loop in which our own side hears of it
            await asyncio.sleep(0)
        assert await asking.request(request_) == "done"
        assert server.connections == 2


@pytest.mark.parametrize("request_", CHANGING, ids=lambda one: type(one).__name__)
async def test_a_change_whose_answer_is_lost_is_an_error_and_not_sent_again(
    request_: AnyRequest,
) -> None:
    async with running() as (server, asking):
        await asking.request(request_)
        server.answer = server.closing
        with pytest.raises(ControlError, match="without an answer"):
            await asking.request(request_)
        assert len(server.lines) == 2


async def test_a_question_whose_answer_is_lost_is_asked_once_again() -> None:
    async with running() as (server, asking):
        await asking.request(Changes())
        server.answer = server.closing
        with pytest.raises(ControlError, match="without an answer"):
            await asking.request(Changes())
        assert len(server.lines) == 3


async def test_a_connection_that_was_idle_for_long_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as (server, asking):
        await asking.request(SCREEN)
        monkeypatch.setattr(module, "KEPT", 0.0)
        await asking.request(SCREEN)
        assert server.connections == 2


async def test_a_request_that_takes_too_long_is_an_error_and_its_answer_nobodys() -> None:
    async with running() as (server, asking):
        server.answer = server.late
        with pytest.raises(ControlError, match="timed out"):
            await asking.request(SCREEN, timeout=0.05)
        server.release.set()
        server.answer = server.well
        assert await asking.request(SCREEN) == "done"
        assert server.connections == 2


async def test_the_wait_for_a_free_connection_counts_too() -> None:
    async with running() as (server, asking):
        server.answer = server.late
        held = [asyncio.create_task(asking.request(SCREEN)) for _ in range(CALLS)]
        await server.asked.wait()
        with pytest.raises(ControlError, match="timed out"):
            await asking.request(SCREEN, timeout=0.05)
        server.release.set()
        assert await asyncio.gather(*held) == ["done"] * CALLS


async def test_a_request_that_is_given_up_leaves_no_answer_to_the_next() -> None:
    async with running() as (server, asking):
        server.answer = server.late
        task = asyncio.create_task(asking.request(Ping()))
        await server.asked.wait()
        task.cancel()
        await asyncio.wait([task])
        server.release.set()
        assert await asking.request(Ping()) == "done"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"ok":false,"error":"no such list"}\n', "no such list"),
        (b"nonsense\n", "cannot be read"),
        (b'{"ok":true', "in the middle of its answer"),
        (b"x" * 5_000_000 + b"\n", "too long"),
    ],
)
async def test_what_is_no_answer_is_an_error(line: bytes, message: str) -> None:
    async with running() as (server, asking):

        async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(line)
            writer.close()

        server.answer = answer
        with pytest.raises(ControlError, match=message):
            await asking.request(Reload())


async def test_entries_that_need_a_confirmation_say_what_they_cover() -> None:
    async with running() as (server, asking):
        covered = Covered("country", "it covers all of France", "+33*")
        refused = {"ok": False, "error": "…", "covers": [covered]}

        async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(msgspec.json.encode(refused) + b"\n")

        server.answer = answer
        with pytest.raises(NeedsConfirmation) as caught:
            await asking.request(CHANGING[0])
        assert caught.value.covers == (covered,)


async def test_a_gateway_that_does_not_run_is_named() -> None:
    asking = Asking(Path("/nowhere/control.sock"))
    with pytest.raises(ControlError, match="no gateway is running on"):
        await asking.request(Ping())


async def test_nothing_is_kept_after_the_close() -> None:
    async with running() as (server, asking):
        server.answer = server.late
        task = asyncio.create_task(asking.request(Ping()))
        await server.asked.wait()
        await asking.close()
        server.release.set()
        assert await task == "done"
        await server.idle.wait()
