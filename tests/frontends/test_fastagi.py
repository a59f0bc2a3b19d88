"""The FastAGI listener over real sockets: every peer gets what it deserves, none takes it down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import uvloop

from gateway.attempts.model import Delivery
from gateway.calls import Direction, Presentation
from gateway.frontends.fastagi import FastAgi
from gateway.frontends.probe import NoAnswer, ask
from gateway.pbx.asterisk import EntryRequest, screen_path
from gateway.policy.model import Action, Reason, Verdict
from gateway.protocols.agi_client import AgiClient, Channel, environment
from tests.fakes.asterisk import agi_call
from tests.fakes.screener import FakeScreener
from tests.support import frontends as support

VECTORS = Path(__file__).parent.parent / "vectors" / "agi"
CALL = screen_path("inbound", "t5", "", "+15551234567", "+33140000000", "allowed")
ENVIRONMENT = environment(f"agi://127.0.0.1/{CALL}", Channel())
HONEST = ("url-anonymous", "url-normal", "url-pai-privacy", "url-punctuation")
TOLD = {
    "CALLGATE_VERDICT": "block",
    "CALLGATE_RESPONSE": "603",
    "CALLGATE_CAUSE": "16",
    "CALLGATE_REASON": "list",
    "CALLGATE_LIST": "nuisance",
    "CALLGATE_ENTRY": "+1555",
    "CALLGATE_NUMBER": "+15551234567",
}
HOSTILE = {
    "CALLGATE_VERDICT": "block",
    "CALLGATE_RESPONSE": "403",
    "CALLGATE_CAUSE": "21",
    "CALLGATE_REASON": "hostile",
}


class Gateway(support.Gateway):
    async def call(
        self, url: str = CALL, *, data: bytes | None = None, chunk: int = 0
    ) -> dict[str, str]:
        variables, commands = await agi_call("127.0.0.1", self.port, url, data=data, chunk=chunk)
        assert len(commands) <= 1
        variables.pop("CALLGATE_ATTEMPT", None)
        return variables


Start = Callable[..., Awaitable[Gateway]]


def gateways() -> AbstractAsyncContextManager[Start]:
    return support.gateways(Gateway, FastAgi, "agi")


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with asyncio.timeout(60), gateways() as start:
        yield start


@pytest.mark.parametrize("chunk", [4096, 128, 16, 1])
@pytest.mark.parametrize("name", HONEST)
async def test_a_captured_call_is_screened_in_reads_of_any_size(
    start: Start, name: str, chunk: int
) -> None:
    gateway = await start()
    data = (VECTORS / f"{name}.env.bin").read_bytes()
    assert await gateway.call(data=data, chunk=chunk) == TOLD
    (call,) = gateway.screener.calls
    assert (call.direction, call.callee, call.trunk) == (Direction.INBOUND, "+33140000000", "t5")
    assert call.channel_id.startswith("17953627")
    assert await gateway.screener.outcome() is Delivery.CONFIRMED


async def test_every_cut_of_an_environment_gives_the_same_answer(start: Start) -> None:
    gateway = await start()
    for cut in range(1, len(ENVIRONMENT)):
        assert await gateway.call(data=ENVIRONMENT, chunk=cut) == TOLD
    assert set(gateway.screener.deliveries.values()) == {Delivery.CONFIRMED}
    assert len({(call.caller, call.callee) for call in gateway.screener.calls}) == 1


@pytest.mark.parametrize("chunk", [4096, 128, 16, 1])
async def test_a_forged_capture_is_blocked_and_its_callee_kept(start: Start, chunk: int) -> None:
    gateway = await start()
    data = b"".join(
        (VECTORS / f"url-forged-environment.{kind}.bin").read_bytes() for kind in ("env", "replies")
    )
    assert await gateway.call(data=data, chunk=chunk) == HOSTILE
    ((call, reason, _),) = gateway.screener.refused
    assert (call.callee, reason) == ("+33140000000", Reason.HOSTILE)
    assert not gateway.screener.calls
    assert await gateway.screener.outcome() is Delivery.CONFIRMED


@pytest.mark.parametrize(
    "data",
    [
        pytest.param((VECTORS / "env-end-injection.env.bin").read_bytes(), id="an early end"),
        pytest.param((VECTORS / "newline-injection.env.bin").read_bytes(), id="keys twice"),
        pytest.param((VECTORS / "normal.env.bin").read_bytes(), id="an unknown URL"),
        pytest.param(ENVIRONMENT + b"200 result=1\n", id="bytes after the blank line"),
        pytest.param(ENVIRONMENT.replace(b"t5", b"\xff"), id="a URL that is not UTF-8"),
        pytest.param(ENVIRONMENT.replace(b"t5", b"%FF"), id="an escape that is not UTF-8"),
        pytest.param(ENVIRONMENT.replace(b"t5", b"%0A"), id="an encoded newline"),
        pytest.param(
            ENVIRONMENT[:-1] + b"agi_arg_1: " + b"x" * 20_000 + b"\n\n", id="too much of it"
        ),
    ],
)
async def test_what_no_honest_dialplan_sends_is_blocked(start: Start, data: bytes) -> None:
    gateway = await start()
    assert await gateway.call(data=data) == HOSTILE
    assert not gateway.screener.calls
    assert await gateway.screener.outcome() in (Delivery.CONFIRMED, Delivery.SENT)


async def test_bytes_that_are_not_utf8_after_the_url_are_harmless(start: Start) -> None:
    gateway = await start()
    data = ENVIRONMENT.replace(b"agi_calleridname: unknown", b"agi_calleridname: Jos\xe9")
    assert await gateway.call(data=data) == TOLD


async def test_the_call_is_what_the_url_says_and_no_line_of_the_callers(start: Start) -> None:
    gateway = await start()
    path = screen_path(
        *("outbound", "gw", "sale", "101", "0162 5", "prohib"), ext="101", id="7.1", name="José"
    )
    channel = Channel(caller="+18005550000", dnid="911", unique_id="17.2")
    variables, _ = await agi_call(
        "127.0.0.1", gateway.port, path, channel=channel, args=["inbound"]
    )
    assert variables["CALLGATE_ATTEMPT"] == "a-1"
    (call,) = gateway.screener.calls
    assert (call.direction, call.trunk, call.campaign) == (Direction.OUTBOUND, "gw", "sale")
    assert (call.caller, call.callee) == ("101", "0162 5")
    assert (call.extension, call.linked_id, call.caller_name) == ("101", "7.1", "José")
    assert (call.presentation, call.channel_id) == (Presentation.RESTRICTED, "17.2")


async def test_an_allow_is_told_in_one_command(start: Start) -> None:
    allow = Verdict(action=Action.ALLOW, reason=Reason.DEFAULT, revision="r")
    gateway = await start(FakeScreener(allow))
    assert await agi_call("127.0.0.1", gateway.port, CALL) == (
        {
            "CALLGATE_VERDICT": "allow",
            "CALLGATE_REASON": "default",
            "CALLGATE_ATTEMPT": "a-1",
        },
        ['EXEC MSet "CALLGATE_VERDICT=allow,CALLGATE_REASON=default,CALLGATE_ATTEMPT=a-1"'],
    )


async def test_a_peer_that_connects_and_closes_harms_nobody(start: Start) -> None:
    gateway = await start()
    for _ in range(20):
        async with gateway.peer():
            pass
    await gateway.unanswered("gone", 20)
    assert await gateway.call() == TOLD
    assert len(gateway.screener.calls) == 1


@pytest.mark.parametrize(
    ("data", "cause"),
    [(b"", "silent"), (ENVIRONMENT[:300], "half"), (ENVIRONMENT[:-1], "half")],
)
async def test_a_peer_that_does_not_go_on_is_closed_at_the_deadline(
    start: Start, data: bytes, cause: str
) -> None:
    gateway = await start(deadline=0.05)
    async with gateway.peer(data) as (reader, _):
        assert await reader.read() == b""
    await gateway.unanswered(cause)
    assert not gateway.screener.deliveries


async def test_a_slow_sender_is_bounded_as_a_whole(start: Start) -> None:
    gateway = await start(deadline=0.1)
    async with gateway.peer() as (reader, writer):
        end = asyncio.ensure_future(support.ended(reader))
        for byte in ENVIRONMENT[:-1]:
            writer.write(bytes([byte]))
            if (await asyncio.wait([end], timeout=0.01))[0]:
                break
        assert await end == b""
    await gateway.unanswered("half")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "garbage"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "garbage"),
        (b"\n\n", "garbage"),
        (b"agi_network: yes\nagi_network_script: " + b"x" * 10_000_000, "too_long"),
    ],
)
async def test_a_peer_that_is_not_asterisk_gets_nothing(
    start: Start, data: bytes, cause: str
) -> None:
    gateway = await start()
    assert await gateway.call(data=data) == {}
    await gateway.unanswered(cause)
    assert not gateway.screener.deliveries


async def test_ten_megabytes_after_a_whole_url_are_blocked_and_cut_off(start: Start) -> None:
    gateway = await start()
    await gateway.call(data=ENVIRONMENT[:-1] + b"agi_arg_1: " + b"x" * 10_000_000)
    ((call, reason, _),) = gateway.screener.refused
    assert (call.callee, reason) == ("+33140000000", Reason.HOSTILE)
    assert await gateway.screener.outcome() is Delivery.SENT


async def test_a_peer_that_never_reads_or_replies_is_cut_off(start: Start) -> None:
    gateway = await start(deadline=0.05)
    async with gateway.peer(ENVIRONMENT):
        assert await gateway.screener.outcome() is Delivery.SENT


async def test_a_peer_that_closes_without_a_reply_has_lost_the_answer(start: Start) -> None:
    gateway = await start()
    async with gateway.peer(ENVIRONMENT) as (reader, _):
        await reader.readline()
    assert await gateway.screener.outcome() is Delivery.LOST


async def test_a_caller_who_hung_up_needs_no_answer(start: Start) -> None:
    gateway = await start()
    async with gateway.peer(ENVIRONMENT) as (reader, writer):
        await reader.readline()
        writer.write(b"HANGUP\n")
    assert await gateway.screener.outcome() is Delivery.SENT


@pytest.mark.parametrize(
    ("reply", "delivery"),
    [
        (b"200 result=0\n", Delivery.CONFIRMED),
        (b"HANGUP\n200 result=0\n", Delivery.CONFIRMED),
        (b"HANGUP\nHANGUP\n200 result=1 (HANGUP)\n", Delivery.CONFIRMED),
        (b"200 result=-2\n", Delivery.LOST),
        (b"510 Invalid or unknown command\n", Delivery.LOST),
        (b"511 Command Not Permitted on a dead channel\n", Delivery.LOST),
        (b"520-Invalid\nHANGUP\n Usage\n520 End of proper usage.\n", Delivery.LOST),
        (b"nonsense\n", Delivery.SENT),
        (b"x" * 10_000, Delivery.SENT),
    ],
)
async def test_the_reply_says_what_became_of_the_answer(
    start: Start, reply: bytes, delivery: Delivery
) -> None:
    gateway = await start()
    async with gateway.peer(ENVIRONMENT) as (reader, writer):
        assert (await reader.readline()).startswith(b"EXEC MSet ")
        writer.write(reply)
        assert await gateway.screener.outcome() is delivery


async def test_replies_of_no_use_fill_no_log(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start()
    for _ in range(20):
        async with gateway.peer(ENVIRONMENT) as (reader, writer):
            await reader.readline()
            writer.write(b"200 result=-" + b"9" * 3900 + b"\n")
            await reader.read()
    told = [one for one in caplog.messages if "did not set" in one]
    assert 1 <= len(told) <= 10
    assert max(map(len, told)) < 300


async def test_a_hangup_before_the_answer_does_not_stop_it(start: Start) -> None:
    gateway = await start()
    assert await gateway.call(data=ENVIRONMENT + b"HANGUP\n") == TOLD
    assert await gateway.screener.outcome() is Delivery.CONFIRMED


async def test_past_the_cap_a_connection_is_closed_at_once(start: Start) -> None:
    gateway = await start(max_connections=2)
    async with gateway.peer() as (_, first), gateway.peer():
        await gateway.connected(2)
        assert await gateway.call() == {}
        await gateway.unanswered("over_limit")
        first.close()
        await gateway.unanswered("gone")
        assert await gateway.call() == TOLD
    assert gateway.server.listener.open <= 1


async def test_many_calls_at_once_get_each_its_own_answer(start: Start) -> None:
    gateway = await start()
    paths = [screen_path("outbound", "t", "", "1", str(n), "allowed") for n in range(200)]
    told = await asyncio.gather(*(gateway.call(path) for path in paths))
    assert told == [TOLD] * 200
    assert sorted(int(call.callee) for call in gateway.screener.calls) == list(range(200))


async def test_an_answer_waits_for_the_disk(start: Start) -> None:
    disk = asyncio.get_running_loop().create_future()
    gateway = await start(FakeScreener(wait=disk))
    async with gateway.peer(ENVIRONMENT) as (reader, writer):
        await gateway.screener.asked.wait()
        line = asyncio.ensure_future(reader.readline())
        done, _ = await asyncio.wait([line], timeout=0.05)
        assert not done
        disk.set_result(None)
        writer.write(AgiClient().receive(await line))
        assert await gateway.screener.outcome() is Delivery.CONFIRMED


async def test_an_answer_leaves_although_the_disk_failed(start: Start) -> None:
    async def fail() -> None:
        raise OSError("no space")

    gateway = await start(FakeScreener(wait=fail()))
    assert await gateway.call() == TOLD


async def test_one_peer_that_goes_while_the_disk_works_does_not_disturb_another(
    start: Start,
) -> None:
    disk = asyncio.get_running_loop().create_future()
    gateway = await start(FakeScreener(wait=disk))
    async with gateway.peer(ENVIRONMENT):
        await gateway.screener.asked.wait()
    assert await gateway.screener.outcome() is Delivery.LOST
    gateway.screener.asked.clear()
    other = asyncio.ensure_future(gateway.call())
    await gateway.screener.asked.wait()
    disk.set_result(None)
    assert await other == TOLD


async def test_a_disk_that_takes_too_long_meets_the_deadline(start: Start) -> None:
    disk = asyncio.get_running_loop().create_future()
    gateway = await start(FakeScreener(wait=disk), deadline=0.05)
    assert await gateway.call() == {}
    await gateway.unanswered("held")
    assert await gateway.screener.outcome() is Delivery.LOST
    disk.set_result(None)


async def test_bytes_that_come_while_the_answer_waits_turn_it_hostile(start: Start) -> None:
    disk = asyncio.get_running_loop().create_future()
    gateway = await start(FakeScreener(wait=disk))
    async with gateway.peer(ENVIRONMENT) as (reader, writer):
        await gateway.screener.asked.wait()
        writer.write(b"200 result=1\n")
        assert await gateway.screener.outcome(1) is Delivery.LOST
        disk.set_result(None)
        line = await reader.readline()
        assert b"CALLGATE_REASON=hostile" in line
        assert b"CALLGATE_ATTEMPT=a-2" in line
        assert await reader.read() == b""
    assert gateway.screener.refused[0][0].channel_id == Channel().unique_id
    assert await gateway.screener.outcome(2) is Delivery.SENT


@pytest.mark.parametrize(
    ("options", "reason"),
    [({}, "unauthorised"), ({"key": "wrong"}, "unauthorised"), ({"key": "s/é"}, "list")],
)
async def test_a_call_needs_the_secret_when_there_is_one(
    start: Start, options: dict[str, str], reason: str
) -> None:
    gateway = await start(secret="s/é")
    told = await gateway.call(f"{CALL}{_tail(options)}")
    assert (told["CALLGATE_VERDICT"], told["CALLGATE_REASON"]) == ("block", reason)
    assert len(gateway.screener.calls) == (reason == "list")
    assert [why[1] for why in gateway.screener.refused] == [Reason.UNAUTHORISED] * (
        reason != "list"
    )


@pytest.mark.parametrize(
    ("secret", "path", "status", "asked"),
    [
        ("s", "entry/block/%2B33162/by=101/key=s", "added", True),
        ("s", "entry/block/%2B33162/by=101/key=t", "refused", False),
        ("s", "entry/block/%2B33162/by=101", "refused", False),
        ("", "entry/block/%2B33162/by=101/key=", "refused", False),
    ],
)
async def test_a_star_code_needs_the_secret_always(
    start: Start, secret: str, path: str, status: str, asked: bool
) -> None:
    requests: list[EntryRequest] = []

    async def entries(request: EntryRequest) -> str:
        requests.append(request)
        return "added"

    gateway = await start(secret=secret, entries=entries)
    assert await gateway.call(path) == {"CALLGATE_STATUS": status}
    assert bool(requests) is asked
    assert all(item == EntryRequest("block", "+33162", "101", "s") for item in requests)
    assert not gateway.screener.deliveries


async def test_a_star_code_that_fails_is_refused(start: Start) -> None:
    async def entries(request: EntryRequest) -> str:
        raise RuntimeError(request.op)

    gateway = await start(secret="s", entries=entries)
    assert await gateway.call("entry/unblock/1/key=s") == {"CALLGATE_STATUS": "refused"}


async def test_without_a_place_for_entries_star_codes_are_refused(start: Start) -> None:
    gateway = await start(secret="s")
    assert await gateway.call("entry/block/1/key=s") == {"CALLGATE_STATUS": "refused"}


async def test_a_reported_call_is_recorded_as_reported(start: Start) -> None:
    gateway = await start()
    async with gateway.peer(environment(f"agi://h/{CALL}/mode=report", Channel())):
        await gateway.screener.asked.wait()
    assert await gateway.screener.outcome() is Delivery.REPORTED


async def test_drain_lets_live_calls_end_and_takes_no_new_ones(start: Start) -> None:
    gateway = await start()
    port = gateway.port
    async with gateway.peer(ENVIRONMENT) as (reader, writer):
        line = await reader.readline()
        drained = asyncio.ensure_future(gateway.server.drain(30))
        await asyncio.sleep(0)
        with pytest.raises(NoAnswer):
            await ask("127.0.0.1", port)
        writer.write(AgiClient().receive(line))
        assert await drained == 0
    assert await gateway.screener.outcome() is Delivery.CONFIRMED


async def test_drain_ends_what_does_not_end_itself(start: Start) -> None:
    gateway = await start()
    async with gateway.peer(ENVIRONMENT) as (reader, _), gateway.peer():
        await reader.readline()
        await gateway.connected(2)
        assert await gateway.server.drain(0) == 2
    assert await gateway.screener.outcome() is Delivery.SENT
    await gateway.unanswered("silent")


async def test_a_peer_who_has_said_nothing_does_not_hold_up_a_drain(start: Start) -> None:
    """Its deadline would, for a quarter of an hour."""
    gateway = await start(deadline=1000.0)
    async with gateway.peer(ENVIRONMENT) as (reader, writer), gateway.peer() as (silent, _):
        line = await reader.readline()
        await gateway.connected(2)
        drained = asyncio.ensure_future(gateway.server.drain(900))
        assert await silent.read() == b""
        assert not drained.done()
        writer.write(AgiClient().receive(line))
        assert await drained == 0
    assert await gateway.screener.outcome() is Delivery.CONFIRMED
    await gateway.unanswered("silent")


async def test_a_probe_is_answered_and_leaves_no_attempt(start: Start) -> None:
    gateway = await start(secret="s")
    answer = await ask("127.0.0.1", gateway.port)
    assert answer.variables == {"CALLGATE_STATUS": "ok"}
    assert answer.seconds > 0
    assert not gateway.screener.calls


async def test_a_probe_can_place_a_call(start: Start) -> None:
    gateway = await start()
    answer = await ask("127.0.0.1", gateway.port, CALL)
    assert answer.variables == {**TOLD, "CALLGATE_ATTEMPT": "a-1"}
    assert await gateway.screener.outcome() is Delivery.CONFIRMED


async def test_a_probe_says_that_there_was_no_answer(start: Start) -> None:
    disk = asyncio.get_running_loop().create_future()
    gateway = await start(FakeScreener(wait=disk))
    with pytest.raises(NoAnswer, match="no answer: too late"):
        await ask("127.0.0.1", gateway.port, CALL, timeout=0.05)
    limited = await start(max_connections=0)
    with pytest.raises(NoAnswer):
        await ask("127.0.0.1", limited.port)
    disk.set_result(None)


def test_the_listener_runs_on_uvloop() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), gateways() as start:
            gateway = await start()
            data = (VECTORS / "url-forged-environment.env.bin").read_bytes()
            assert await gateway.call() == TOLD
            assert await gateway.call(data=data) == HOSTILE
            async with gateway.peer():
                pass
            await gateway.unanswered("gone")
            assert await gateway.screener.outcome(2) is Delivery.CONFIRMED

    uvloop.run(main())


def _tail(options: dict[str, str]) -> str:
    tail = screen_path("", "", "", "", "", "", **options).split("/")[7:]
    return "".join("/" + part for part in tail)
