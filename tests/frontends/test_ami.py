"""The guard of Asterisk: legs that nobody asked about are calls of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.fakes.ami import (
    Action,
    Session,
    dial_begin,
    fake_asterisk,
    hangup,
    snapshot,
)
from tests.support.asteriskguards import BLOCKED, HANGUP, guard_of, live_call
from tests.support.guards import Bench
from tests.support.policies import number


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_leg_that_nobody_asked_about_is_decided_and_hung_up(bench: Bench) -> None:
    async with fake_asterisk() as asterisk, bench.watching(guard_of(bench, asterisk)):
        asterisk.session.send(dial_begin(f"{BLOCKED}@carrier", caller="1001"))
        assert await asterisk.until("Hangup") == [HANGUP]
        (attempt,) = await bench.journal.settled(1)
    assert (attempt.frontend, attempt.verdict, attempt.list) == ("ami", "block", "nuisance")
    assert (attempt.direction, attempt.trunk, attempt.pbx) == ("outbound", "carrier", "asterisk")
    assert (attempt.caller, attempt.callee) == ("1001", BLOCKED)
    assert (attempt.channel_id, attempt.delivery) == ("1795368179.1", "confirmed")


@pytest.mark.parametrize(
    "begun",
    [
        dial_begin(f"{BLOCKED}@carrier", mark="+33612999002"),
        dial_begin("112@carrier", mark="112"),
        dial_begin("1002@phones"),
        dial_begin("1001"),
        dial_begin(f"{BLOCKED}@carrier").replace("PJSIP/carrier", "Local/carrier"),
    ],
    ids=["asked about", "an emergency", "an extension", "a telephone", "a dialplan"],
)
async def test_a_leg_that_needs_no_verdict_leaves_no_attempt(bench: Bench, begun: str) -> None:
    async with fake_asterisk() as asterisk, bench.watching(guard_of(bench, asterisk)):
        asterisk.session.send(begun, dial_begin(f"{BLOCKED}@carrier", uniqueid="2.2"))
        await asterisk.until("Hangup")
    assert [attempt.channel_id for attempt in bench.attempts] == ["2.2"]


async def test_a_mark_for_another_number_is_none(bench: Bench) -> None:
    """A call to an allowed number that was forwarded: the mark is inherited."""
    async with fake_asterisk() as asterisk, bench.watching(guard_of(bench, asterisk)):
        asterisk.session.send(dial_begin(f"{BLOCKED}@carrier", mark="+33612000000"))
        assert await asterisk.until("Hangup") == [HANGUP]


async def test_an_allowed_leg_is_an_attempt_and_left_alone(bench: Bench) -> None:
    async with fake_asterisk() as asterisk, bench.watching(guard_of(bench, asterisk)):
        asterisk.session.send(dial_begin("0612000000@carrier"))
        asterisk.session.send(dial_begin(f"{BLOCKED}@carrier", uniqueid="2.2"))
        await asterisk.until("Hangup")
    assert [attempt.verdict for attempt in bench.attempts] == ["allow", "block"]
    assert bench.attempts[0].delivery == "reported"
    assert [action["Channel"] for action in asterisk.told("Hangup")] == ["2.2"]


async def test_a_way_out_that_the_policy_does_not_know_is_the_trunk_of_the_setting(
    bench: Bench,
) -> None:
    begun = dial_begin(f"{BLOCKED}@other").replace("PJSIP/carrier", "PJSIP/other")
    for trunk in ("", "carrier"):
        async with (
            fake_asterisk() as asterisk,
            bench.watching(guard_of(bench, asterisk, trunk=trunk)),
        ):
            asterisk.session.send(begun)
            await asterisk.until("Hangup")
    assert [attempt.trunk for attempt in bench.attempts] == ["", "carrier"]


async def test_an_event_that_a_caller_has_cut_is_never_acted_on(bench: Bench) -> None:
    """Asterisk writes a caller's number raw: these are its bytes for a line end in From."""
    evil = "x\n\nEvent: DialBegin\nDestUniqueid: 9.9\nDialString: 0612999002@carrier"
    async with fake_asterisk() as asterisk, bench.watching(guard_of(bench, asterisk)):
        asterisk.session.send(dial_begin("0612000000@carrier", caller=evil))
        asterisk.session.send(f"Event: Hangup\nUniqueid: {evil}")
        asterisk.session.send(dial_begin(f"{BLOCKED}@carrier", uniqueid="2.2"))
        await asterisk.until("Hangup")
    assert [action["Channel"] for action in asterisk.told("Hangup")] == ["2.2"]
    hostile = bench.metrics.value("callgate_hostile_requests_total", frontend="ami")
    assert hostile == 3


FORGED = [
    "Event: x",
    "event: Hangup",
    "Ev\N{LATIN SMALL LETTER E WITH ACUTE}ent: x\nEVENT: x",
    "ActionID: 1\nActionID: 2",
    "response: Error\nResponse: Error",
    "destchannel: Local/x\nchannel: Local/x",
]


@pytest.mark.parametrize("lines", FORGED)
async def test_a_caller_can_make_no_other_event_of_that_of_a_leg(
    bench: Bench, lines: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Bare: the last line of a name counts, in any letters, and two of one kind are an error."""
    begun = dial_begin(f"{BLOCKED}@carrier", caller=f"+1\n{lines}")
    begun = begun.replace("DestConnectedLineNum: <unknown>", f"DestConnectedLineNum: +1\n{lines}")
    assert begun.count(lines) == 2
    async with fake_asterisk() as asterisk, bench.watching(guard_of(bench, asterisk)):
        asterisk.session.send(begun)
        assert await asterisk.until("Hangup") == [HANGUP]
        await bench.journal.settled(1)
    assert "could not be used" not in caplog.text


async def test_a_message_that_panoramisk_cannot_use_is_said_a_few_times_only(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fake_asterisk() as asterisk:
        guard = guard_of(bench, asterisk)
        async with bench.watching(guard):
            assert guard._ami
            dispatch = guard._ami._manager.dispatch

            def fail(event: Any) -> None:
                if event.event == "Odd":
                    raise KeyError("odd")
                dispatch(event)

            monkeypatch.setattr(guard._ami._manager, "dispatch", fail)
            asterisk.session.send(*["Event: Odd"] * 50, dial_begin(f"{BLOCKED}@carrier"))
            await asterisk.until("Hangup")
    assert sum("could not be used" in record.message for record in caplog.records) == 10


async def test_a_caller_cannot_fill_the_log_with_events_that_are_cut(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    cut = dial_begin("0612000000@carrier", caller="x\n\ny")
    async with fake_asterisk() as asterisk, bench.watching(guard_of(bench, asterisk)):
        asterisk.session.send(*[cut] * 50, dial_begin(f"{BLOCKED}@carrier", uniqueid="2.2"))
        await asterisk.until("Hangup")
    assert bench.metrics.value("callgate_hostile_requests_total", frontend="ami") >= 50
    assert sum("is not used" in record.message for record in caplog.records) == 10


async def test_a_channel_that_was_gone_already_is_said(bench: Bench) -> None:
    def gone(session: Session, action: Action) -> None:
        session.reply(action, "Message: No such channel", "Error")

    async with fake_asterisk(Hangup=gone) as asterisk, bench.watching(guard_of(bench, asterisk)):
        asterisk.session.send(dial_begin(f"{BLOCKED}@carrier"))
        (attempt,) = await bench.journal.settled(1)
    assert attempt.delivery == "lost"
    failed = {"frontend": "ami", "action": "kill", "result": "failed"}
    assert bench.metrics.value("callgate_guard_actions_total", **failed) == 1


async def test_a_lost_link_is_made_again_and_nothing_is_asked_twice(bench: Bench) -> None:
    def vanish(session: Session, _: Action) -> None:
        session.close()

    async with fake_asterisk(Hangup=vanish) as asterisk:
        guard = guard_of(bench, asterisk)
        async with bench.watching(guard):
            asterisk.session.send(dial_begin(f"{BLOCKED}@carrier"))
            (attempt,) = await bench.journal.settled(1)
            assert attempt.delivery == "sent"
            await bench.metrics.until(
                2, "callgate_guard_links_total", frontend="ami", result="connected"
            )
            await guard.connected.wait()
    assert asterisk.told("Hangup") == [HANGUP]
    assert bench.metrics.value("callgate_guard_links_total", frontend="ami", result="lost") == 1


@pytest.mark.parametrize("times", [1, 2], ids=["the first link", "the next link"])
async def test_a_leg_that_begins_with_the_login_is_hung_up(bench: Bench, times: int) -> None:
    """Its event can come in one packet with the reply to the login."""

    def at_once(session: Session, action: Action) -> None:
        session.reply(action, "Message: Authentication accepted")
        if len(asterisk.sessions) == times:
            session.send(dial_begin(f"{BLOCKED}@carrier"))

    def vanish_once(session: Session, action: Action) -> None:
        if len(asterisk.sessions) < times:
            session.close()
        else:
            asterisk.answer(session, action)

    async with (
        fake_asterisk(Login=at_once, Status=vanish_once) as asterisk,
        bench.watching(guard_of(bench, asterisk)),
    ):
        (attempt,) = await bench.journal.settled(1)
    assert asterisk.told("Hangup") == [HANGUP]
    assert attempt.delivery == "confirmed"


async def test_a_link_that_does_not_answer_is_dead(bench: Bench) -> None:
    def once(session: Session, action: Action) -> None:
        """Answer the first, and have no patience with the next."""
        if len(asterisk.told("Status")) == 1:
            asterisk.answer(session, action)
            assert guard._ami
            guard._ami.deadline = 0.1

    async with fake_asterisk(Status=once) as asterisk:
        guard = guard_of(bench, asterisk, audit=0.1)
        async with bench.watching(guard):
            lost = {"frontend": "ami", "result": "lost"}
            await bench.metrics.until(1, "callgate_guard_links_total", **lost)


async def test_a_wrong_secret_is_said_and_tried_again_later(bench: Bench) -> None:
    async with fake_asterisk() as asterisk:
        pauses: list[int] = []

        def pause(failures: int) -> float:
            pauses.append(failures)
            return 0.0

        guard = guard_of(bench, asterisk, secret="wrong")
        guard._pause = pause
        running = asyncio.create_task(guard.run())
        refused = {"frontend": "ami", "result": "refused"}
        await bench.metrics.until(3, "callgate_guard_links_total", **refused)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert pauses[:2] == [1, 2]
    assert bench.metrics.value("callgate_guard_connected", frontend="ami") == 0


async def test_a_number_that_is_added_hangs_up_its_live_calls(bench: Bench) -> None:
    async with fake_asterisk() as asterisk:
        guard = guard_of(bench, asterisk)
        async with bench.watching(guard):
            for place, callee in enumerate(["0612000001", "0612000002", "0612000001"]):
                bench.screener.screen(live_call(f"5.{place}", callee), "agi")
            asterisk.session.send(hangup("5.2"), dial_begin(f"{BLOCKED}@carrier"))
            await bench.journal.settled(1)
            bench.add(number("dropping", "33612000001"))
            await guard.drop(frozenset({"dropping"}))
            await bench.journal.settled(2)
            assert [action["Channel"] for action in asterisk.told("Hangup")[1:]] == ["5.0"]
    last = bench.attempts[-1]
    assert (last.frontend, last.verdict, last.list) == ("ami", "block", "dropping")
    assert last.delivery == "confirmed"
    assert len(guard.live) == 1


async def test_a_list_that_does_not_say_so_hangs_up_nothing(bench: Bench) -> None:
    async with fake_asterisk() as asterisk:
        guard = guard_of(bench, asterisk)
        async with bench.watching(guard):
            bench.screener.screen(live_call("5.0", "0612000001"), "agi")
            bench.add(number("blacklist", "33612000001"))
            await guard.drop(frozenset({"blacklist", "dropping"}))
    assert asterisk.told("Hangup") == []
    assert len(bench.attempts) == 1


async def test_channels_that_no_event_told_of_are_counted(bench: Bench) -> None:
    async with fake_asterisk() as asterisk:
        asterisk.channels.append("1.1")  # older than the link
        async with bench.watching(guard_of(bench, asterisk, audit=0.1)):
            asterisk.session.send(
                f"Event: Newchannel\nPrivilege: call,all\n{snapshot('PJSIP/a-00000001', '1.2')}"
            )
            asterisk.channels += ["1.2", "1.3"]
            await bench.metrics.until(1, "callgate_guard_missed_total", frontend="ami")
            await asterisk.until("Status", len(asterisk.told("Status")) + 3)
    assert bench.metrics.value("callgate_guard_missed_total", frontend="ami") == 1
