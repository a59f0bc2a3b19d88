"""Connections are bounded in number, time and unsent bytes, whatever runs over them."""

from __future__ import annotations

import asyncio
import socket
from typing import ClassVar

import pytest

from gateway.frontends.connection import Connection
from gateway.frontends.tcp import Listener
from tests.fakes.screener import WatchedMetrics

FLOOD = 50_000_000


class Flood(Connection):
    """Writes far more than a peer that does not read can take."""

    def opened(self) -> None:
        self.send(b"x" * FLOOD)


class Late(Connection):
    """Remembers in which order the clocks ran out."""

    order: ClassVar[list[Connection]] = []

    def expired(self) -> None:
        self.order.append(self)


def listener(kind: type[Connection], **limits: float) -> Listener:
    settings = {"max_connections": 10, "deadline": 30.0, **limits}
    return Listener("agi", kind, counters=WatchedMetrics(), **settings)  # type: ignore[arg-type]


async def test_a_peer_that_does_not_read_is_cut_off_before_its_deadline() -> None:
    server = listener(Flood)
    await server.start("127.0.0.1", 0)
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*server.address)
        got = 0
        while data := await reader.read(65536):
            got += len(data)
        assert got < FLOOD
        writer.close()
        assert await server.drain(20) == 0


async def test_connections_end_in_the_order_in_which_they_came() -> None:
    server = listener(Late, deadline=0.05)
    Late.order = []
    await server.start("127.0.0.1", 0)
    async with asyncio.timeout(20):
        for _ in range(2):  # the timer starts anew once there are connections again
            peers = [await asyncio.open_connection(*server.address) for _ in range(3)]
            for reader, writer in peers:
                assert await reader.read() == b""
                writer.close()
        assert len(set(Late.order)) == 6
        assert server.open == 0
        await server.drain(0)


async def test_a_connection_that_ended_in_time_does_not_expire() -> None:
    server = listener(Late, deadline=0.2)
    Late.order = []
    await server.start("127.0.0.1", 0)
    async with asyncio.timeout(20):
        (_, gone), (reader, kept) = [
            await asyncio.open_connection(*server.address) for _ in range(2)
        ]
        gone.close()
        assert await reader.read() == b""
        assert len(Late.order) == 1
        assert Late.order[0].peer == kept.get_extra_info("sockname")
        kept.close()
    await server.drain(0)


async def test_a_later_connection_has_a_later_end() -> None:
    server = listener(Late, deadline=0.05)
    Late.order = []
    await server.start("127.0.0.1", 0)
    async with asyncio.timeout(20):
        _, first = await asyncio.open_connection(*server.address)
        await asyncio.sleep(0.02)
        reader, second = await asyncio.open_connection(*server.address)
        assert await reader.read() == b""
        assert [late.peer for late in Late.order] == [
            writer.get_extra_info("sockname") for writer in (first, second)
        ]
        assert Late.order[0].due < Late.order[1].due
        first.close()
        second.close()
    await server.drain(0)


async def test_it_listens_on_a_socket_that_somebody_else_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = listener(Connection)
        await server.start(sockets=[bound])
        assert server.address == bound.getsockname()
        await server.drain(0)


async def test_it_has_no_address_unless_it_listens() -> None:
    server = listener(Connection)
    with pytest.raises(RuntimeError):
        _ = server.address
    assert await server.drain(0) == 0


async def test_a_port_that_is_taken_is_an_error() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(OSError, match="in use"):
        await listener(Connection).start("127.0.0.1", taken.getsockname()[1])
