"""Who waits is served in the order in which he spoke, however little a turn gets done."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest

from gateway.frontends import tcp
from gateway.frontends.connection import Connection, Owner
from gateway.frontends.door import queued
from gateway.frontends.tcp import Listener
from tests.fakes.screener import WatchedMetrics

MANY = 100
NEVER, ALWAYS = 60.0, -1.0
"""When a turn has no time for another one."""


class Heard:
    """What was received, in order, by whomever; ``peers`` connect before anybody speaks."""

    def __init__(self, count: int, peers: int = MANY) -> None:
        self._peers = peers
        self.came = 0
        self.admitted = asyncio.Event()
        self.said: list[bytes] = []
        self.by: list[Connection] = []
        self._count = count
        self.all = asyncio.Event()

    def made(self, owner: Owner, fd: int, peer: object, due: float) -> Connection:
        heard = self
        self.came += 1
        if self.came == self._peers:
            self.admitted.set()

        class Noted(Connection):
            def received(self, data: bytes) -> None:
                heard.said.append(data)
                heard.by.append(self)
                if len(heard.said) == heard._count:
                    heard.all.set()

        return Noted(owner, fd, peer, due)


def _nothing() -> None:
    pass


@asynccontextmanager
async def listening(heard: Heard, hold: Callable[[], None] = _nothing) -> AsyncIterator[Listener]:
    server = Listener(
        *("agi", heard.made),
        counters=WatchedMetrics(),
        max_connections=10 * MANY,
        deadline=60.0,
        hold=hold,
    )
    await server.start("127.0.0.1", 0)
    async with asyncio.timeout(60):
        yield server
        await server.drain(0)


@contextmanager
def calling(address: tuple[str, int], count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(address, 60)) for _ in range(count)]


def speak(peers: list[socket.socket]) -> list[bytes]:
    """One after the other, while the loop does not run; what they said."""
    words = [b"%d" % number for number in range(len(peers))]
    for peer, word in zip(peers, words, strict=True):
        peer.send(word)
    return words


@pytest.mark.parametrize("span", [NEVER, ALWAYS])
async def test_all_are_read_in_the_order_in_which_they_spoke(
    span: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "SPAN", NEVER)
    heard = Heard(MANY)
    async with listening(heard) as server:
        with calling(server.address, MANY) as peers:
            await heard.admitted.wait()
            monkeypatch.setattr(tcp, "SPAN", span)
            words = speak(peers)
            await heard.all.wait()
            assert heard.said == words


@pytest.mark.parametrize("span", [NEVER, ALWAYS])
async def test_those_who_come_in_each_turn_go_before_nobody_who_spoke_before(
    span: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "SPAN", NEVER)
    heard = Heard(MANY)
    coming = False

    def hold() -> None:
        if coming and len(heard.said) < MANY:
            peer = stack.enter_context(socket.create_connection(server.address, 60))
            peer.send(b"new")

    async with listening(heard, hold) as server:
        with ExitStack() as stack:
            peers = stack.enter_context(calling(server.address, MANY))
            await heard.admitted.wait()
            monkeypatch.setattr(tcp, "SPAN", span)
            words, coming = speak(peers), True
            await heard.all.wait()
            assert heard.said[: len(words)] == words


async def test_who_comes_while_others_wait_for_their_turn_is_let_in_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "SPAN", NEVER)
    heard = Heard(tcp.MOST, peers=tcp.MOST)
    open_before: list[int] = []

    def hold() -> None:
        if heard.said:  # a turn read the first one, and left the others
            open_before.append(server.open)
            if len(open_before) == 1:
                stack.enter_context(socket.create_connection(server.address, 60))
                while not queued(server.sockets[0]):
                    time.sleep(0.001)  # a busy kernel is slow to put him there

    async with listening(heard, hold) as server:
        with ExitStack() as stack:
            peers = stack.enter_context(calling(server.address, tcp.MOST))
            await heard.admitted.wait()
            monkeypatch.setattr(tcp, "SPAN", ALWAYS)
            words = speak(peers)
            await heard.all.wait()
            assert heard.said == words
            assert open_before[:2] == [tcp.MOST, tcp.MOST + 1]


async def test_one_who_is_cut_off_while_he_waits_for_his_turn_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor is he who gets his number, and has said nothing."""
    monkeypatch.setattr(tcp, "SPAN", NEVER)
    heard = Heard(MANY - 1)
    cut: list[Connection] = []
    known: set[Connection] = set()

    def cut_off() -> None:
        known.update(server._connections.values())
        cut.append(server._late[-1][0])
        cut[0].abort()
        stranger.connect(server.address)

    def hold() -> None:
        if heard.said and not cut:
            asyncio.get_running_loop().call_soon(cut_off)  # between this turn and the next

    async with listening(heard, hold) as server:
        with ExitStack() as stack:
            peers = stack.enter_context(calling(server.address, MANY))
            stranger = stack.enter_context(socket.socket())
            await heard.admitted.wait()
            monkeypatch.setattr(tcp, "SPAN", ALWAYS)
            speak(peers)
            await heard.all.wait()
            assert cut[0] not in heard.by
            (new,) = set(server._connections.values()) - known
            assert new.reads == 0
