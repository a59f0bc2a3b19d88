"""A turn is bounded in time: whoever costs much holds up the loop no longer than one read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from gateway.frontends import tcp
from gateway.frontends.connection import Connection
from gateway.frontends.esl_outbound import MAX_MESSAGES, EslOutbound
from gateway.frontends.fastagi import FastAgi
from gateway.frontends.tcp import Listener
from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi import MAX_HANGUPS
from gateway.protocols.agi_client import Channel, environment
from gateway.protocols.buffer import Buffer
from tests.fakes.freeswitch import channel_data
from tests.fakes.screener import WatchedMetrics
from tests.fuzz.sessions import Talk

ENVIRONMENT = environment(
    f"agi://127.0.0.1/{screen_path('inbound', '', '', '+33611223344', '+33140000000')}", Channel()
)
CHANNEL = channel_data("national", callgate_direction="inbound")


class Greedy(Connection):
    """Answers ``once``; reads what else it is sent, for ever."""

    def received(self, data: bytes) -> None:
        if data == b"once":
            self.send(b"told")
            self.close()


@asynccontextmanager
async def listening(turns: list[int]) -> AsyncIterator[Listener]:
    def hold() -> None:
        turns.append(0)

    server = Listener(
        *("agi", Greedy), counters=WatchedMetrics(), max_connections=99, deadline=60.0, hold=hold
    )
    await server.start("127.0.0.1", 0)
    async with asyncio.timeout(60):
        yield server
    await server.drain(0)


async def test_whom_a_turn_has_no_time_for_is_first_in_the_next_whatever_others_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "SPAN", -1.0)  # every turn has time for one
    loop = asyncio.get_running_loop()
    turns: list[int] = []

    async def send_for_ever(peer: socket.socket) -> None:
        while True:
            await loop.sock_sendall(peer, b"x" * 100_000)

    async with listening(turns) as server:
        with ExitStack() as stack:
            greedy, modest = (
                [stack.enter_context(socket.create_connection(server.address)) for _ in range(10)]
                for _ in range(2)
            )
            for peer in (*greedy, *modest):
                peer.setblocking(False)
            sending = [asyncio.ensure_future(send_for_ever(peer)) for peer in greedy]
            while len(turns) < 100:  # noqa: ASYNC110 - the greedy are ready in every turn by now
                await asyncio.sleep(0)
            for peer in modest:
                await loop.sock_sendall(peer, b"once")
            for peer in modest:
                assert await loop.sock_recv(peer, 10) == b"told"
            for task in sending:
                task.cancel()
            await asyncio.wait(sending)


@pytest.mark.parametrize("size", [65536, 1])
def test_newlines_before_a_message_are_dropped_in_one_step(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    steps = 0
    take = Buffer.take

    def counted(buffer: Buffer, mark: bytes) -> bytes | None:
        nonlocal steps
        steps += 1
        return take(buffer, mark)

    monkeypatch.setattr(Buffer, "take", counted)
    talk = Talk(EslOutbound, b"\n" * 3000 + CHANNEL, max(size, 1000))
    assert b"CALLGATE_VERDICT" in talk.said
    assert steps < 20


def test_more_messages_than_a_channel_has_are_not_read() -> None:
    talk = Talk(EslOutbound, CHANNEL + b"Content-Type: x\n\n" * MAX_MESSAGES * 10)
    assert b"CALLGATE_VERDICT=block" in talk.said
    assert talk.hostile


@pytest.mark.parametrize(
    ("hangups", "hostile"), [(2, False), (MAX_HANGUPS + 1, True), (9000, True)]
)
def test_whoever_hangs_up_more_often_than_anybody_can_is_hostile(
    hangups: int, hostile: bool
) -> None:
    talk = Talk(FastAgi, ENVIRONMENT + b"HANGUP\n" * hangups)
    assert (b"CALLGATE_VERDICT=block" in talk.said) is hostile
    assert talk.hostile is hostile


@pytest.mark.parametrize("name", ["variable_callgate_caller", "Caller-Destination-Number"])
def test_a_number_longer_than_any_is_blocked_undecoded(name: str) -> None:
    data = channel_data("national", callgate_direction="inbound", headers={name: b"%41" * 60_000})
    talk = Talk(EslOutbound, data)
    assert talk.hostile
    assert b"CALLGATE_VERDICT=block" in talk.said
    assert len(talk.attempts[-1].caller) < 5000
    assert len(talk.attempts[-1].callee) < 5000


def test_of_a_name_longer_than_any_only_the_beginning_is_recorded() -> None:
    headers: dict[str, str | bytes | None] = {"Caller-Caller-ID-Name": b"%41" * 60_000}
    talk = Talk(
        EslOutbound, channel_data("national", callgate_direction="inbound", headers=headers)
    )
    assert not talk.hostile
    assert talk.attempts[-1].caller_name.startswith("AAAA")
    assert len(talk.attempts[-1].caller_name) < 5000
