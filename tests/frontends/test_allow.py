"""Who is not in ``allow`` is closed before a byte of it is read: real sockets, every listener."""

from __future__ import annotations

import asyncio
import http.client
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.frontends.esl_outbound import EslOutbound
from gateway.frontends.fastagi import FastAgi
from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi_client import Channel, environment
from tests.fakes.asterisk import agi_call
from tests.fakes.freeswitch import esl_call
from tests.support.frontends import Gateway, ended, gateways
from tests.support.load import Load, right
from tests.support.served import Served, served

LONG = 60
PATH = screen_path("inbound", "t5", "", "+15551234567", "+33140000000")
WHOLE = environment(f"agi://127.0.0.1/{PATH}", Channel())
"""A whole call, which would be answered if it were read."""
LET_GO = b"connect\n\nexit\n\n"
"""A FreeSWITCH whose channel is not let go may park its call for ever."""
Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def agi() -> AsyncIterator[Start]:
    async with asyncio.timeout(LONG), gateways(Gateway, FastAgi, "agi") as start:
        yield start


@pytest.fixture
async def esl() -> AsyncIterator[Start]:
    async with asyncio.timeout(LONG), gateways(Gateway, EslOutbound, "esl") as start:
        yield start


async def heard_elsewhere(port: int, data: bytes = b"") -> bytes:
    """What a peer at 127.0.0.2 hears, whatever it sends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    try:
        writer.write(data)
        return await ended(reader)
    finally:
        writer.close()


async def test_a_stranger_who_sends_a_whole_call_is_closed_unheard(
    agi: Start, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await agi(allow=["127.0.0.1", "192.0.2.0/24"])
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            assert await heard_elsewhere(gateway.port, WHOLE) == b""
    await gateway.unanswered("not_allowed", 30)
    assert not gateway.screener.calls
    assert not gateway.screener.refused
    told = [text for text in caplog.messages if "it is not in agi.allow" in text]
    assert 1 <= len(told) <= 10
    assert "127.0.0.2" in told[0]
    variables, _ = await agi_call("127.0.0.1", gateway.port, PATH)
    assert variables["CALLGATE_VERDICT"] == "block"
    assert len(gateway.screener.calls) == 1


async def test_a_freeswitch_that_is_a_stranger_goes_on_in_its_dialplan(esl: Start) -> None:
    gateway = await esl(allow=["127.0.0.1"])
    assert await heard_elsewhere(gateway.port) == LET_GO
    await gateway.unanswered("not_allowed")
    assert not gateway.screener.calls
    channel = await esl_call("127.0.0.1", gateway.port)
    assert channel.variables["CALLGATE_VERDICT"] == "block"


async def test_strangers_take_nobodys_room(agi: Start) -> None:
    gateway = await agi(allow=["127.0.0.1"], max_connections=1)
    async with gateway.peer():
        await gateway.connected(1)
        assert await heard_elsewhere(gateway.port, WHOLE) == b""
        await gateway.unanswered("not_allowed")
        assert gateway.server.listener.open == 1
        await gateway.metrics.until(
            0, "callgate_unanswered_total", frontend="agi", cause="over_limit"
        )


async def test_without_networks_everybody_may_connect(agi: Start) -> None:
    gateway = await agi()
    heard = await heard_elsewhere(gateway.port, WHOLE.replace(b"agi_", b"xgi_"))
    assert heard == b""
    await gateway.unanswered("garbage")


def _status_from(port: int, source: str) -> int:
    """The status of a request from an address; 0 when it was closed without one."""
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG, source_address=(source, 0))
    try:
        asking.request("GET", "/healthz")
        return asking.getresponse().status
    except (ConnectionError, http.client.HTTPException):
        return 0
    finally:
        asking.close()


async def _is_kept(gateway: Served) -> None:
    for port in (gateway.agi, gateway.esl):
        assert b"CALLGATE" not in await heard_elsewhere(port, WHOLE)
    assert await asyncio.to_thread(_status_from, gateway.http, "127.0.0.2") == 0
    assert await asyncio.to_thread(_status_from, gateway.http, "127.0.0.1") == 200
    load = Load(gateway, callers=2)
    async with load.running():
        await load.answered(6)
    assert right(load.answers)
    assert not load.broken
    turned_away = 0.0
    async with asyncio.timeout(LONG):
        while turned_away != 2:
            found = await gateway.metrics()
            turned_away = sum(value for key, value in found.items() if 'cause="not_allowed"' in key)
    await gateway.logged("it is not in http.allow")


@pytest.mark.parametrize("workers", [1, 2])
async def test_every_listener_of_a_gateway_keeps_strangers_out_in_one_process_and_in_workers(
    workers: int,
) -> None:
    async with served(allow=["127.0.0.1/32", "::1"], http=True, workers=workers) as gateway:
        await _is_kept(gateway)
        await gateway.stop()
