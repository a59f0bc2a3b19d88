"""The short lead on panoramisk: each test shows a fault of the bare library that must not show.

What the bare library does was seen with panoramisk 1.4.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.errors import LinkError, LinkRefused, LocalProtocolError
from gateway.frontends.ami_link import MISSING, AmiLink, Event
from tests.fakes.ami import SECRET, Action, FakeAsterisk, Session, dial_begin, fake_asterisk


def ignore(session: Session, action: Action) -> None:
    """Never answer."""


def drop(session: Session, _: Action) -> None:
    """Close the connection instead of an answer."""
    session.close()


@asynccontextmanager
async def linked(
    asterisk: FakeAsterisk, *, events: list[Event] | None = None
) -> AsyncIterator[AmiLink]:
    told = [] if events is None else events
    link = await AmiLink.open(
        "127.0.0.1", asterisk.port, "callgate", SECRET, on_event=told.append, deadline=10
    )
    try:
        yield link
    finally:
        link.close()


async def test_it_logs_in_for_the_events_of_calls_alone() -> None:
    async with fake_asterisk() as asterisk, linked(asterisk):
        login = {"Username": "callgate", "Secret": SECRET, "Events": "call"}
        assert asterisk.told("Login") == [{"Action": "Login", **login}]


async def test_an_originate_is_async_whatever_was_asked_and_leaves_the_link_up() -> None:
    """Bare: without Async, a KeyError drops the connection and the reply never comes."""

    def queued(session: Session, action: Action) -> None:
        session.reply(action, "Message: Originate successfully queued")

    async with fake_asterisk(Originate=queued) as asterisk, linked(asterisk) as link:
        for asked in ({}, {"Async": "false"}, {"async": "no"}):
            answer = await link.action("Originate", {"Channel": "Local/1@x", **asked})
            assert answer[0].success
        told = asterisk.told("Originate")
        assert told == [{"Action": "Originate", "Async": "true", "Channel": "Local/1@x"}] * 3
        assert (await link.action("Ping"))[0].success


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
@pytest.mark.parametrize("in_key", [True, False])
async def test_no_value_carries_a_second_action(end: str, in_key: bool) -> None:
    """Bare: the second action goes out on the wire."""
    evil = f"x{end}Action: Originate"
    async with fake_asterisk() as asterisk, linked(asterisk) as link:
        with pytest.raises(LocalProtocolError):
            await link.action("Hangup", {evil: "1"} if in_key else {"Channel": evil})
        assert (await link.action("Ping"))[0].success
        assert [action["Action"] for action in asterisk.actions] == ["Login", "Ping"]


async def test_an_event_that_its_receiver_cannot_use_leaves_the_link_up() -> None:
    """Bare: an exception in a callback drops the connection."""

    def fail(_: Event) -> None:
        raise RuntimeError("a bug of ours")

    async with fake_asterisk() as asterisk:
        link = await AmiLink.open(
            "127.0.0.1", asterisk.port, "callgate", SECRET, on_event=fail, deadline=10
        )
        asterisk.session.send(dial_begin("0612@carrier"))
        assert (await link.action("Ping"))[0].success
        link.close()


async def test_an_action_without_an_answer_ends_at_its_deadline_and_is_forgotten() -> None:
    """Bare: its future waits for ever."""
    async with fake_asterisk(Hangup=ignore) as asterisk, linked(asterisk) as link:
        link.deadline = 0.1
        with pytest.raises(LinkError, match="did not answer Hangup"):
            await link.action("Hangup", {"Channel": "1.1"})
        link.deadline = 10
        await asterisk.until("Hangup")
        late = asterisk.actions[-1]
        asterisk.session.reply(late)
        assert (await link.action("Ping"))[0].message == "fine"


async def test_what_was_asked_before_a_drop_is_never_asked_again() -> None:
    """Bare: it connects again by itself and sends the Originate twice."""
    async with fake_asterisk(Originate=drop) as asterisk:
        async with linked(asterisk) as link:
            with pytest.raises(LinkError):
                await link.action("Originate", {"Channel": "Local/1@x"})
            assert await link.ended == "it closed the connection"
            with pytest.raises(LinkError):
                await link.action("Ping")
        async with linked(asterisk) as again:
            asterisk.session.send("Event: FullyBooted\nPrivilege: system,all\nStatus: Fully Booted")
            assert (await again.action("Ping"))[0].success
        assert len(asterisk.told("Originate")) == 1
        assert len(asterisk.sessions) == 2


async def test_a_shutdown_that_a_caller_can_write_ends_no_link() -> None:
    """Bare: it hangs up on the event and begins to connect again; close() does not stop it."""
    async with fake_asterisk() as asterisk, linked(asterisk) as link:
        asterisk.session.send("Event: Shutdown")
        asterisk.session.send(" event :  SHUTDOWN \nPrivilege: system,all\nShutdown: Cleanly")
        assert (await link.action("Ping"))[0].success
        assert not link.ended.done()
        asterisk.session.close()
        assert await link.ended
        assert not link._manager.awaiting_actions


async def test_a_character_that_two_reads_cut_apart_is_whole() -> None:
    """Bare: it is lost."""
    events: list[Event] = []
    async with fake_asterisk() as asterisk, linked(asterisk, events=events) as link:
        message = "Event: Newchannel\r\nCallerIDName: Zoé Müller\r\n\r\n".encode()
        for byte in message:
            asterisk.session.raw(bytes([byte]))
            await asterisk.session.writer.drain()
            await asyncio.sleep(0)
        await link.action("Ping")
        assert [event["CallerIDName"] for event in events] == ["Zoé Müller"]


async def test_a_wrong_secret_is_said() -> None:
    """Bare: it tries for ever and raises nothing."""
    async with fake_asterisk() as asterisk:
        with pytest.raises(LinkRefused, match="Authentication failed"):
            await AmiLink.open(
                "127.0.0.1", asterisk.port, "callgate", "wrong", on_event=print, deadline=10
            )
        assert len(asterisk.told("Login")) == 1


class Hasty(AmiLink):
    """A link that has no patience once it is connected."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.deadline = 0.1


async def test_a_login_without_an_answer_ends_at_its_deadline() -> None:
    async with fake_asterisk(Login=ignore) as asterisk:
        link = Hasty(print, 10)
        with pytest.raises(LinkError, match="did not answer Login"):
            await link.begin("127.0.0.1", asterisk.port, "callgate", SECRET)
        assert link.ended.done()


@pytest.mark.parametrize("connected", [False, True], ids=["before it connects", "unanswered"])
async def test_an_action_waits_until_the_link_is_let_in(connected: bool) -> None:
    """Asterisk denies it before; the manager has nobody to send it to while it connects."""

    def hold(_: Session, action: Action) -> None:
        held.append(action)

    def obey(session: Session, action: Action) -> None:
        session.reply(action, response="Success" if let_in.is_set() else "Error")

    held: list[Action] = []
    let_in = asyncio.Event()
    async with fake_asterisk(Login=hold, Hangup=obey) as asterisk:
        link = AmiLink(print, 10)
        begun = asyncio.create_task(link.begin("127.0.0.1", asterisk.port, "callgate", SECRET))
        if connected:
            await asterisk.until("Login")
        early = asyncio.create_task(link.action("Hangup", {"Channel": "1.1"}))
        await asterisk.until("Login")
        for _ in range(20):  # so that one that does not wait is there
            await asyncio.sleep(0)
        let_in.set()
        asterisk.session.reply(held[0], "Message: Authentication accepted")
        await begun
        assert (await early)[0].success
        link.close()


@pytest.mark.parametrize("refused", [False, True], ids=["nobody listens", "a wrong secret"])
async def test_an_action_of_a_link_that_is_never_let_in_ends_with_it(refused: bool) -> None:
    async with fake_asterisk() as asterisk:
        port = asterisk.port if refused else 1
        link = AmiLink(print, 600)
        early = asyncio.create_task(link.action("Hangup", {"Channel": "1.1"}))
        with pytest.raises(LinkError):
            await link.begin("127.0.0.1", port, "callgate", "wrong")
        with pytest.raises(LinkError):
            await asyncio.wait_for(early, 20)
        assert asterisk.told("Hangup") == []


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
async def test_a_name_that_can_be_none_is_a_link_error(host: str) -> None:
    """Encoding it fails with another error than the look-up."""
    with pytest.raises(LinkError, match=host):
        await AmiLink.open(host, 5038, "callgate", SECRET, on_event=print, deadline=10)


async def test_a_list_comes_whole() -> None:
    async with fake_asterisk() as asterisk, linked(asterisk) as link:
        asterisk.channels += ["1.1", "1.2"]
        reply, *events = await link.action("Status")
        assert reply.success
        assert [event.uniqueid for event in events] == ["1.1", "1.2", ""]


async def test_a_message_without_an_end_ends_the_link() -> None:
    async with fake_asterisk() as asterisk, linked(asterisk) as link:
        asterisk.session.raw(b"Event: " + b"x" * 300_000)
        assert "without an end" in await link.ended


async def test_a_port_where_nobody_listens_is_a_link_error() -> None:
    async with fake_asterisk() as asterisk:
        pass
    with pytest.raises(LinkError):
        async with linked(asterisk):
            pass


async def test_a_missing_library_is_said_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "panoramisk", None)
    with pytest.raises(LinkRefused) as caught:
        await AmiLink.open("127.0.0.1", 1, "callgate", SECRET, on_event=print, deadline=1)
    assert str(caught.value) == MISSING


async def test_after_the_end_nothing_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare: a lost connection plans the next one, and close() in between does not stop it."""
    loop, planned = asyncio.get_running_loop(), list[object]()
    plan = loop.call_later

    def call_later(delay: float, callback: Any, *args: Any, **options: Any) -> Any:
        planned.append(callback)
        return plan(delay, callback, *args, **options)

    async with fake_asterisk() as asterisk, linked(asterisk) as link:
        monkeypatch.setattr(loop, "call_later", call_later)
        asterisk.session.close()
        await link.ended
        link.close()
        for _ in range(10):
            await asyncio.sleep(0)
        monkeypatch.undo()
    assert link._manager.connect not in planned
    assert len(asterisk.sessions) == 1
