"""The guard of FreeSWITCH: parked calls are let go or ended, legs are killed after the fact."""

from __future__ import annotations

import asyncio
import re

import pytest

from gateway.addresses import Address
from gateway.errors import LinkError, LinkRefused
from gateway.frontends import guard as guards
from gateway.frontends.esl_inbound import EslInbound
from gateway.frontends.esl_link import EslLink
from gateway.guardsettings import FreeswitchGuardSettings
from gateway.protocols.esl_client import MAX_REPLY
from gateway.protocols.esl_command import line
from gateway.protocols.esl_headers import Headers
from tests.fakes.event_socket import (
    PASSWORD,
    UUID,
    EventSocket,
    Script,
    Session,
    event,
    event_socket,
    leg,
    parked,
)
from tests.fakes.freeswitch import captured
from tests.support.guards import Bench
from tests.support.policies import number

OTHER = "11111111-2222-4333-8444-555555555555"
BLOCKED = "0612999002"
ASKED = {"callgate_direction": "outbound", "callgate_trunk": "carrier"}


@pytest.fixture
async def bench() -> Bench:
    return Bench()


def guard_of(bench: Bench, pbx: EventSocket, **settings: object) -> EslInbound:
    made = FreeswitchGuardSettings.model_validate(
        {
            "connect": Address("127.0.0.1", pbx.port),
            "password": PASSWORD,
            "deadline": 10.0,
            "audit": 60.0,
            "allowed": "* XML screened",
            **settings,
        }
    )
    guard = EslInbound(made, bench.screener, bench.policies, bench.metrics)
    guard._pause = lambda _: 0.0
    return guard


def variables(told: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in told.partition(" ")[2].split(";"))
    return {name: value for name, _, value in pairs}


def ignore(session: Session, _: str) -> None:
    """Never answer."""
    assert session


async def test_a_blocked_parked_call_is_told_and_ended(bench: Bench) -> None:
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx)):
        pbx.session.event("CHANNEL_PARK", parked(callgate_direction="inbound"))
        assert await pbx.until("uuid_kill") == [f"{UUID} 21"]
        (attempt,) = await bench.journal.settled(1)
        told = variables(pbx.told("uuid_setvar_multi")[0])
    assert told["CALLGATE_VERDICT"] == "block"
    assert told["CALLGATE_LIST"] == "nuisance"
    assert (attempt.frontend, attempt.pbx, attempt.verdict) == (
        "esl_inbound",
        "freeswitch",
        "block",
    )
    assert (attempt.caller, attempt.channel_id) == ("+15551234567", UUID)
    assert attempt.delivery == "confirmed"
    assert pbx.told("uuid_transfer") == []


async def test_an_allowed_parked_call_goes_where_the_setting_says(bench: Bench) -> None:
    call = parked(**ASKED, callgate_callee="0612000000")
    for allowed, sent in {
        "* XML default": "0612000000 XML default",
        "screened XML out": "screened XML out",
    }.items():
        async with event_socket() as pbx, bench.watching(guard_of(bench, pbx, allowed=allowed)):
            pbx.session.event("CHANNEL_PARK", call)
            assert await pbx.until("uuid_transfer") == [f"{UUID} {sent}"]
            told = variables(pbx.told("uuid_setvar_multi")[0])
            assert told["CALLGATE_NUMBER"] == "+33612000000"
    assert [attempt.verdict for attempt in bench.attempts] == ["allow", "allow"]


async def test_a_blocked_call_may_go_somewhere_too(bench: Bench) -> None:
    guarded = {"blocked": "sorry XML default"}
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx, **guarded)):
        pbx.session.event("CHANNEL_PARK", parked(**ASKED, callgate_callee=BLOCKED))
        assert await pbx.until("uuid_transfer") == [f"{UUID} sorry XML default"]
    assert pbx.told("uuid_kill") == []


@pytest.mark.parametrize("dialled", ["-both", "1 XML evil", "x;y", "${system(id)}", "a/b"])
async def test_a_call_whose_number_is_no_word_is_ended_instead_of_sent_on(
    bench: Bench, dialled: str
) -> None:
    call = parked(callgate_direction="inbound", callgate_caller="0612000000") | {
        "Caller-Destination-Number": dialled
    }
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx)):
        pbx.session.event("CHANNEL_PARK", call)
        assert await pbx.until("uuid_kill") == [f"{UUID} 1"]
    assert pbx.told("uuid_transfer") == []
    assert dialled not in "".join(pbx.commands)


async def test_a_parked_call_that_no_dialplan_parked_for_us_is_left_alone(bench: Bench) -> None:
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx)):
        pbx.session.event("CHANNEL_PARK", parked())
        pbx.session.event("CHANNEL_PARK", parked(OTHER, callgate_direction="inbound"))
        await pbx.until("uuid_kill")
    assert [attempt.channel_id for attempt in bench.attempts] == [OTHER]


async def test_a_call_that_the_dialplan_is_asking_about_is_not_the_guards(bench: Bench) -> None:
    """``socket … async`` parks its call: CHANNEL_PARK is sent of it as of any other."""
    asking = parked(callgate_direction="inbound", current_application="socket")
    async with event_socket() as pbx:
        pbx.channels[UUID] = "park"
        pbx.dumps[UUID] = asking
        async with bench.watching(guard_of(bench, pbx)):
            pbx.session.event("CHANNEL_PARK", asking)
            pbx.session.event("CHANNEL_PARK", parked(OTHER, callgate_direction="inbound"))
            await pbx.until("uuid_kill")
    assert pbx.told("uuid_dump") == [UUID]
    assert [attempt.channel_id for attempt in bench.attempts] == [OTHER]


async def test_a_hostile_parked_call_is_blocked(bench: Bench) -> None:
    call = parked(callgate_direction="inbound", callgate_caller="+33\nX: y")
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx)):
        pbx.session.event("CHANNEL_PARK", call)
        await pbx.until("uuid_kill")
    assert [attempt.reason for attempt in bench.attempts] == ["hostile"]


async def test_a_call_that_was_parked_while_there_was_no_link_is_taken_once(bench: Bench) -> None:
    call = parked(callgate_direction="inbound")
    async with event_socket() as pbx:
        pbx.channels |= {UUID: "park", OTHER: "bridge"}
        pbx.dumps[UUID] = call
        async with bench.watching(guard_of(bench, pbx, audit=0.1)):
            await pbx.until("uuid_kill")
            pbx.session.event("CHANNEL_PARK", call)
            await pbx.until("show", len(pbx.told("show")) + 3)
    assert set(pbx.told("uuid_dump")) == {UUID}
    assert pbx.told("uuid_kill") == [f"{UUID} 21"]
    assert len(bench.attempts) == 1


def after_a_transfer(call: dict[str, str]) -> dict[str, str]:
    """The same channel, parked again."""
    profile = {"Caller-Profile-Index": "2", "Caller-Profile-Created-Time": "1795360146999999"}
    return call | profile


async def test_a_second_park_of_a_call_is_a_call_of_its_own(bench: Bench) -> None:
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx)):
        first = parked(**ASKED, callgate_callee="0612000000")
        second = after_a_transfer(parked(**ASKED, callgate_callee=BLOCKED))
        pbx.session.event("CHANNEL_PARK", first)
        await pbx.until("uuid_transfer")
        for _ in range(2):
            pbx.session.event("CHANNEL_PARK", second)
        assert await pbx.until("uuid_kill") == [f"{UUID} 52"]
        await bench.journal.settled(2)
    assert [attempt.verdict for attempt in bench.attempts] == ["allow", "block"]


async def test_a_second_park_that_no_event_told_of_is_found(bench: Bench) -> None:
    """In two counts: a call that was sent on looks parked until it runs something else."""
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx, audit=0.1)):
        pbx.session.event("CHANNEL_PARK", parked(**ASKED, callgate_callee="0612000000"))
        await pbx.until("uuid_transfer")
        pbx.dumps[UUID] = after_a_transfer(parked(**ASKED, callgate_callee=BLOCKED))
        pbx.channels[UUID] = "park"
        await pbx.until("uuid_kill")
        assert len(pbx.told("uuid_dump")) >= 2
        await bench.journal.settled(2)
    assert [attempt.verdict for attempt in bench.attempts] == ["allow", "block"]


@pytest.mark.parametrize("command", ["uuid_setvar_multi", "uuid_transfer"])
@pytest.mark.parametrize("closed", [True, False], ids=["the link closed", "an error"])
async def test_a_parked_call_that_could_not_be_answered_is_taken_again(
    bench: Bench, command: str, closed: bool
) -> None:
    def fail_once(session: Session, _: str) -> None:
        if len(pbx.told(command)) > 1:
            session.response("+OK\n")
        elif closed:
            session.close()
        else:
            session.response("-ERR not now\n")

    call = parked(**ASKED, callgate_callee="0612000000")
    async with event_socket(**{command: fail_once}) as pbx:
        pbx.dumps[UUID] = call
        async with bench.watching(guard_of(bench, pbx, audit=0.1)):
            pbx.channels[UUID] = "park"
            pbx.session.event("CHANNEL_PARK", call)
            first, second = await bench.journal.settled(2)
    assert (first.delivery, second.delivery) == ("sent" if closed else "lost", "confirmed")
    assert pbx.told("uuid_transfer")[-1] == f"{UUID} 0612000000 XML screened"


async def test_a_call_that_is_gone_before_it_is_told_is_lost(bench: Bench) -> None:
    def gone(session: Session, _: str) -> None:
        session.response("-ERR No such channel!\n")

    async with event_socket(uuid_setvar_multi=gone) as pbx, bench.watching(guard_of(bench, pbx)):
        pbx.session.event("CHANNEL_PARK", parked(callgate_direction="inbound"))
        (attempt,) = await bench.journal.settled(1)
    assert attempt.delivery == "lost"
    assert pbx.told("uuid_kill") == []


def many(count: int) -> dict[str, dict[str, str]]:
    uuids = [f"{place:08d}{OTHER[8:]}" for place in range(count)]
    return {uuid: parked(uuid, callgate_direction="inbound") for uuid in uuids}


async def test_too_many_parked_calls_are_dropped_and_found_and_the_link_lives(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to read would be to get no replies either."""
    monkeypatch.setattr(guards, "MAX_WAITING", 2)
    calls = many(5)
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx, audit=0.1)):
        pbx.dumps |= calls
        pbx.channels |= dict.fromkeys(calls, "park")
        pbx.session.raw(b"".join(event("CHANNEL_PARK", call) for call in calls.values()))
        await bench.journal.settled(5)
    told = {attempt.channel_id: attempt.delivery for attempt in bench.attempts}
    assert told == dict.fromkeys(calls, "confirmed")
    assert bench.metrics.value("callgate_guard_dropped_total", frontend="esl_inbound") >= 3
    links = {"frontend": "esl_inbound", "result": "connected"}
    assert bench.metrics.value("callgate_guard_links_total", **links) == 1


async def test_a_leg_for_which_there_is_no_room_is_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "MAX_WAITING", 1)
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx, mode="kill")):
        legs = [event("CHANNEL_CREATE", leg(BLOCKED, uuid)) for uuid in (UUID, OTHER)]
        pbx.session.raw(b"".join(legs))
        await bench.journal.settled(2)
    assert [attempt.delivery for attempt in bench.attempts] == ["confirmed", "lost"]
    assert pbx.told("uuid_kill") == [f"{UUID} 52"]


async def test_the_pbx_is_told_of_so_many_calls_at_a_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "MAX_ACTIONS", 1)
    calls = many(3)
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx)):
        pbx.session.raw(b"".join(event("CHANNEL_PARK", call) for call in calls.values()))
        await bench.journal.settled(3)
    acted = [text.split(" ")[1:3] for text in pbx.commands if text.startswith("api uuid")]
    assert acted == [[word, uuid] for uuid in calls for word in ("uuid_setvar_multi", "uuid_kill")]


async def test_a_call_that_is_parked_as_the_events_begin_is_taken(bench: Bench) -> None:
    first = event("CHANNEL_PARK", parked(callgate_direction="inbound"))

    def at_once(session: Session, _: str) -> None:
        session.raw(captured("inbound.event-reply") + first)

    async with event_socket(event=at_once) as pbx, bench.watching(guard_of(bench, pbx)):
        (attempt,) = await bench.journal.settled(1)
    assert attempt.delivery == "confirmed"
    assert pbx.told("uuid_kill") == [f"{UUID} 21"]


async def test_what_is_let_go_of_at_the_end_is_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One waits for its turn, one has not even begun."""
    monkeypatch.setattr(guards, "MAX_ACTIONS", 1)
    calls = many(3)
    events = {uuid: Headers(event("CHANNEL_PARK", call)) for uuid, call in calls.items()}
    async with event_socket(uuid_setvar_multi=ignore) as pbx:
        guard = guard_of(bench, pbx)
        async with bench.watching(guard):
            first, second, third = events.values()
            guard.on_event(first)
            guard.on_event(second)
            await pbx.until("uuid_setvar_multi")
            guard.on_event(third)
            await guard.close(0)
            guard.on_event(third)
    assert [attempt.delivery for attempt in bench.attempts] == ["lost"] * 3


async def test_in_kill_mode_a_leg_that_nobody_asked_about_is_killed(bench: Bench) -> None:
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx, mode="kill")):
        pbx.session.event("CHANNEL_CREATE", leg(BLOCKED))
        pbx.session.event("CHANNEL_ORIGINATE", leg(BLOCKED))
        assert await pbx.until("uuid_kill") == [f"{UUID} 52"]
        (attempt,) = await bench.journal.settled(1)
    assert (attempt.frontend, attempt.list, attempt.trunk) == ("esl_inbound", "nuisance", "carrier")
    assert len(bench.attempts) == 1


@pytest.mark.parametrize(
    "harmless",
    [
        leg(BLOCKED, CALLGATE_FOR="+33612999002"),
        leg("112", CALLGATE_FOR="112"),
        leg("1001"),
        leg(BLOCKED) | {"Call-Direction": "inbound"},
        leg(BLOCKED) | {"Channel-Name": "loopback/0612999002-a"},
    ],
    ids=["asked about", "an emergency", "an extension", "a call that came in", "a dialplan"],
)
async def test_in_kill_mode_a_leg_that_needs_no_verdict_leaves_no_attempt(
    bench: Bench, harmless: dict[str, str]
) -> None:
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx, mode="kill")):
        pbx.session.event("CHANNEL_CREATE", harmless)
        pbx.session.event("CHANNEL_CREATE", leg(BLOCKED, OTHER, CALLGATE_FOR="+33612000000"))
        assert await pbx.until("uuid_kill") == [f"{OTHER} 52"]
    assert [attempt.channel_id for attempt in bench.attempts] == [OTHER]


@pytest.mark.parametrize("mode", ["park", "kill"])
@pytest.mark.parametrize("uuid", ["7", "dialler_7@10.0.0.1:5060", "job.7/" + "x" * 200])
async def test_a_channel_may_have_an_id_of_its_originators(
    bench: Bench, mode: str, uuid: str
) -> None:
    """``origination_uuid`` is anything; by its event, and by the next count."""
    call = leg(BLOCKED, uuid) if mode == "kill" else parked(uuid, callgate_direction="inbound")
    for told in (True, False):
        async with event_socket() as pbx, bench.watching(guard_of(bench, pbx, mode=mode)):
            if told:
                name = "CHANNEL_CREATE" if mode == "kill" else "CHANNEL_PARK"
                pbx.session.event(name, call)
            else:
                pbx.dumps[uuid] = call
                pbx.channels[uuid] = "park"
                pbx.outbound.add(uuid)
                pbx.session.close()
            (killed,) = await pbx.until("uuid_kill")
            assert killed.startswith(f"{uuid} ")


@pytest.mark.parametrize("uuid", ["7 hangup", "-both", "${system(id)}", "a;b", "x" * 300])
async def test_a_channel_that_no_command_can_name_is_said_and_counted(
    bench: Bench, uuid: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx, mode="kill")):
        pbx.session.event("CHANNEL_CREATE", leg(BLOCKED, uuid))
        pbx.session.event("CHANNEL_CREATE", leg(BLOCKED, OTHER))
        assert await pbx.until("uuid_kill") == [f"{OTHER} 52"]
    hostile = {"frontend": "esl_inbound"}
    assert bench.metrics.value("callgate_hostile_requests_total", **hostile) == 1
    assert f"no command can name this channel: {uuid!r}" in caplog.text


def transferred(headers: dict[str, str]) -> dict[str, str]:
    """A leg that was answered and runs a dialplan."""
    return headers | {"Caller-Destination-Number": "5000"}


async def test_in_kill_mode_a_leg_that_is_older_than_the_link_is_decided_once(bench: Bench) -> None:
    third, fourth = (place + OTHER[1:] for place in "23")
    there = {
        UUID: leg(BLOCKED),
        OTHER: leg(BLOCKED, OTHER, CALLGATE_FOR="+33612999002"),
        third: transferred(leg(BLOCKED, third)),
        fourth: leg(BLOCKED, fourth) | {"Channel-Name": "loopback/0612999002"},
    }
    async with event_socket() as pbx:
        pbx.channels |= dict.fromkeys([*there, "gone-by-now"], "bridge")
        pbx.outbound |= pbx.channels.keys()
        pbx.dumps |= there
        async with bench.watching(guard_of(bench, pbx, mode="kill", audit=0.1)):
            pbx.session.event("CHANNEL_CREATE", leg(BLOCKED))
            await pbx.until("show", len(pbx.told("show")) + 3)
        assert await pbx.until("uuid_kill") == [f"{UUID} 52"]
        (attempt,) = await bench.journal.settled(1)
    assert (attempt.callee, attempt.delivery) == (BLOCKED, "confirmed")
    assert sorted(pbx.told("uuid_dump")) == sorted(pbx.channels)


async def test_in_kill_mode_a_leg_whose_end_was_lost_with_the_link_is_decided_again(
    bench: Bench,
) -> None:
    def vanish_once(session: Session, _: str) -> None:
        if len(pbx.told("uuid_kill")) > 1:
            session.response("+OK\n")
        else:
            session.close()

    async with event_socket(uuid_kill=vanish_once) as pbx:
        pbx.channels[UUID] = "bridge"
        pbx.outbound.add(UUID)
        pbx.dumps[UUID] = leg(BLOCKED)
        async with bench.watching(guard_of(bench, pbx, mode="kill")):
            first, second = await bench.journal.settled(2)
    assert (first.delivery, second.delivery) == ("sent", "confirmed")


async def test_in_park_mode_legs_are_left_alone_and_in_kill_mode_parked_calls(
    bench: Bench,
) -> None:
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx)):
        pbx.session.event("CHANNEL_CREATE", leg(BLOCKED, OTHER))
        pbx.session.event("CHANNEL_PARK", parked(callgate_direction="inbound"))
        await pbx.until("uuid_kill")
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx, mode="kill")):
        pbx.session.event("CHANNEL_PARK", parked(callgate_direction="inbound"))
        pbx.session.event("CHANNEL_CREATE", leg(BLOCKED, OTHER))
        await pbx.until("uuid_kill")
    assert [attempt.channel_id for attempt in bench.attempts] == [UUID, OTHER]


async def test_after_a_drop_it_subscribes_anew_and_repeats_nothing(bench: Bench) -> None:
    def vanish(session: Session, _: str) -> None:
        session.close()

    async with event_socket(uuid_kill=vanish) as pbx:
        guard = guard_of(bench, pbx)
        async with bench.watching(guard):
            pbx.session.event("CHANNEL_PARK", parked(callgate_direction="inbound"))
            (attempt,) = await bench.journal.settled(1)
            assert attempt.delivery == "sent"
            connected = {"frontend": "esl_inbound", "result": "connected"}
            await bench.metrics.until(2, "callgate_guard_links_total", **connected)
            await guard.connected.wait()
    subscribed = [text for text in pbx.commands if text.startswith("event plain")]
    assert len(subscribed) == 2
    assert len(pbx.told("uuid_kill")) == 1


async def test_a_number_that_is_added_hangs_up_its_live_calls(bench: Bench) -> None:
    async with event_socket() as pbx:
        guard = guard_of(bench, pbx)
        async with bench.watching(guard):
            for uuid in (UUID, OTHER):
                call = parked(uuid, **ASKED, callgate_callee="0612000001")
                pbx.session.event("CHANNEL_PARK", call)
            await bench.journal.settled(2)
            pbx.session.event("CHANNEL_DESTROY", parked(OTHER))
            pbx.session.event("CHANNEL_PARK", parked(OTHER[::-1], callgate_direction="inbound"))
            await bench.journal.settled(3)
            bench.add(number("dropping", "33612000001"))
            await guard.drop(frozenset({"dropping"}))
            await bench.journal.settled(4)
    assert pbx.told("uuid_kill") == [f"{OTHER[::-1]} 21", f"{UUID} 52"]
    assert bench.attempts[-1].list == "dropping"


async def opened(pbx: EventSocket, password: str = PASSWORD, deadline: float = 10) -> EslLink:
    return await EslLink.open(
        "127.0.0.1", pbx.port, password, on_event=lambda _: None, deadline=deadline
    )


async def test_a_wrong_password_is_said() -> None:
    async with event_socket() as pbx:
        with pytest.raises(LinkRefused, match="password is wrong"):
            await opened(pbx, "wrong")


async def test_an_access_list_that_does_not_have_us_is_said() -> None:
    def rude(session: Session, _: str) -> None:
        body = b"Access Denied, go away.\n"
        head = f"Content-Type: text/rude-rejection\nContent-Length: {len(body)}\n\n"
        session.raw(head.encode() + body)
        session.close()

    async with event_socket(greeting=rude) as pbx:
        with pytest.raises(LinkRefused, match="access list"):
            await opened(pbx)


@pytest.mark.parametrize("step", ["greeting", "auth"])
async def test_every_step_has_a_deadline(step: str) -> None:
    async with event_socket(**{step: ignore}) as pbx:
        with pytest.raises(LinkError, match=r"within 0\.1 s"):
            await opened(pbx, deadline=0.1)


async def test_a_reply_that_is_late_ends_the_link() -> None:
    """The next one would be taken for it."""
    async with event_socket(status=ignore) as pbx:
        link = await opened(pbx)
        link.deadline = 0.1
        with pytest.raises(LinkError):
            await link.command(line("api status"))
        assert link.ended.done()
        with pytest.raises(LinkError):
            await link.command(line("api version"))


async def test_replies_belong_to_commands_in_their_order() -> None:
    def say(session: Session, command: str) -> None:
        session.response(command)

    async with event_socket(echo=say) as pbx:
        link = await opened(pbx)
        commands = [line(f"api echo {number}") for number in range(20)]
        replies = await asyncio.gather(*map(link.command, commands))
        assert [reply.body for reply in replies] == [c.rstrip() for c in commands]
        link.close()


async def test_a_reply_to_no_command_ends_the_link() -> None:
    async with event_socket() as pbx:
        link = await opened(pbx)
        pbx.session.raw(captured("inbound.event-reply"))
        assert "no FreeSWITCH" in await link.ended


async def test_a_goodbye_ends_the_link() -> None:
    async with event_socket() as pbx:
        link = await opened(pbx)
        body = b"Disconnected, goodbye.\n"
        head = f"Content-Type: text/disconnect-notice\nContent-Length: {len(body)}\n\n"
        pbx.session.raw(head.encode() + body)
        assert await link.ended == "it said goodbye"


async def test_events_that_may_not_be_had_are_a_refusal(bench: Bench) -> None:
    def deny(session: Session, _: str) -> None:
        session.reply("-ERR permission denied")

    async with event_socket(event=deny) as pbx:
        with pytest.raises(LinkRefused, match="permission denied"):
            await guard_of(bench, pbx).connect()


@pytest.mark.parametrize("size", [1, 100, 4096])
async def test_the_captured_events_of_a_real_call_are_read(bench: Bench, size: int) -> None:
    """With nothing changed but one name of the same length, so that the call is one for us."""
    stream = captured("inbound.event-stream").replace(
        b"variable_text_media_flow: disabled", b"variable_callgate_direction: other"
    )
    stream = re.sub(rb"Content-Type: api/response\nContent-Length: \d+\n\n\+OK\n", b"", stream)
    assert stream.count(b"Content-Type: ") == 3
    assert b"callgate_direction" in stream
    async with event_socket() as pbx, bench.watching(guard_of(bench, pbx)):
        for start in range(0, len(stream), size):
            pbx.session.raw(stream[start : start + size])
        await bench.journal.settled(1)
    (attempt,) = bench.attempts
    assert (attempt.caller, attempt.channel_id) == ("+15551234567", UUID)
    assert attempt.reason == "hostile", "a direction that is none"


async def test_an_event_that_its_receiver_cannot_use_leaves_the_link_up() -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a bug of ours")

    async with event_socket() as pbx:
        link = await EslLink.open("127.0.0.1", pbx.port, PASSWORD, on_event=fail, deadline=10)
        pbx.session.event("CHANNEL_CREATE", leg(BLOCKED))
        assert (await link.command(line("api status"))).ok
        link.close()


def deny(session: Session, _: str) -> None:
    session.reply("-ERR permission denied")


def say(body: bytes) -> Script:
    return lambda session, _: session.response(body)


def promise(session: Session, _: str) -> None:
    head = f"Content-Type: api/response\nContent-Length: {MAX_REPLY + 1}\n\n"
    session.raw(head.encode())


@pytest.mark.parametrize(
    ("show", "why"),
    [
        (deny, "channels are not told: -ERR permission denied"),
        (promise, "it sent more than a guard takes: a body of"),
        (say(b"-ERR no\n"), "channels are not told: -ERR no"),
        (say(b'{"other":' + b"[" * 100_000), "channels are not told"),
        (say(b'{"rows":' + b"[" * 100_000), "channels are not told"),
        (say(b'{"rows":[{"uuid":"\xff"}]}'), "channels are not told"),
        (say(b"\xff\xfe"), "channels are not told"),
        (say(b'{"rows":7}'), "channels are not told"),
    ],
    ids=["denied", "too long", "an error", "deep", "deep rows", "no UTF-8", "no JSON", "no rows"],
)
async def test_a_link_on_which_nothing_works_is_tried_ever_more_seldom(
    bench: Bench, caplog: pytest.LogCaptureFixture, show: Script, why: str
) -> None:
    """Let in, but not told which channels there are."""
    pauses: list[int] = []

    def pause(failures: int) -> float:
        pauses.append(failures)
        return 0.0

    async with event_socket(show=show) as pbx:
        guard = guard_of(bench, pbx)
        guard._pause = pause
        running = asyncio.create_task(guard.run())
        lost = {"frontend": "esl_inbound", "result": "lost"}
        await bench.metrics.until(3, "callgate_guard_links_total", **lost)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert pauses[:2] == [1, 2]
    assert not guard.connected.is_set()
    assert f"has lost its link: {why}" in caplog.text
