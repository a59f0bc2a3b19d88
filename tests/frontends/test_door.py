"""More callers than there is room for: refused in the turn in which they come, and not by one."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest

from gateway.frontends import door, tcp
from gateway.frontends.connection import Connection
from gateway.frontends.tcp import Listener
from tests.fakes.screener import WatchedMetrics

CAP = 5
MANY = 6 * tcp.MOST
OVER_LIMIT = {"frontend": "agi", "cause": "over_limit"}


class Echo(Connection):
    def received(self, data: bytes) -> None:
        self.send(data)


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    # What these tests have happen in one turn must not be spread over several by a busy machine.
    monkeypatch.setattr(tcp, "SPAN", 60.0)


def _nothing() -> None:
    pass


@asynccontextmanager
async def listening(
    hold: Callable[[], None] = _nothing, *, cap: int = CAP, farewell: bytes = b""
) -> AsyncIterator[tuple[Listener, WatchedMetrics]]:
    metrics = WatchedMetrics()
    server = Listener(
        *("agi", Echo),
        counters=metrics,
        max_connections=cap,
        deadline=60.0,
        farewell=farewell,
        hold=hold,
    )
    await server.start("127.0.0.1", 0)
    async with asyncio.timeout(60):
        yield server, metrics
        await server.drain(0)


@contextmanager
def calling(server: Listener, count: int, said: bytes = b"") -> Iterator[list[socket.socket]]:
    """Callers whom the kernel has, and the listener has not seen: the loop does not run here."""
    with ExitStack() as stack:
        made = [
            stack.enter_context(socket.create_connection(server.address, 60)) for _ in range(count)
        ]
        while sum(map(door.queued, server.sockets)) < count:
            time.sleep(0.001)  # a busy kernel is slow to put them there
        for peer in made:
            if said:
                peer.send(said)
            peer.setblocking(False)
        yield made


async def heard(peer: socket.socket) -> bytes:
    """What comes next; nothing when it is closed or reset."""
    try:
        return await asyncio.get_running_loop().sock_recv(peer, 100)
    except ConnectionResetError:
        return b""


async def full(server: Listener, stack: ExitStack) -> list[socket.socket]:
    """As many callers as are served."""
    peers = stack.enter_context(calling(server, CAP, b"hello"))
    for peer in peers:
        assert await heard(peer) == b"hello"
    return peers


@pytest.mark.parametrize("farewell", [b"", b"bye"])
async def test_all_who_wait_past_the_cap_are_refused_in_one_turn_and_those_before_are_served(
    farewell: bytes,
) -> None:
    turns: list[int] = []
    async with listening(lambda: turns.append(0), farewell=farewell) as (server, metrics):
        with ExitStack() as stack:
            peers = await full(server, stack)
            for peer in peers:
                peer.send(b"again")
            before = len(turns)
            late = stack.enter_context(calling(server, MANY, b"too late"))
            assert [await heard(peer) for peer in late] == [farewell] * MANY
            # One, and one more for whom the kernel was slow to hand over.
            assert len(turns) - before <= 2
            assert [await heard(peer) for peer in peers] == [b"again"] * CAP
            assert server.open == CAP
            assert door.FLOOD <= metrics.value("callgate_unanswered_total", **OVER_LIMIT) <= MANY


@pytest.mark.parametrize("farewell", [b"", b"bye"])
async def test_past_a_flood_the_kernel_refuses_until_there_is_room_and_keeps_the_port(
    farewell: bytes,
) -> None:
    async with listening(farewell=farewell) as (server, metrics):
        with ExitStack() as stack:
            peers = await full(server, stack)
            before = time.monotonic()
            late = stack.enter_context(calling(server, MANY))
            assert [await heard(peer) for peer in late] == [farewell] * MANY
            counted = metrics.value("callgate_unanswered_total", **OVER_LIMIT)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(server.address)
            with socket.socket() as thief:
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with pytest.raises(OSError, match="in use"):
                    thief.bind(server.address)
            peers[0].close()
            assert await _called(server) == b"hello"
            assert metrics.value("callgate_unanswered_total", **OVER_LIMIT) == counted
            shut = metrics.value("callgate_listener_shut_seconds_total", frontend="agi")
            assert 0 < shut <= time.monotonic() - before


async def test_how_long_a_door_is_shut_is_counted_while_it_is() -> None:
    async with listening() as (server, metrics):
        with ExitStack() as stack:
            await full(server, stack)
            late = stack.enter_context(calling(server, MANY))
            assert [await heard(peer) for peer in late] == [b""] * MANY
            await metrics.until_any("callgate_listener_shut_seconds_total", frontend="agi")
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(server.address)


async def test_all_who_wait_are_told_farewell_before_the_door_is_shut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A turn takes only some of them."""
    monkeypatch.setattr(door, "FLOOD", 50)
    monkeypatch.setattr(door, "ACCEPTS", 100)
    async with listening(farewell=b"bye") as (server, metrics):
        with ExitStack() as stack:
            await full(server, stack)
            late = stack.enter_context(calling(server, MANY, b"too late"))
            assert [await heard(peer) for peer in late] == [b"bye"] * MANY
            assert metrics.value("callgate_unanswered_total", **OVER_LIMIT) == MANY


async def test_a_door_that_opens_again_does_not_share_its_port() -> None:
    async with listening() as (server, _):
        with ExitStack() as stack:
            peers = await full(server, stack)
            late = stack.enter_context(calling(server, MANY))
            assert [await heard(peer) for peer in late] == [b""] * MANY
            peers[0].close()
            assert await _called(server) == b"hello"
            for sock in server.sockets:
                assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
            with socket.socket() as thief:
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with pytest.raises(OSError, match="in use"):
                    thief.bind(server.address)


async def test_a_listener_whose_door_is_shut_can_be_drained() -> None:
    async with listening() as (server, _):
        with ExitStack() as stack:
            peers = await full(server, stack)
            late = stack.enter_context(calling(server, MANY))
            assert [await heard(peer) for peer in late] == [b""] * MANY
            assert await server.drain(0) == CAP
            assert [await heard(peer) for peer in peers] == [b""] * CAP


async def test_peers_who_send_little_and_often_keep_nobody_out() -> None:
    """They do not wait, however long ago they came."""
    turns: list[int] = []
    later: list[socket.socket] = []
    dripping = False

    def hold() -> None:
        if dripping:
            turns.append(0)
        if len(turns) == 2:  # the first of them was full
            later.extend(stack.enter_context(calling(server, 1, b"hello")))

    async with listening(hold, cap=2 * MANY) as (server, _):
        with ExitStack() as stack:
            peers = stack.enter_context(calling(server, MANY, b"hello"))
            assert [await heard(peer) for peer in peers] == [b"hello"] * MANY
            for _ in range(tcp.OFTEN):
                for peer in peers:
                    peer.send(b"more")
                assert [await heard(peer) for peer in peers] == [b"more"] * MANY
            for each in server._connections.values():
                each.due -= 50.0
            for peer in peers:
                peer.send(b"again")
            dripping = True
            assert [await heard(peer) for peer in peers] == [b"again"] * MANY
            assert await heard(later[0]) == b"hello"


async def test_nobody_is_kept_out_once_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "PATIENCE", -1.0)
    async with listening(cap=2 * MANY) as (server, _):
        with ExitStack() as stack:
            peers = stack.enter_context(calling(server, tcp.MOST, b"hello"))
            assert [await heard(peer) for peer in peers] == [b"hello"] * tcp.MOST
            for peer in peers:
                peer.send(b"again")
            assert [await heard(peer) for peer in peers] == [b"again"] * tcp.MOST
            (late,) = stack.enter_context(calling(server, 1, b"hello"))
            assert await heard(late) == b"hello"


async def test_who_waits_in_the_kernel_when_a_listener_is_drained_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "ACCEPTS", 100)
    many = 250
    async with listening(cap=2 * many) as (server, _):
        with ExitStack() as stack:
            peers = stack.enter_context(calling(server, many, b"hello"))
            draining = asyncio.ensure_future(server.drain(60))
            assert [await heard(peer) for peer in peers] == [b"hello"] * many
        assert await draining == 0


async def _called(server: Listener) -> bytes:
    """What one is told who calls until there is room."""
    while True:
        try:
            with calling(server, 1, b"hello") as (peer,):
                if told := await heard(peer):
                    return told
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("patience", "told"), [(tcp.PATIENCE, b"hello"), (-1.0, b"")])
async def test_nobody_is_let_in_while_all_who_are_read_have_waited_for_too_long(
    monkeypatch: pytest.MonkeyPatch, patience: float, told: bytes
) -> None:
    monkeypatch.setattr(tcp, "PATIENCE", patience)
    turns: list[int] = []
    later: list[socket.socket] = []

    def hold() -> None:
        turns.append(0)
        if len(turns) == 2:  # most of the others are still to be read
            later.extend(stack.enter_context(calling(server, 1, b"hello")))

    async with listening(hold, cap=2 * MANY) as (server, _):
        with ExitStack() as stack:
            peers = stack.enter_context(calling(server, MANY, b"hello"))
            assert [await heard(peer) for peer in peers] == [b"hello"] * MANY
            assert await heard(later[0]) == told
