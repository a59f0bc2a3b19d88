"""The guards of a gateway: which there are, and what tells them of calls and of new entries."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from gateway.app.guards import Guards
from gateway.calls import Call, Direction
from gateway.errors import ConfigError
from gateway.frontends.link import Link
from gateway.guardsettings import GuardsSettings
from gateway.reload import PolicyStore
from gateway.settings import Settings
from tests.fakes.event_socket import PASSWORD, UUID, EventSocket, Session, event_socket, parked
from tests.support.guards import Bench, Policies
from tests.support.policies import number

CALL = Call(
    direction=Direction.OUTBOUND,
    caller="1001",
    callee="0612000001",
    at=1_800_000_000.0,
    trunk="carrier",
    pbx="freeswitch",
    channel_id=UUID,
)
ASTERISK = {"asterisk": {"connect": "127.0.0.1:5038", "secret": "s3cret"}}


@dataclass
class Store(Policies):
    """Only what guards have of the policy store."""

    on_added: Callable[[frozenset[str]], None] | None = None


def guards_of(bench: Bench, settings: object) -> Guards:
    bench.policies = Store(bench.policies.current)
    store = cast(PolicyStore, bench.policies)
    bench.__post_init__()
    made = GuardsSettings.model_validate(settings)
    return Guards(made, bench.screener, store, bench.metrics)


def freeswitch(pbx: EventSocket) -> object:
    connect = {"connect": f"127.0.0.1:{pbx.port}", "password": PASSWORD}
    return {"freeswitch": connect | {"deadline": 10.0}}


async def test_without_a_pbx_to_connect_to_nobody_is_told_of_anything() -> None:
    bench = Bench()
    guards = guards_of(bench, {})
    assert (guards.start(), guards.connected()) == ([], {})
    assert bench.screener.on_allowed is None
    assert cast(Store, bench.policies).on_added is None


async def test_both_guards_can_be_had() -> None:
    guards = guards_of(Bench(), ASTERISK | {"freeswitch": {"connect": "127.0.0.1:8021"}})
    assert guards.connected() == {"esl_inbound": False, "ami": False}


async def test_a_call_of_any_frontend_is_hung_up_when_its_number_is_added() -> None:
    bench = Bench()
    async with event_socket() as pbx:
        guards = guards_of(bench, freeswitch(pbx))
        guards.start()
        await guards.guards[0].connected.wait()
        assert guards.connected() == {"esl_inbound": True}
        bench.screener.screen(CALL, "esl")
        bench.add(number("dropping", "33612000001"))
        added = cast(Store, bench.policies).on_added
        assert added is not None
        added(frozenset({"dropping"}))
        assert await pbx.until("uuid_kill") == [f"{UUID} 52"]
        await bench.journal.settled(1)
        await guards.stop()
    assert [attempt.frontend for attempt in bench.attempts] == ["esl", "esl_inbound"]


async def test_a_bug_of_ours_is_one_more_failed_link_and_ends_no_guard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    async with event_socket() as pbx:
        guards = guards_of(bench, freeswitch(pbx))
        (guard,) = guards.guards
        right, tried = guard.connect, list[int]()

        async def connect() -> Link[Any]:
            tried.append(1)
            return await right() if len(tried) > 1 else 1 / 0  # type: ignore[return-value]

        monkeypatch.setattr(guard, "connect", connect)
        monkeypatch.setattr(guard, "_pause", lambda _: 0.0)
        guards.start()
        await asyncio.wait_for(guard.connected.wait(), 20)
        await guards.stop()
    failed = {"frontend": "esl_inbound", "result": "failed"}
    assert bench.metrics.value("callgate_guard_links_total", **failed) == 1


async def test_what_could_not_be_told_without_a_link_is_lost() -> None:
    bench = Bench()
    async with event_socket() as pbx:
        guards = guards_of(bench, freeswitch(pbx))
    bench.screener.screen(CALL, "esl")
    bench.add(number("dropping", "33612000001"))
    await guards.guards[0].drop(frozenset({"dropping"}))
    (attempt,) = await bench.journal.settled(1)
    assert attempt.delivery == "lost"


async def test_a_call_that_could_not_be_hung_up_is_hung_up_the_next_time() -> None:
    bench = Bench()
    async with event_socket() as pbx:
        guards = guards_of(bench, freeswitch(pbx))
        guard = guards.guards[0]
        bench.screener.screen(CALL, "esl")
        bench.add(number("dropping", "33612000001"))
        await guard.drop(frozenset({"dropping"}))
        guards.start()
        await guard.connected.wait()
        both = (guard.drop(frozenset({"dropping"})) for _ in range(2))
        await asyncio.gather(*both)
        await guard.drop(frozenset({"dropping"}))
        await guards.stop()
    assert [attempt.delivery for attempt in bench.attempts[1:]] == ["lost", "confirmed"]
    assert pbx.told("uuid_kill") == [f"{UUID} 52"]


async def test_a_channel_is_hung_up_once_whichever_of_its_calls_is_blocked() -> None:
    bench = Bench()
    async with event_socket() as pbx:
        guards = guards_of(bench, freeswitch(pbx))
        guards.start()
        await guards.guards[0].connected.wait()
        for callee in (CALL.callee, CALL.callee, "0612000009"):
            bench.screener.screen(replace(CALL, callee=callee), "esl")
        bench.add(number("dropping", "33612000001"))
        await guards.guards[0].drop(frozenset({"dropping"}))
        await guards.stop()
    assert pbx.told("uuid_kill") == [f"{UUID} 52"]
    assert len(bench.attempts) == 4


async def test_what_is_under_way_at_the_end_is_brought_to_its_end() -> None:
    def later(session: Session, _: str) -> None:
        assert session

    bench = Bench()
    async with event_socket(uuid_kill=later) as pbx:
        guards = guards_of(bench, freeswitch(pbx))
        guards.start()
        await guards.guards[0].connected.wait()
        pbx.session.event("CHANNEL_PARK", parked(callgate_direction="inbound"))
        await pbx.until("uuid_kill")
        stopping = asyncio.create_task(guards.stop())
        await asyncio.sleep(0)
        pbx.session.response("+OK\n")
        await stopping
    assert [attempt.delivery for attempt in bench.attempts] == ["confirmed"]


@pytest.mark.parametrize("pbx", ["freeswitch", "asterisk"])
@pytest.mark.parametrize("audit", ["1h", "61s", "99ms", "0s"])
def test_a_count_that_is_too_seldom_or_too_often_is_a_fault_that_names_its_range(
    pbx: str, audit: str
) -> None:
    text = f"guards: {{{pbx}: {{audit: {audit}}}}}"
    with pytest.raises(ConfigError) as error:
        Settings.parse(text.encode(), Path("callgate.yaml"), {})
    (fault,) = error.value.faults
    assert fault.key == f"guards.{pbx}.audit"
    assert fault.message.startswith("must lie between 100ms and 60s: ")


@pytest.mark.parametrize(("audit", "seconds"), [("100ms", 0.1), ("60s", 60.0), ("1m", 60.0)])
def test_a_count_as_often_as_may_be_is_none(audit: str, seconds: float) -> None:
    text = f"guards: {{asterisk: {{audit: {audit}}}}}"
    found = Settings.parse(text.encode(), Path("callgate.yaml"), {})
    assert found.guards.asterisk.audit == seconds


async def test_a_guard_of_asterisk_without_its_library_is_a_fault_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "panoramisk", None)
    with pytest.raises(ConfigError, match=r"callgate\[ami\]"):
        guards_of(Bench(), ASTERISK)
    await asyncio.sleep(0)
