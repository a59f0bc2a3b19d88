"""The loop of turns under trouble: no descriptors, no room, no reader, too much at once."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import pairwise
from typing import ClassVar

import pytest
import uvloop

from gateway.frontends import door, tcp
from gateway.frontends.connection import MAX_UNSENT, Connection, Owner
from gateway.frontends.fastagi import FastAgi
from gateway.frontends.tcp import Listener
from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi_client import AgiClient, Channel, environment
from tests.fakes.screener import FakeScreener, WatchedMetrics

ENVIRONMENT = environment(
    f"agi://127.0.0.1/{screen_path('inbound', 't5', '', '+15551234567', '112')}", Channel()
)


class Noted(Connection):
    """Remembers what happened, in which order; answers in a way that its peer asks for."""

    made: ClassVar[list[Noted]]
    gone: ClassVar[asyncio.Event]

    def __init__(self, owner: Owner, fd: int, peer: object, due: float) -> None:
        super().__init__(owner, fd, peer, due)
        self.number = fd
        self.data = b""
        self.ends = 0
        self.made.append(self)

    def received(self, data: bytes) -> None:
        self.data += data
        if data == b"close":
            self.send(b"bye")
            self.close()
        elif data == b"fail":
            raise RuntimeError("a bug")
        elif data.startswith(b"send "):
            self.send(b"x" * int(data[5:]))
        elif data.startswith(b"all "):
            self.send(b"x" * int(data[4:]))
            self.close()
        elif data.startswith(b"end "):
            self.send(b"x" * int(data[4:]))
            self.send_end()
        else:
            self.send(data)

    def ended(self) -> None:
        self.ends += 1
        self.gone.set()

    @classmethod
    def forget(cls) -> None:
        cls.made = []
        cls.gone = asyncio.Event()


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    Noted.forget()
    # What these tests have happen in one turn must not be spread over several by a busy machine.
    monkeypatch.setattr(tcp, "SPAN", 60.0)


@asynccontextmanager
async def listening(**limits: float) -> AsyncIterator[tuple[Listener, WatchedMetrics]]:
    metrics = WatchedMetrics()
    settings = {"max_connections": 5000, "deadline": 30.0, **limits}
    server = Listener("agi", Noted, counters=metrics, **settings)  # type: ignore[arg-type]
    await server.start("127.0.0.1", 0)
    async with asyncio.timeout(60):
        yield server, metrics
        await server.drain(0)
    assert server.open == 0
    assert all(connection.ends == 1 for connection in Noted.made)


@contextmanager
def no_more_files() -> Iterator[None]:
    """Takes every descriptor that this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    top = max(int(name) for name in os.listdir("/proc/self/fd")) + 8
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(top, hard), hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            _take_all(taken)
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _take_all(taken: list[int]) -> None:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))


async def heard(sock: socket.socket) -> bytes:
    """What comes until the end."""
    data, loop = b"", asyncio.get_running_loop()
    while part := await loop.sock_recv(sock, 1 << 20):
        data += part
    return data


@contextmanager
def peers(count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in made:
            sock.setblocking(False)
        yield made


async def test_without_descriptors_a_caller_is_turned_away_at_once() -> None:
    loop = asyncio.get_running_loop()
    async with listening() as (server, metrics):
        with peers(3) as (first, second, third):
            await loop.sock_connect(first, server.address)
            await metrics.until(1, "callgate_connections_total", frontend="agi")
            with no_more_files():
                for late in (second, third):
                    await loop.sock_connect(late, server.address)
                    assert await heard(late) == b""
            refused = {"frontend": "agi", "cause": "no_files"}
            assert metrics.value("callgate_unanswered_total", **refused) == 2
            await loop.sock_sendall(first, b"still here")
            assert await loop.sock_recv(first, 100) == b"still here"
        with peers(1) as (again,):
            await loop.sock_connect(again, server.address)
            await loop.sock_sendall(again, b"close")
            assert await heard(again) == b"bye"


async def test_without_a_descriptor_to_spare_callers_wait_and_the_loop_does_not_spin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    asked: list[object] = []
    real = socket.socket._accept  # type: ignore[attr-defined]

    class Full(socket.socket):
        def _accept(self) -> object:
            asked.append(self)
            if len(asked) <= 2:
                raise OSError(errno.ENOMEM, "no memory")
            return real(self)

    monkeypatch.setattr(door, "PAUSE", 0.01)
    with Full() as bound, peers(1) as (peer,):
        bound.bind(("127.0.0.1", 0))
        server = Listener("agi", Noted, counters=WatchedMetrics(), max_connections=5, deadline=30.0)
        await server.start(sockets=[bound])
        async with asyncio.timeout(30):
            await loop.sock_connect(peer, server.address)
            await loop.sock_sendall(peer, b"close")
            assert await heard(peer) == b"bye"
        # Two refusals, the caller, and one look for another.
        assert len(asked) == 4
        await server.drain(0)


async def test_a_pause_that_ends_after_the_listener_is_harmless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full(socket.socket):
        def _accept(self) -> object:
            refused.set()
            raise OSError(errno.ENOMEM, "no memory")

    refused = asyncio.Event()
    monkeypatch.setattr(door, "PAUSE", 0.01)
    with Full() as bound, peers(1) as (peer,):
        bound.bind(("127.0.0.1", 0))
        server = Listener("agi", Noted, counters=WatchedMetrics(), max_connections=5, deadline=30.0)
        await server.start(sockets=[bound])
        await asyncio.get_running_loop().sock_connect(peer, server.address)
        async with asyncio.timeout(30):
            await refused.wait()
            await server.drain(0)
            await asyncio.sleep(0.05)


async def test_a_caller_who_has_gone_before_the_accept_disturbs_nobody() -> None:
    loop = asyncio.get_running_loop()
    asked: list[object] = []
    real = socket.socket._accept  # type: ignore[attr-defined]

    class Aborted(socket.socket):
        def _accept(self) -> object:
            asked.append(self)
            if len(asked) == 1:
                raise ConnectionAbortedError
            return real(self)

    with Aborted() as bound, peers(1) as (peer,):
        bound.bind(("127.0.0.1", 0))
        server = Listener("agi", Noted, counters=WatchedMetrics(), max_connections=5, deadline=30.0)
        await server.start(sockets=[bound])
        async with asyncio.timeout(30):
            await loop.sock_connect(peer, server.address)
            await loop.sock_sendall(peer, b"close")
            assert await heard(peer) == b"bye"
        await server.drain(0)


@pytest.mark.parametrize("how", ["send", "all", "end"])
async def test_what_a_peer_does_not_take_at_once_is_sent_on_in_order(how: str) -> None:
    loop = asyncio.get_running_loop()
    async with listening() as (server, _):
        with peers(1) as (peer,):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(peer, server.address)
            await loop.sock_sendall(peer, b"hello")
            assert await loop.sock_recv(peer, 5) == b"hello"
            (mine,) = Noted.made
            borrowed = socket.socket(fileno=os.dup(mine.fd))
            borrowed.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            room = _room(borrowed)
            borrowed.close()
            count = MAX_UNSENT // 2
            await loop.sock_sendall(peer, f"{how} {count}".encode())
            got = 0
            while got < room + count:
                got += len(await loop.sock_recv(peer, 65536))
            assert got == room + count
            if how == "send":
                await loop.sock_sendall(peer, b"again")
                assert await loop.sock_recv(peer, 5) == b"again"
            else:
                assert await loop.sock_recv(peer, 5) == b""


def _room(sock: socket.socket) -> int:
    """Fill what the kernel takes for a peer that does not read; how much that is."""
    total = 0
    try:
        while True:
            total += sock.send(b"x" * 1024)
    except BlockingIOError:
        return total


async def test_a_peer_that_reads_nothing_is_cut_off_before_its_deadline() -> None:
    loop = asyncio.get_running_loop()
    async with listening() as (server, metrics):
        with peers(1) as (peer,):
            await loop.sock_connect(peer, server.address)
            await metrics.until(1, "callgate_connections_total", frontend="agi")
            await loop.sock_sendall(peer, b"send 50000000")
            assert len(await heard(peer)) < 50_000_000
            assert Noted.made[0].fd == -1


async def test_a_connection_that_closes_and_is_not_read_meets_its_deadline() -> None:
    loop = asyncio.get_running_loop()
    async with listening(deadline=0.3) as (server, _):
        with peers(1) as (peer,):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(peer, server.address)
            await loop.sock_sendall(peer, b"hello")
            assert await loop.sock_recv(peer, 5) == b"hello"
            (mine,) = Noted.made
            borrowed = socket.socket(fileno=os.dup(mine.fd))
            _room(borrowed)
            borrowed.close()
            await loop.sock_sendall(peer, b"all 1000")
            await Noted.gone.wait()
            assert server.open == 0


async def test_a_thousand_callers_at_once_are_all_answered() -> None:
    loop = asyncio.get_running_loop()

    async def call(peer: socket.socket, number: int) -> bytes:
        await loop.sock_connect(peer, server.address)
        await loop.sock_sendall(peer, b"%d" % number)
        return await loop.sock_recv(peer, 100)

    async with listening() as (server, metrics):
        count = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 100)
        with peers(count) as made:
            told = await asyncio.gather(*(call(peer, at) for at, peer in enumerate(made)))
            assert told == [b"%d" % number for number in range(count)]
            assert metrics.value("callgate_connections_total", frontend="agi") == count


async def test_a_turn_takes_no_more_than_its_bound_and_the_loop_runs_between() -> None:
    loop = asyncio.get_running_loop()
    turns: list[int] = []
    between = 0

    def hold() -> None:
        turns.append(sum(1 for one in Noted.made if one.data))

    async def beat() -> None:
        nonlocal between
        while True:
            await asyncio.sleep(0)
            between += 1

    count = 3 * tcp.MOST
    server = Listener(
        *("agi", Noted), counters=WatchedMetrics(), max_connections=5000, deadline=30.0, hold=hold
    )
    await server.start("127.0.0.1", 0)
    with peers(count) as made:
        for peer in made:  # the loop does not run meanwhile: the backlog takes them all
            peer.setblocking(True)
            peer.connect(server.address)
            peer.setblocking(False)
            peer.send(b"hello")
        beating = asyncio.ensure_future(beat())
        async with asyncio.timeout(60):
            for peer in made:
                assert await loop.sock_recv(peer, 5) == b"hello"
        beating.cancel()
        steps = [later - sooner for sooner, later in pairwise(turns)]
        assert max(steps) == tcp.MOST
        assert between >= len(steps)
    await server.drain(0)


async def test_a_number_that_comes_back_gets_nothing_of_the_connection_that_had_it() -> None:
    """One of a turn's connections closes, and the system gives its number to the next caller."""
    loop = asyncio.get_running_loop()
    async with listening() as (server, metrics):
        with peers(3) as (first, second, third):
            for peer in (first, second):
                await loop.sock_connect(peer, server.address)
            await metrics.until(2, "callgate_connections_total", frontend="agi")
            # All of this waits for one turn: a close, bytes, and a caller with other bytes.
            first.send(b"close")
            second.send(b"second")
            third.setblocking(True)
            third.connect(server.address)
            third.send(b"third")
            third.setblocking(False)
            assert await heard(first) == b"bye"
            assert await loop.sock_recv(second, 100) == b"second"
            assert await loop.sock_recv(third, 100) == b"third"
            old, kept, new = Noted.made
            assert (old.data, kept.data, new.data) == (b"close", b"second", b"third")
            assert new.number != old.number, "a descriptor is closed when its turn is over"
            with peers(1) as (fourth,):
                await loop.sock_connect(fourth, server.address)
                await loop.sock_sendall(fourth, b"fourth")
                assert await loop.sock_recv(fourth, 100) == b"fourth"
                assert Noted.made[-1].data == b"fourth"


async def test_an_answer_and_the_close_of_one_turn_both_arrive() -> None:
    loop = asyncio.get_running_loop()
    async with listening() as (server, _):
        with peers(50) as made:
            for peer in made:
                await loop.sock_connect(peer, server.address)
                peer.send(b"close")
            assert [await heard(peer) for peer in made] == [b"bye"] * 50
            assert server.open == 0


async def test_a_connection_that_fails_harms_no_other_one_of_its_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    async with listening() as (server, metrics):
        with peers(3) as made:
            for peer in made:
                await loop.sock_connect(peer, server.address)
            await metrics.until(3, "callgate_connections_total", frontend="agi")
            for peer, said in zip(made, (b"one", b"fail", b"three"), strict=True):
                peer.send(said)
            assert await heard(made[1]) == b""
            assert await loop.sock_recv(made[0], 9) == b"one"
            assert await loop.sock_recv(made[2], 9) == b"three"
    assert "a bug" in caplog.text


async def test_the_calls_of_a_turn_are_journaled_once_and_answered_after() -> None:
    flushed: list[int] = []

    class Watched(FakeScreener):
        def flush(self) -> None:
            super().flush()
            flushed.append(len(self.calls))

    loop = asyncio.get_running_loop()
    screener = Watched()
    server = FastAgi(screener, counters=WatchedMetrics(), deadline=30.0)
    await server.start("127.0.0.1", 0)
    with peers(20) as made:
        for peer in made:  # the loop does not run meanwhile, so that one turn finds them all
            peer.setblocking(True)
            peer.connect(server.address)
            peer.send(ENVIRONMENT)
            peer.setblocking(False)
        async with asyncio.timeout(30):
            for peer in made:
                line = await loop.sock_recv(peer, 1000)
                assert not screener.held
                await loop.sock_sendall(peer, AgiClient().receive(line))
            for number in range(1, 21):
                await screener.outcome(number)
        assert flushed[0] == 20
        await server.drain(0)


async def test_an_answer_that_fails_takes_no_other_one_with_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(*_: object) -> bytes:
        monkeypatch.undo()
        raise RuntimeError("a bug")

    loop = asyncio.get_running_loop()
    server = FastAgi(FakeScreener(), counters=WatchedMetrics(), deadline=30.0)
    await server.start("127.0.0.1", 0)
    with peers(2) as made:
        for peer in made:  # one turn finds both
            peer.setblocking(True)
            peer.connect(server.address)
            peer.send(ENVIRONMENT)
            peer.setblocking(False)
        monkeypatch.setattr(FastAgi.serve, "answer", spoilt)
        async with asyncio.timeout(30):
            told = [await loop.sock_recv(peer, 1000) for peer in made]
        assert sorted(line[:9] for line in told) == [b"", b"EXEC MSet"]
    await server.drain(0)
    assert "an answer" in caplog.text


async def test_a_host_name_is_bound_on_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")

    async def both(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(*stream, ("127.0.0.1", 0)), (*stream, ("127.0.0.2", 0))]

    monkeypatch.setattr(loop, "getaddrinfo", both)
    async with listening() as (server, _):
        addresses = [sock.getsockname() for sock in server._door.sockets.values()]
        assert [host for host, _ in addresses] == ["127.0.0.1", "127.0.0.2"]
        for address in addresses:
            with peers(1) as (peer,):
                await loop.sock_connect(peer, address)
                await loop.sock_sendall(peer, b"close")
                assert await heard(peer) == b"bye"


async def test_it_listens_on_ipv6() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    server = Listener("agi", Noted, counters=WatchedMetrics(), max_connections=5, deadline=30.0)
    await server.start("::1", 0)
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"close")
        assert await reader.read() == b"bye"
        writer.close()
    assert server.address[0] == "::1"
    await server.drain(0)


async def test_of_two_addresses_neither_is_bound_when_one_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        free = probe.getsockname()
        probe.close()

        async def both(*_: object, **__: object) -> list[tuple[object, ...]]:
            return [(*stream, free), (*stream, taken.getsockname())]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        server = Listener("agi", Noted, counters=WatchedMetrics(), max_connections=5, deadline=1.0)
        with pytest.raises(OSError, match="in use") as raised:
            await server.start("both", 0)
        assert raised.value.errno == errno.EADDRINUSE
        socket.create_server(free).close()


def test_turns_run_on_uvloop() -> None:
    async def main() -> None:
        await test_a_turn_takes_no_more_than_its_bound_and_the_loop_runs_between()
        Noted.forget()
        await test_without_descriptors_a_caller_is_turned_away_at_once()
        Noted.forget()
        await test_what_a_peer_does_not_take_at_once_is_sent_on_in_order("send")

    uvloop.run(main())
