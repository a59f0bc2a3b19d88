"""Screening over the control socket: the gateway decides, and says what became of its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from gateway.attempts.model import Delivery
from gateway.calls import Call, Direction, Presentation
from gateway.control.asking import CALLS, Asking
from gateway.control.messages import Ping, Screen, Screened
from gateway.control.screening import call_of, request_of
from gateway.control.server import MAX_PEERS
from gateway.errors import ControlError
from gateway.policy.model import Reason
from tests.fakes.screener import BLOCK, FakeScreener
from tests.support.control import running

CALL = Call(
    direction=Direction.OUTBOUND,
    caller="1001",
    callee="+33612000001",
    at=1795362711.5,
    trunk="carrier",
    campaign="spring-sale",
    extension="1001",
    pbx="asterisk",
    channel_id="1.0",
    linked_id="2.0",
    presentation=Presentation.RESTRICTED,
    caller_name="Joe",
    attestation="A",
)
ASKED = request_of(CALL)
LINE = msgspec.json.encode(ASKED) + b"\n"


@pytest.fixture
def screener() -> FakeScreener:
    return FakeScreener(frontend="http")


@pytest_asyncio.fixture
async def path(screener: FakeScreener) -> AsyncIterator[Path]:
    async with running(screener) as path:
        yield path


@pytest_asyncio.fixture
async def asking(path: Path) -> AsyncIterator[Asking]:
    asking = Asking(path)
    yield asking
    await asking.close()


async def screened(asking: Asking, request: Screen = ASKED) -> Screened:
    return msgspec.convert(await asking.request(request), Screened)


def test_a_request_holds_every_fact_of_a_call_but_its_time() -> None:
    assert call_of(ASKED, CALL.at) == CALL


async def test_a_call_is_decided_and_its_verdict_told(
    asking: Asking, screener: FakeScreener
) -> None:
    answer = await screened(asking)
    assert answer.attempt == "a-1"
    assert answer.verdict() == BLOCK
    (call,) = screener.calls
    assert call_of(ASKED, call.at) == call
    assert await screener.outcome() is Delivery.SENT


async def test_a_hostile_call_is_blocked_undecided(asking: Asking, screener: FakeScreener) -> None:
    answer = await screened(asking, request_of(CALL, hostile="a control character"))
    assert answer.reason is Reason.HOSTILE
    assert not screener.calls
    ((_, reason, why),) = screener.refused
    assert (reason, why) == (Reason.HOSTILE, "a control character")


async def test_a_call_that_has_happened_is_reported(asking: Asking, screener: FakeScreener) -> None:
    await screened(asking, request_of(CALL, report=True))
    assert await screener.outcome() is Delivery.REPORTED


async def test_the_answer_waits_until_its_attempt_is_on_the_disk(
    asking: Asking, screener: FakeScreener
) -> None:
    synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    screener.wait = synced
    waiting = asyncio.create_task(screened(asking))
    await screener.asked.wait()
    await asking.request(Ping())
    assert not waiting.done()
    synced.set_result(None)
    assert (await waiting).attempt == "a-1"


async def test_an_answer_that_nobody_waits_for_any_more_is_lost(
    path: Path, screener: FakeScreener
) -> None:
    synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    screener.wait = synced
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.write(LINE)
    await screener.asked.wait()
    writer.transport.abort()
    await asyncio.sleep(0)
    synced.set_result(None)
    assert await screener.outcome() is Delivery.LOST


async def test_an_answer_that_still_waits_when_the_gateway_stops_is_lost() -> None:
    screener = FakeScreener(frontend="http")
    screener.wait = asyncio.get_running_loop().create_future()
    async with running(screener) as path:
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.write(LINE)
        await screener.asked.wait()
    writer.close()
    assert screener.deliveries == {"a-1": Delivery.LOST}


@pytest.mark.parametrize(
    "wrong",
    [{"direction": "sideways"}, {"caller": 1}, {"at": 1.0}, {"presentation": "hidden"}],
)
async def test_a_request_that_is_no_call_is_refused(
    path: Path, screener: FakeScreener, wrong: dict[str, object]
) -> None:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(json.dumps({**json.loads(LINE), **wrong}).encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    assert not answer["ok"]
    assert not screener.calls


async def test_a_gateway_without_a_screener_says_so() -> None:
    async with running(None) as path:
        asking = Asking(path)
        with pytest.raises(ControlError, match="screens no calls"):
            await asking.request(ASKED)
        await asking.close()


async def test_a_flood_of_calls_leaves_the_socket_to_others(
    asking: Asking, path: Path, screener: FakeScreener
) -> None:
    synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    screener.wait = synced
    flood = [asyncio.create_task(screened(asking)) for _ in range(10 * MAX_PEERS)]
    await screener.asked.wait()
    # The web process's own questions, and those of the command line, are answered meanwhile.
    assert await asking.request(Ping())
    others = [Asking(path) for _ in range(MAX_PEERS // 2)]
    assert all([await other.request(Ping()) for other in others])
    assert len(screener.calls) <= CALLS
    synced.set_result(None)
    assert len({answer.attempt for answer in await asyncio.gather(*flood)}) == 10 * MAX_PEERS
    for other in others:
        await other.close()
