"""The guard of Asterisk counts its channels: a leg that no event told of is decided, once."""

from __future__ import annotations

import asyncio

import pytest

from gateway.frontends import ami_link
from tests.fakes.ami import Action, Session, dial_begin, fake_asterisk, standing
from tests.support.asteriskguards import BLOCKED, HANGUP, guard_of, live_call
from tests.support.guards import Bench

ORIGINATED = "<sip:0612999002@127.0.0.1>"


@pytest.fixture
async def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    "leg",
    [
        standing(f"{BLOCKED}@carrier", caller="1001"),
        standing(f"carrier/sip:{BLOCKED}@127.0.0.1", name="SIP/carrier-00000008"),
        standing(f"{BLOCKED}@carrier", mark="+33612000000"),
        standing(to=ORIGINATED),
        standing(to=f'"Ann" {ORIGINATED}', state=5),
    ],
    ids=["dialled", "by another driver", "forwarded", "originated", "with a name"],
)
async def test_a_leg_that_is_older_than_the_link_is_decided_once(bench: Bench, leg: str) -> None:
    async with fake_asterisk() as asterisk:
        asterisk.legs.append(leg)
        async with bench.watching(guard_of(bench, asterisk, audit=0.1)):
            asterisk.session.send(dial_begin(f"{BLOCKED}@carrier"))
            await asterisk.until("Status", len(asterisk.told("Status")) + 3)
        assert await asterisk.until("Hangup") == [HANGUP]
        (attempt,) = await bench.journal.settled(1)
    assert (attempt.frontend, attempt.verdict, attempt.callee) == ("ami", "block", BLOCKED)
    assert (attempt.trunk, attempt.delivery) == ("carrier", "confirmed")


@pytest.mark.parametrize(
    "channel",
    [
        standing(f"{BLOCKED}@carrier", mark="+33612999002"),
        standing("1001", name="PJSIP/1001-00000008"),
        standing(f"{BLOCKED}@carrier", name="Local/0612999002@out-00000008;1"),
        standing(to=ORIGINATED, mark="+33612999002"),
        standing(to=ORIGINATED, asked="sip:0140000000@127.0.0.1"),
        standing(to=ORIGINATED, asked="tel:0140000000").replace("=127.0.0.1", "="),
        standing(to=ORIGINATED, name="PJSIP/phone-00000008"),
        standing(to=ORIGINATED, state=0),
        standing(to=ORIGINATED, name="IAX2/carrier-00000008"),
        standing(to="<sip:127.0.0.1>"),
        standing(f"{BLOCKED}@carrier").replace("Language: en\n", ""),
    ],
    ids=[
        "asked about",
        "a telephone",
        "a dialplan",
        "asked about by whoever originated",
        "a call that came in",
        "a call that came in to tel:",
        "no trunk",
        "not yet called",
        "another driver",
        "no number",
        "cut by a caller",
    ],
)
async def test_a_channel_that_needs_no_verdict_is_left_alone(bench: Bench, channel: str) -> None:
    async with fake_asterisk() as asterisk:
        asterisk.legs += [channel, standing(f"{BLOCKED}@carrier", uniqueid="2.2")]
        async with bench.watching(guard_of(bench, asterisk, audit=0.1)):
            await asterisk.until("Status", len(asterisk.told("Status")) + 3)
            await asterisk.until("Hangup")
    assert [attempt.channel_id for attempt in bench.attempts] == ["2.2"]


async def test_a_leg_that_began_while_there_was_no_link_is_decided(bench: Bench) -> None:
    async with fake_asterisk() as asterisk:
        asterisk.legs.append(standing("0612000000@carrier", uniqueid="1.1"))
        async with bench.watching(guard_of(bench, asterisk)):
            asterisk.session.send(dial_begin("0612000002@carrier", uniqueid="1.2"))
            asterisk.session.send(dial_begin(f"{BLOCKED}@carrier", uniqueid="1.3"))
            await bench.journal.settled(3)
            asterisk.legs += [
                standing("0612000002@carrier", uniqueid="1.2"),
                standing(f"{BLOCKED}@carrier", uniqueid="2.2"),
            ]
            asterisk.session.close()
            await bench.journal.settled(4)
    verdicts = [(attempt.channel_id, attempt.verdict) for attempt in bench.attempts]
    assert verdicts == [("1.1", "allow"), ("1.2", "allow"), ("1.3", "block"), ("2.2", "block")]
    assert [action["Channel"] for action in asterisk.told("Hangup")] == ["1.3", "2.2"]


async def test_a_leg_whose_end_was_lost_with_the_link_is_decided_again(bench: Bench) -> None:
    def vanish_once(session: Session, action: Action) -> None:
        if len(asterisk.told("Hangup")) > 1:
            session.reply(action)
        else:
            session.close()

    async with fake_asterisk(Hangup=vanish_once) as asterisk:
        asterisk.legs.append(standing(f"{BLOCKED}@carrier"))
        async with bench.watching(guard_of(bench, asterisk)):
            first, second = await bench.journal.settled(2)
    assert (first.delivery, second.delivery) == ("sent", "confirmed")


async def test_a_leg_whose_turn_comes_while_the_next_link_logs_in_is_hung_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk took its time with the attempt, and the first link was lost meanwhile."""

    def hold_the_second(session: Session, action: Action) -> None:
        if len(asterisk.sessions) == 2:
            held.append(action)
        else:
            asterisk.answer(session, action)

    def deny_early(session: Session, action: Action) -> None:
        session.reply(action, response="Error" if held else "Success")

    held: list[Action] = []
    synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(bench.journal, "pending_sync", lambda: synced)
    async with (
        fake_asterisk(Login=hold_the_second, Hangup=deny_early) as asterisk,
        bench.watching(guard_of(bench, asterisk)),
    ):
        asterisk.session.send(dial_begin(f"{BLOCKED}@carrier"))
        await bench.journal.news.wait()
        asterisk.session.close()
        await asterisk.until("Login", 2)
        synced.set_result(None)
        for _ in range(20):  # so that one that does not wait is there
            await asyncio.sleep(0)
        asterisk.answer(asterisk.session, held.pop())
        (attempt,) = await bench.journal.settled(1)
    assert asterisk.told("Hangup") == [HANGUP]
    assert attempt.delivery == "confirmed"


async def test_a_leg_is_asked_about_once_and_only_where_it_may_be_one(bench: Bench) -> None:
    """CHANNEL(pjsip,…) of a channel that is none of PJSIP's is a warning in Asterisk's log."""
    async with fake_asterisk() as asterisk:
        asterisk.channels.append("1.1")
        asterisk.legs += [
            standing(to="<sip:127.0.0.1>"),
            standing(to=ORIGINATED, name="Local/1@a-00000001;1", uniqueid="1.2"),
        ]
        async with bench.watching(guard_of(bench, asterisk, audit=0.1)):
            await asterisk.until("Status", 5)
    asked = [action for action in asterisk.told("Status") if "pjsip" in action["Variables"]]
    assert [action["Channel"] for action in asked] == ["PJSIP/carrier-00000008"]


@pytest.mark.parametrize(
    "line", ["channel: Local/x", "ActionID: 1", "SubEvent: End", "Response: Error", "Event: x"]
)
async def test_a_caller_can_make_nothing_else_of_a_channel_in_the_list(
    bench: Bench, line: str
) -> None:
    """Neither of his own leg nor of those after it."""
    async with fake_asterisk() as asterisk:
        asterisk.legs += [
            standing(f"{BLOCKED}@carrier", uniqueid="4.0", caller=f"x\n{line}"),
            standing(f"{BLOCKED}@carrier", uniqueid="5.0"),
        ]
        async with bench.watching(guard_of(bench, asterisk)):
            await bench.journal.settled(2)
    assert [action["Channel"] for action in asterisk.told("Hangup")] == ["4.0", "5.0"]


@pytest.mark.parametrize(
    "written",
    ["Event: StatusComplete", "Response: Success", "Event: Status\nUniqueid: 9.9", "Event: x"],
)
async def test_a_caller_can_end_no_list_of_channels(bench: Bench, written: str) -> None:
    """His number is in the Status of his channel, line ends and all."""
    async with fake_asterisk() as asterisk:
        guard = guard_of(bench, asterisk, audit=0.1)
        async with bench.watching(guard):
            bench.screener.screen(live_call("5.0", "0612000001"), "agi")
            asterisk.legs += [
                standing(uniqueid="4.0", caller=f"x\n\n{written}"),
                standing(uniqueid="5.0", asked="sip:1@127.0.0.1"),
            ]
            await asterisk.until("Status", len(asterisk.told("Status")) + 4)
            assert "5.0" in guard.live
    lost = {"frontend": "ami", "result": "lost"}
    assert bench.metrics.value("callgate_guard_links_total", **lost) == 0


async def test_a_list_that_is_too_long_ends_the_link_which_is_tried_ever_more_seldom(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ami_link, "MAX_ANSWERS", 10_000)
    pauses: list[int] = []

    def pause(failures: int) -> float:
        pauses.append(failures)
        return 0.0

    async with fake_asterisk() as asterisk:
        asterisk.channels += [f"1.{place}" for place in range(20)]
        guard = guard_of(bench, asterisk)
        guard._pause = pause
        running = asyncio.create_task(guard.run())
        lost = {"frontend": "ami", "result": "lost"}
        await bench.metrics.until(3, "callgate_guard_links_total", **lost)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert pauses[:2] == [1, 2]
    assert "it sent more than a guard takes: 10000 bytes" in caplog.text


async def test_the_bound_is_for_the_answers_under_way_and_not_for_events(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ami_link, "MAX_ANSWERS", 10_000)
    async with fake_asterisk() as asterisk:
        asterisk.channels.append("1.1")
        async with bench.watching(guard_of(bench, asterisk, audit=0.1)):
            asterisk.session.send(*[dial_begin("1001")] * 50)
            await asterisk.until("Status", 15)
    lost = {"frontend": "ami", "result": "lost"}
    assert bench.metrics.value("callgate_guard_links_total", **lost) == 0
