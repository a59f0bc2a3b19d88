"""The outbound socket over real sockets: no caller walks in, and no call is left parked."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.attempts.model import Delivery
from gateway.calls import Direction, Presentation
from gateway.frontends.esl_outbound import EslOutbound
from gateway.policy.model import Action, Reason, Verdict
from tests.fakes.freeswitch import Channel, captured, channel_data, esl_call
from tests.fakes.screener import BLOCK, FakeScreener
from tests.support import frontends as support

SCOPES = {"callgate_direction": "inbound", "callgate_trunk": "t5"}
CALL = channel_data("normal", SCOPES)
HONEST = ("normal", "anonymous", "pai-privacy", "diversion", "national", "originate-leg")
TOLD = {
    "CALLGATE_VERDICT": "block",
    "CALLGATE_RESPONSE": "603",
    "CALLGATE_CAUSE": "21",
    "CALLGATE_REASON": "list",
    "CALLGATE_LIST": "nuisance",
    "CALLGATE_ENTRY": "+1555",
    "CALLGATE_NUMBER": "+15551234567",
}
HOSTILE = {
    "CALLGATE_VERDICT": "block",
    "CALLGATE_RESPONSE": "403",
    "CALLGATE_CAUSE": "52",
    "CALLGATE_REASON": "hostile",
}
OK = captured("normal.sendmsg-reply")
BYE = captured("pai-privacy.exit-reply")
NOTICE = BYE[BYE.index(b"Content-Type: text/") :]


class Gateway(support.Gateway):
    async def ask(
        self, data: bytes = CALL, *, chunk: int = 0, capture: str = "pai-privacy"
    ) -> Channel:
        return await esl_call("127.0.0.1", self.port, capture, data=data, chunk=chunk)

    async def call(self, data: bytes = CALL, *, chunk: int = 0) -> dict[str, str]:
        """What the dialplan is told, after which its call must go on."""
        channel = await self.ask(data, chunk=chunk)
        assert channel.goes_on
        channel.variables.pop("CALLGATE_ATTEMPT", None)
        return channel.variables


Start = Callable[..., Awaitable[Gateway]]


def gateways() -> AbstractAsyncContextManager[Start]:
    return support.gateways(Gateway, EslOutbound, "esl")


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with asyncio.timeout(60), gateways() as start:
        yield start


async def answered(reader: asyncio.StreamReader) -> bytes:
    """Everything up to ``exit``, which is the end of an answer."""
    return await reader.readuntil(b"exit\n\n")


@pytest.mark.parametrize("chunk", [4096, 128, 16, 1])
@pytest.mark.parametrize("name", HONEST)
async def test_a_captured_call_is_screened_in_reads_of_any_size(
    start: Start, name: str, chunk: int
) -> None:
    gateway = await start()
    channel = await gateway.ask(channel_data(name, SCOPES), chunk=chunk, capture=name)
    channel.variables.pop("CALLGATE_ATTEMPT")
    assert channel.variables == TOLD
    assert channel.goes_on
    (call,) = gateway.screener.calls
    outbound = name == "originate-leg"
    assert call.direction is (Direction.OUTBOUND if outbound else Direction.INBOUND)
    assert (call.trunk, call.pbx) == ("t5", "freeswitch")
    assert await gateway.screener.outcome() is Delivery.CONFIRMED


@pytest.mark.parametrize("chunk", [4096, 128, 16, 1])
async def test_the_forged_capture_is_blocked_and_its_callee_kept(start: Start, chunk: int) -> None:
    gateway = await start()
    assert await gateway.call(channel_data("newline-injection", SCOPES), chunk=chunk) == HOSTILE
    ((call, reason, _),) = gateway.screener.refused
    assert (call.direction, call.callee) == (Direction.INBOUND, "+33123456789")
    assert reason is Reason.HOSTILE
    assert not gateway.screener.calls
    assert await gateway.screener.outcome() is Delivery.CONFIRMED


@pytest.mark.parametrize(
    ("mode", "resumes", "last"),
    [
        ("async", None, [b"resume", b"exit"]),
        ("async", "true", [b"exit"]),
        ("static", None, [b"exit"]),
        ("static", "true", [b"exit"]),
        ("unknown", None, [b"exit"]),
    ],
)
async def test_only_an_async_socket_that_needs_it_is_told_to_resume(
    start: Start, mode: str, resumes: str | None, last: list[bytes]
) -> None:
    gateway = await start()
    changed: dict[str, str | bytes | None] = {"variable_socket_resume": resumes}
    channel = await gateway.ask(channel_data("normal", SCOPES, mode=mode, headers=changed))
    assert channel.commands[0] == b"connect"
    assert channel.commands[1].startswith(b"sendmsg\ncall-command: execute\n")
    assert channel.commands[2:] == last
    assert channel.goes_on


async def test_a_call_whose_dialplan_gave_up_waiting_is_told_nothing(start: Start) -> None:
    gateway = await start()
    channel = await gateway.ask(
        channel_data("normal", SCOPES, headers={"variable_socket_resume": "false"})
    )
    assert channel.commands == [b"connect", b"exit"]
    assert await gateway.screener.outcome() is Delivery.LOST


async def test_a_leg_that_is_stopped_before_its_invite_is_hung_up(start: Start) -> None:
    gateway = await start()
    leg = await gateway.ask(captured("originate-leg.connect"))
    assert leg.rejected
    assert leg.commands[-1] == b"exit"
    assert leg.variables["CALLGATE_VERDICT"] == "block"


async def test_a_leg_that_is_allowed_is_let_go(start: Start) -> None:
    allow = Verdict(action=Action.ALLOW, reason=Reason.DEFAULT, revision="r")
    gateway = await start(FakeScreener(allow))
    leg = await gateway.ask(captured("originate-leg.connect"))
    assert not leg.rejected
    assert "CALLGATE_FOR" not in leg.variables


async def test_an_allowed_leg_is_marked_for_its_number_and_no_other_channel_is(
    start: Start,
) -> None:
    """The mark is what a guard passes a leg for; a dialplan sets its own."""
    verdict = Verdict(
        action=Action.ALLOW, reason=Reason.DEFAULT, revision="r", number="+33612000002"
    )
    gateway = await start(FakeScreener(verdict))
    leg = await gateway.ask(captured("originate-leg.connect"))
    assert leg.variables["CALLGATE_FOR"] == "+33612000002"
    assert "CALLGATE_FOR" not in (await gateway.ask()).variables
    blocked = await (await start()).ask(captured("originate-leg.connect"))
    assert "CALLGATE_FOR" not in blocked.variables


async def test_a_call_in_a_dialplan_is_not_hung_up_by_us(start: Start) -> None:
    gateway = await start()
    assert not (await gateway.ask()).rejected


async def test_a_call_that_has_happened_is_reported(start: Start) -> None:
    gateway = await start()
    facts = {"report": "true", "caller": "1001", "callee": "112", "linked": "a-b-c"}
    said = {f"callgate_{name}": text for name, text in facts.items()}
    await gateway.call(channel_data("normal", {**SCOPES, **said}))
    (call,) = gateway.screener.calls
    assert (call.caller, call.callee, call.linked_id) == ("1001", "112", "a-b-c")
    assert await gateway.screener.outcome() is Delivery.REPORTED


async def test_an_answer_is_one_write(start: Start) -> None:
    gateway = await start()
    async with gateway.peer(CALL) as (reader, writer):
        assert await reader.readuntil(b"connect\n\n") == b"connect\n\n"
        await gateway.screener.asked.wait()
        assert await reader.read(65536) == (
            b"sendmsg\ncall-command: execute\nexecute-app-name: multiset\nexecute-app-arg: ^^:"
            + b":".join(f"{name}={value}".encode() for name, value in TOLD.items())
            + b":CALLGATE_ATTEMPT=a-1\n\nexit\n\n"
        )
        writer.write(OK + OK + BYE)
        assert await reader.read() == b""
    assert await gateway.screener.outcome() is Delivery.CONFIRMED


async def test_an_allow_has_neither_response_nor_cause(start: Start) -> None:
    allow = Verdict(action=Action.ALLOW, reason=Reason.DEFAULT, revision="r")
    gateway = await start(FakeScreener(allow))
    assert await gateway.call() == {"CALLGATE_VERDICT": "allow", "CALLGATE_REASON": "default"}


async def test_the_call_is_what_the_dialplan_says(start: Start) -> None:
    gateway = await start()
    said = {"direction": "outbound", "trunk": "gw", "campaign": "sale", "extension": "101"}
    data = channel_data("pai-privacy", {f"callgate_{name}": text for name, text in said.items()})
    await gateway.call(data)
    (call,) = gateway.screener.calls
    assert (call.direction, call.trunk, call.campaign) == (Direction.OUTBOUND, "gw", "sale")
    assert (call.caller, call.callee) == ("+15559876543", "+33123456789")
    assert (call.extension, call.presentation) == ("101", Presentation.RESTRICTED)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(captured("normal.connect"), id="a dialplan that says nothing"),
        pytest.param(channel_data("normal", callgate_direction="up"), id="an unknown direction"),
        pytest.param(
            channel_data("normal", SCOPES, headers={"Caller-Destination-Number": b"\xff"}),
            id="a number that is not UTF-8",
        ),
        pytest.param(
            channel_data("normal", SCOPES, headers={"Caller-Destination-Number": b"%00"}),
            id="a number with NUL",
        ),
        pytest.param(CALL + OK, id="a reply before our answer"),
        pytest.param(CALL + CALL, id="two channels"),
        pytest.param(CALL + b"Content-Length: x\n\n", id="nonsense before our answer"),
    ],
)
async def test_what_no_honest_dialplan_sends_is_blocked(start: Start, data: bytes) -> None:
    gateway = await start()
    assert await gateway.call(data) == HOSTILE
    assert not gateway.screener.calls
    assert await gateway.screener.outcome() in (Delivery.CONFIRMED, Delivery.SENT)
    assert len(gateway.screener.deliveries) == 1


@pytest.mark.parametrize("size", [300_000, 10_000_000])
async def test_a_caller_who_makes_the_channel_too_long_is_blocked(start: Start, size: int) -> None:
    gateway = await start()
    data = channel_data("normal", SCOPES, headers={"variable_sip_h_X-Long": "x" * size})
    channel = await gateway.ask(data)
    channel.variables.pop("CALLGATE_ATTEMPT")
    assert channel.variables == HOSTILE
    assert channel.goes_on
    ((call, reason, _),) = gateway.screener.refused
    assert (call.callee, reason) == ("+33123456789", Reason.HOSTILE)
    assert await gateway.screener.outcome() is Delivery.SENT


async def test_bytes_that_are_not_utf8_where_nothing_is_read_are_harmless(start: Start) -> None:
    gateway = await start()
    headers: dict[str, str | bytes | None] = {
        "variable_sip_full_from": b"\xff\xfe%FF",
        "Caller-Caller-ID-Name": b"Jos\xe9",
    }
    assert await gateway.call(channel_data("normal", SCOPES, headers=headers)) == TOLD


ATTACKS = ("${system(touch X)}", "$[system(touch X)]", "a:CALLGATE_VERDICT=allow", "`touch X`")


@pytest.mark.parametrize("attack", ATTACKS)
async def test_what_runs_on_freeswitch_never_comes_back(start: Start, attack: str) -> None:
    verdict = replace(BLOCK, list=attack, entry=attack, number=attack, note=attack)
    gateway = await start(FakeScreener(verdict))
    headers: dict[str, str | bytes | None] = dict.fromkeys(
        (
            *("Caller-Caller-ID-Number", "Caller-Caller-ID-Name", "Caller-Destination-Number"),
            *("variable_sip_full_from", "variable_callgate_trunk", "variable_callgate_campaign"),
        ),
        attack,
    )
    data = channel_data("normal", callgate_direction="inbound", headers=headers)
    channel = await gateway.ask(data)
    assert channel.variables["CALLGATE_VERDICT"] == "block"
    assert not set(b"${}[]()`") & set(channel.received)
    assert gateway.screener.calls[0].callee == attack


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text(), st.text())
def test_no_text_of_a_caller_forges_or_escapes_anything(number: str, name: str, entry: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), gateways() as start:
            gateway = await start(FakeScreener(replace(BLOCK, entry=entry)))
            headers: dict[str, str | bytes | None] = {
                "Caller-Caller-ID-Number": number,
                "Caller-Caller-ID-Name": name,
                "variable_sip_from_display": entry,
            }
            channel = await gateway.ask(channel_data("normal", SCOPES, headers=headers))
            assert channel.variables["CALLGATE_VERDICT"] == "block"
            assert len(channel.commands) == 3
            assert not set(b"${}\r\0") & set(channel.received)
            asked = [*gateway.screener.calls, *(call for call, *_ in gateway.screener.refused)]
            assert [(call.direction, call.trunk) for call in asked] == [(Direction.INBOUND, "t5")]

    asyncio.run(main())


async def test_a_peer_that_connects_and_closes_harms_nobody(start: Start) -> None:
    gateway = await start()
    for _ in range(20):
        async with gateway.peer():
            pass
    await gateway.unanswered("gone", 20)
    assert await gateway.call() == TOLD


async def test_a_peer_that_resets_the_connection_harms_nobody(start: Start) -> None:
    gateway = await start()
    for times, data in enumerate((b"", CALL[:300]), start=1):
        async with gateway.peer(data) as (reader, writer):
            await reader.readuntil(b"connect\n\n")
            held = writer.get_extra_info("socket")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        await gateway.unanswered("gone", times)
    assert await gateway.call() == TOLD


@pytest.mark.parametrize(
    ("data", "cause"),
    [(b"", "silent"), (CALL[:300], "half"), (CALL[:-1], "half"), (b"\n", "silent")],
)
async def test_a_peer_that_does_not_go_on_is_closed_at_the_deadline(
    start: Start, data: bytes, cause: str
) -> None:
    gateway = await start(deadline=0.05)
    async with gateway.peer(data) as (reader, _):
        assert await reader.read() == b"connect\n\n"
    await gateway.unanswered(cause)
    assert not gateway.screener.deliveries


async def test_a_slow_sender_is_bounded_as_a_whole(start: Start) -> None:
    gateway = await start(deadline=0.1)
    async with gateway.peer() as (reader, writer):
        await reader.readuntil(b"connect\n\n")
        end = asyncio.ensure_future(support.ended(reader))
        for byte in CALL[:-1]:
            writer.write(bytes([byte]))
            if (await asyncio.wait([end], timeout=0.01))[0]:
                break
        assert await end == b""
    await gateway.unanswered("half")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\n\n", "garbage"),
        (b"Content-Type: auth/request\n\n", "garbage"),
        (OK + CALL, "garbage"),
        (b"Content-Length: -1\n\n", "garbage"),
        (b"Content-Length: 99999999\n\n", "too_long"),
        (b"x" * 10_000_000, "too_long"),
        (NOTICE, "gone"),
    ],
)
async def test_a_peer_that_names_no_channel_gets_nothing(
    start: Start, data: bytes, cause: str
) -> None:
    gateway = await start()
    channel = await gateway.ask(data)
    assert channel.received == b"connect\n\n"
    await gateway.unanswered(cause)
    assert not gateway.screener.deliveries


@pytest.mark.parametrize(
    ("reply", "delivery"),
    [
        (OK, Delivery.CONFIRMED),
        (OK + OK + BYE, Delivery.CONFIRMED),
        (OK + b"Content-Type: command/reply\nReply-Text: -ERR\n\n", Delivery.CONFIRMED),
        (b"Content-Type: command/reply\nReply-Text: -ERR memory error\n\n", Delivery.LOST),
        (b"Content-Type: text/event-plain\nContent-Length: 2\n\nab" + OK, Delivery.CONFIRMED),
        (NOTICE, Delivery.SENT),
        (b"Content-Length: x\n\n", Delivery.SENT),
        (b"x" * 1_000_000, Delivery.SENT),
    ],
)
async def test_the_replies_say_what_became_of_the_answer(
    start: Start, reply: bytes, delivery: Delivery
) -> None:
    gateway = await start()
    async with gateway.peer(CALL) as (reader, writer):
        await answered(reader)
        writer.write(reply)
        assert await gateway.screener.outcome() is delivery


async def test_replies_of_no_use_fill_no_log(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start()
    async with gateway.peer(CALL) as (reader, writer):
        await answered(reader)
        writer.write(b"Content-Type: command/reply\nReply-Text: -ERR %b\n\n" % (b"x" * 9000) * 30)
        writer.write_eof()
        await reader.read()
    told = [one for one in caplog.messages if "refused a command" in one]
    assert 1 <= len(told) <= 10
    assert max(map(len, told)) < 300


async def test_a_peer_that_never_replies_is_cut_off(start: Start) -> None:
    gateway = await start(deadline=0.05)
    async with gateway.peer(CALL):
        assert await gateway.screener.outcome() is Delivery.SENT


async def test_a_peer_that_closes_without_a_reply_has_lost_the_answer(start: Start) -> None:
    gateway = await start()
    async with gateway.peer(CALL) as (reader, _):
        await answered(reader)
    assert await gateway.screener.outcome() is Delivery.LOST


async def test_a_caller_who_hung_up_at_once_is_recorded(start: Start) -> None:
    gateway = await start()
    await gateway.ask(CALL + NOTICE)
    assert len(gateway.screener.calls) == 1
    assert await gateway.screener.outcome() is Delivery.LOST


async def test_past_the_cap_a_channel_is_let_go_at_once(start: Start) -> None:
    gateway = await start(max_connections=1)
    async with gateway.peer() as (_, first):
        await gateway.connected(1)
        async with gateway.peer() as (reader, _):
            assert await reader.read() == b"connect\n\nexit\n\n"
        await gateway.unanswered("over_limit")
        first.close()
        await gateway.unanswered("gone")
    assert await gateway.call() == TOLD


async def test_many_calls_at_once_get_each_its_own_answer(start: Start) -> None:
    gateway = await start()
    data = [channel_data("normal", SCOPES, callgate_callee=str(n)) for n in range(200)]
    assert await asyncio.gather(*map(gateway.call, data)) == [TOLD] * 200
    assert sorted(int(call.callee) for call in gateway.screener.calls) == list(range(200))


async def test_an_answer_waits_for_the_disk(start: Start) -> None:
    disk = asyncio.get_running_loop().create_future()
    gateway = await start(FakeScreener(wait=disk))
    async with gateway.peer(CALL) as (reader, writer):
        await gateway.screener.asked.wait()
        line = asyncio.ensure_future(answered(reader))
        done, _ = await asyncio.wait([line], timeout=0.05)
        assert not done
        disk.set_result(None)
        assert b"CALLGATE_ATTEMPT=a-1" in await line
        writer.write(OK)
        assert await gateway.screener.outcome() is Delivery.CONFIRMED


@pytest.mark.parametrize("mode", ["async", "static"])
async def test_a_channel_whose_answer_the_disk_holds_too_long_is_let_go_without_one(
    start: Start, mode: str
) -> None:
    disk = asyncio.get_running_loop().create_future()
    gateway = await start(FakeScreener(wait=disk), deadline=0.05)
    channel = await gateway.ask(channel_data("normal", SCOPES, mode=mode))
    assert channel.received == b"connect\n\nexit\n\n"
    assert channel.goes_on
    await gateway.unanswered("held")
    assert await gateway.screener.outcome() is Delivery.LOST
    disk.set_result(None)


async def test_a_caller_who_hangs_up_while_the_disk_works_has_lost_the_answer(
    start: Start,
) -> None:
    disk = asyncio.get_running_loop().create_future()
    gateway = await start(FakeScreener(wait=disk))
    async with gateway.peer(CALL) as (_, writer):
        await gateway.screener.asked.wait()
        writer.write(NOTICE)
        assert await gateway.screener.outcome() is Delivery.LOST
    disk.set_result(None)


async def test_bytes_that_come_while_the_answer_waits_turn_it_hostile_once(start: Start) -> None:
    disk = asyncio.get_running_loop().create_future()
    gateway = await start(FakeScreener(wait=disk))
    async with gateway.peer(CALL) as (reader, writer):
        await gateway.screener.asked.wait()
        writer.write(OK)
        assert await gateway.screener.outcome(1) is Delivery.LOST
        writer.write(OK)
        await writer.drain()
        disk.set_result(None)
        answer = await answered(reader)
        assert b"CALLGATE_REASON=hostile" in answer
        assert b"CALLGATE_ATTEMPT=a-2" in answer
    assert await gateway.screener.outcome(2) in (Delivery.LOST, Delivery.CONFIRMED)
    assert len(gateway.screener.refused) == 1


@pytest.mark.parametrize(
    ("key", "reason"), [(None, "unauthorised"), ("wrong", "unauthorised"), ("s/é", "list")]
)
async def test_a_call_needs_the_secret_when_there_is_one(
    start: Start, key: str | None, reason: str
) -> None:
    gateway = await start(secret="s/é")
    more = {} if key is None else {"callgate_key": key}
    told = await gateway.call(channel_data("normal", SCOPES | more))
    assert (told["CALLGATE_VERDICT"], told["CALLGATE_REASON"]) == ("block", reason)
    assert len(gateway.screener.calls) == (reason == "list")


async def test_drain_lets_live_calls_end_and_releases_the_rest(start: Start) -> None:
    disk = asyncio.get_running_loop().create_future()
    gateway = await start(FakeScreener(wait=disk))
    held = asyncio.ensure_future(gateway.ask())
    await gateway.screener.asked.wait()
    assert await gateway.server.drain(0) == 1
    channel = await held
    assert (channel.variables, channel.goes_on) == ({}, True)
    disk.set_result(None)


def test_the_listener_runs_on_uvloop() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), gateways() as start:
            gateway = await start()
            assert await gateway.call() == TOLD
            assert await gateway.call(channel_data("newline-injection", SCOPES)) == HOSTILE
            async with gateway.peer():
                pass
            await gateway.unanswered("gone")
            assert await gateway.screener.outcome(2) is Delivery.CONFIRMED

    uvloop.run(main())
