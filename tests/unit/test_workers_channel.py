"""Messages between parent and worker: whole, in order, bounded, and never in the way."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls import Call, Direction, Presentation
from gateway.metrics import Metrics
from gateway.policy.model import Entry, EntryKind
from gateway.workers import channel, messages
from gateway.workers.channel import Channel
from tests.support.examples import tries

LONG = 60


class End:
    """One end, and what came to it."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.ended = asyncio.Event()
        self.news = asyncio.Event()

    def hear(self, message: Any) -> None:
        self.heard.append(message)
        self.news.set()

    async def until(self, count: int) -> list[Any]:
        async with asyncio.timeout(LONG):
            while len(self.heard) < count:
                self.news.clear()
                await self.news.wait()
        return self.heard


@asynccontextmanager
async def pair(
    hear: Callable[[End], Callable[[Any], None]] = lambda end: end.hear,
) -> AsyncIterator[tuple[Channel, End, socket.socket]]:
    """A channel whose messages reach an end; and the raw socket that feeds that end."""
    ours, theirs = socket.socketpair()
    end = End()
    received = await Channel.on(theirs, messages.ToWorker, hear(end), end.ended.set)
    raw = ours.dup()
    sender = await Channel.on(ours, messages.ToParent, lambda _: None, lambda: None)
    try:
        yield sender, end, raw
    finally:
        raw.close()
        sender.close()
        received.close()
        async with asyncio.timeout(LONG):
            await end.ended.wait()


EVERY = [
    messages.Begin(
        boards={"agi": messages.Board(descriptor=7, secret="x", max_connections=500, deadline=1.0)},
        journal="/state/journal",
        segment_bytes=1,
        durability="disk",
        emergencies={"": 1.5},
        guarded=True,
    ),
    messages.Part({3: Entry("blacklist", EntryKind.PREFIX, "33162", managed=3), 4: None}),
    messages.Open(number=2, after=1, revision="0123456789ab+4", directory=""),
    messages.Emergency("carrier", 2.5),
    messages.Ask(9),
    messages.Rotate(),
    messages.Done(1, "added"),
    messages.Stop(1.5),
]


async def test_every_message_arrives_as_it_was_sent_and_in_order() -> None:
    async with pair() as (sender, end, _):
        for message in EVERY:
            assert sender.send(message)
        assert await end.until(len(EVERY)) == EVERY


async def test_what_a_worker_says_arrives_as_it_was_sent() -> None:
    metrics = Metrics()
    metrics.observe("callgate_decision_seconds", 0.2, frontend="agi")
    call = Call(
        direction=Direction.INBOUND,
        caller="+33162000000",
        callee="",
        at=1.0,
        presentation=Presentation.RESTRICTED,
    )
    said = [
        messages.Hello(),
        messages.Opened(1, "why"),
        messages.Figures(3, metrics.snapshot(), 2),
        messages.Star(id=1, op="block", number="0611", by="100"),
        messages.Allowed(call),
        messages.Ended(2),
    ]
    ours, theirs = socket.socketpair()
    end = End()
    await Channel.on(theirs, messages.ToParent, end.hear, end.ended.set)
    sender = await Channel.on(ours, messages.ToWorker, lambda _: None, lambda: None)
    assert all(sender.send(message) for message in said)
    assert await end.until(len(said)) == said
    sender.close()
    async with asyncio.timeout(LONG):
        await end.ended.wait()


@given(cuts=st.lists(st.integers(1, 40), max_size=20))
@tries(30)
def test_messages_may_arrive_in_any_pieces(cuts: list[int]) -> None:
    heard: list[Any] = []
    end = Channel(messages.ToWorker, heard.append, lambda: None)
    data = b"".join(_framed(message) for message in EVERY)
    for cut in cuts:
        end.data_received(data[:cut])
        data = data[cut:]
    end.data_received(data)
    assert heard == EVERY


def _framed(message: messages.Message) -> bytes:
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\1\xc1", b"\0\0\0\2\x90\x90"])
async def test_a_message_that_cannot_be_read_ends_the_channel(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with pair() as (_, end, raw):
        raw.sendall(data)
        async with asyncio.timeout(LONG):
            await end.ended.wait()
    assert "the channel between parent and worker is broken" in caplog.text


async def test_an_error_of_whoever_handles_a_message_leaves_the_channel_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def hear(end: End) -> Callable[[Any], None]:
        def handle(message: Any) -> None:
            end.hear(message)
            if isinstance(message, messages.Ask):
                raise ValueError("no")

        return handle

    async with pair(hear) as (sender, end, _):
        sender.send(messages.Ask(1))
        sender.send(messages.Stop(1.0))
        assert await end.until(2) == [messages.Ask(1), messages.Stop(1.0)]
    assert caplog.records[-1].levelno == logging.ERROR


async def test_nothing_waits_for_a_peer_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel, "ROOM", 10_000)
    ours, theirs = socket.socketpair()
    sender = await Channel.on(ours, messages.ToParent, lambda _: None, lambda: None)
    sent = 0
    while sender.send(messages.Done(1, "x" * 1000)):
        sent += 1
        assert sent < 10_000
    assert sent
    theirs.close()
    sender.close()


async def test_nothing_is_sent_to_one_that_is_gone() -> None:
    async with pair() as (sender, end, raw):
        raw.close()
        sender.close()
        async with asyncio.timeout(LONG):
            await end.ended.wait()
        assert not sender.send(messages.Rotate())
