"""FreeSWITCH's notice that a call is over and that it lingers: no error, and one delivery.

The bytes are those of 1.11.1, which sends them to whoever has asked for it with ``linger``.
"""

from __future__ import annotations

import asyncio

import pytest

from gateway.attempts.model import Delivery
from gateway.frontends.esl_outbound import EslOutbound
from tests.fakes.freeswitch import CONNECT, captured, channel_data
from tests.support.frontends import Gateway, ended, gateways

NOTICE = captured("lingering.notice")
CALL = channel_data("normal", {"callgate_direction": "inbound"})
OK = captured("normal.sendmsg-reply")


@pytest.mark.parametrize("chunk", [1, 16, 4096])
@pytest.mark.parametrize(
    ("reply", "delivery"), [(OK, Delivery.CONFIRMED), (b"", Delivery.SENT)], ids=["told", "untold"]
)
async def test_a_call_that_ends_with_linger_is_delivered_once(
    chunk: int, reply: bytes, delivery: Delivery
) -> None:
    said = reply + NOTICE
    async with asyncio.timeout(60), gateways(Gateway, EslOutbound, "esl") as start:
        gateway = await start()
        async with gateway.peer() as (reader, writer):
            assert await reader.readuntil(b"\n\n") == CONNECT + b"\n\n"
            writer.write(CALL)
            await reader.readuntil(b"exit\n\n")
            for at in range(0, len(said), chunk):
                writer.write(said[at : at + chunk])
                await writer.drain()
            assert await ended(reader) == b""
        assert await gateway.screener.outcome() is delivery
        assert len(gateway.screener.deliveries) == 1
        assert len(gateway.screener.calls) == 1
