"""Calls over both protocols through two workers, and the guards beside them: one acts, once."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from gateway.attempts.model import Attempt
from gateway.entries import Asked
from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi_client import Channel
from tests.fakes.ami import SECRET, FakeAsterisk, fake_asterisk
from tests.fakes.asterisk import agi_call
from tests.fakes.event_socket import PASSWORD, EventSocket, event_socket
from tests.fakes.freeswitch import channel_data, esl_call
from tests.support.load import ingest, stored
from tests.support.served import Served, short_folder

LONG = 120
"""Seconds after which something that is waited for has failed."""
POLICY = """\
numbering: {region: FR}
lists:
  nuisance: {action: block, prefixes: [+33162]}
  opted-out: {action: block, drop_active: true, may_be_empty: true}
"""
GUARDS = """\
guards:
  asterisk: {{connect: "127.0.0.1:{ami}", secret: {secret}, deadline: 30s, audit: 60s}}
  freeswitch:
    {{connect: "127.0.0.1:{esl}", password: {password}, mode: kill, deadline: 30s, audit: 60s}}
"""
BOTH = {1, 2}
PARENT = 0
"""The worker in the id of an attempt that is of no worker."""


def worker_of(attempt: str) -> int:
    return int(attempt.split("-")[2], 36)


class Phones:
    """Both PBXs, whose every call is on a channel of its own, and the gateway that they ask."""

    def __init__(self, gateway: Served, asterisk: FakeAsterisk, freeswitch: EventSocket) -> None:
        self.gateway = gateway
        self.asterisk = asterisk
        self.freeswitch = freeswitch
        self._numbers = itertools.count(1)

    async def over_agi(self, number: str) -> tuple[str, str, str]:
        """One call to a number: its channel, its verdict, its attempt."""
        channel = f"1795368179.{next(self._numbers)}"
        self.asterisk.channels.append(channel)
        path = screen_path("outbound", "", "", "+33140000000", number)
        async with asyncio.timeout(LONG):
            said, _ = await agi_call(
                "127.0.0.1", self.gateway.agi, path, channel=Channel(unique_id=channel)
            )
        return channel, said["CALLGATE_VERDICT"], said["CALLGATE_ATTEMPT"]

    async def over_esl(self, number: str) -> tuple[str, str, str]:
        channel = f"0e33b7ed-9427-4289-8804-{next(self._numbers):012x}"
        self.freeswitch.channels[channel] = "socket"
        asked = {"direction": "outbound", "caller": "+33140000000", "callee": number}
        told = {f"callgate_{name}": value for name, value in asked.items()}
        data = channel_data("normal", told, headers={"Unique-ID": channel})
        async with asyncio.timeout(LONG):
            found = await esl_call("127.0.0.1", self.gateway.esl, data=data)
        said = found.variables
        return channel, said["CALLGATE_VERDICT"], said["CALLGATE_ATTEMPT"]

    async def calls(self, number: str, verdict: str) -> tuple[set[str], set[str]]:
        """Calls over each protocol until both workers have decided one; the channels of each."""
        channels: tuple[set[str], set[str]] = (set(), set())
        for place, call in enumerate((self.over_agi, self.over_esl)):
            answered: set[int] = set()
            async with asyncio.timeout(LONG):
                while answered != BOTH:
                    channel, said, attempt = await call(number)
                    assert said == verdict
                    answered.add(worker_of(attempt))
                    channels[place].add(channel)
        return channels

    async def dropped(self, agi: set[str], esl: set[str]) -> None:
        """Until every one of these channels was hung up."""
        async with asyncio.timeout(LONG):
            while not (agi <= set(self.hung_up()) and esl <= set(self.killed())):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def hung_up(self) -> list[str]:
        return [action["Channel"] for action in self.asterisk.told("Hangup")]

    def killed(self) -> list[str]:
        return [command.split(" ")[0] for command in self.freeswitch.told("uuid_kill")]


@asynccontextmanager
async def phones() -> AsyncIterator[Phones]:
    """Two workers between two PBXs, once both guards have their links."""
    with short_folder() as folder:
        async with fake_asterisk() as asterisk, event_socket() as freeswitch:
            gateway = Served(folder, workers=2)
            gateway.policy.write_text(POLICY)
            with (folder / "config" / "callgate.yaml").open("a") as file:
                told = {"secret": SECRET, "password": PASSWORD}
                file.write(GUARDS.format(ami=asterisk.port, esl=freeswitch.port, **told))
            try:
                await gateway.start()
                await gateway.until(
                    lambda status: status["guards"] == {"ami": True, "esl_inbound": True}
                )
                yield Phones(gateway, asterisk, freeswitch)
            finally:
                await gateway.close()


def of(attempts: Iterable[Attempt], frontend: str) -> list[Attempt]:
    return [attempt for attempt in attempts if attempt.frontend == frontend]


async def test_calls_over_both_protocols_are_spread_over_workers_and_counted_once() -> None:
    async with phones() as pbx:
        agi, esl = await pbx.calls("+33162000000", "block")
        await pbx.gateway.until_metric("callgate_calls_total", len(agi) + len(esl))
        told = await pbx.gateway.metrics()
        for name, made in (("agi", agi), ("esl", esl)):
            counted = [
                value
                for key, value in told.items()
                if key.startswith("callgate_calls_total") and f'frontend="{name}"' in key
            ]
            assert sum(counted) == len(made)
        await pbx.gateway.stop()
        await asyncio.to_thread(ingest, pbx.gateway.state)
        found = stored(pbx.gateway.state).values()
        for name, made in (("agi", agi), ("esl", esl)):
            assert len(of(found, name)) == len(made)
            assert {worker_of(attempt.id) for attempt in of(found, name)} == BOTH
        assert {attempt.delivery for attempt in found} == {"confirmed"}


async def test_one_guard_of_each_pbx_ends_the_live_calls_of_all_workers_and_each_once() -> None:
    """Also once a worker was replaced: the guards are the parent's, and their links stay."""
    async with phones() as pbx:
        gateway = pbx.gateway
        agi, esl = await pbx.calls("+33612000001", "allow")
        add = [Asked(number="+33612000001", list="opted-out")]
        await asyncio.to_thread(gateway.client.add, add)
        await pbx.dropped(agi, esl)

        pid = (await gateway.status())["workers"]["each"]["1"]["pid"]
        os.kill(pid, signal.SIGKILL)
        await gateway.until(lambda status: _is_replaced(status["workers"]["each"]["1"], pid))
        more_agi, more_esl = await pbx.calls("+33612000002", "allow")
        add = [Asked(number="+33612000002", list="opted-out")]
        await asyncio.to_thread(gateway.client.add, add)
        await pbx.dropped(agi | more_agi, esl | more_esl)

        await gateway.stop()
        assert sorted(pbx.hung_up()) == sorted(agi | more_agi)
        assert sorted(pbx.killed()) == sorted(esl | more_esl)
        assert (len(pbx.asterisk.sessions), len(pbx.asterisk.told("Login"))) == (1, 1)
        assert len(pbx.freeswitch.sessions) == 1
        await asyncio.to_thread(ingest, gateway.state)
        found = stored(gateway.state).values()
        for name, made in (("ami", agi | more_agi), ("esl_inbound", esl | more_esl)):
            assert sorted(each.channel_id for each in of(found, name)) == sorted(made)
            assert {worker_of(each.id) for each in of(found, name)} == {PARENT}
            assert {each.delivery for each in of(found, name)} == {"confirmed"}


def _is_replaced(facts: dict[str, object], pid: int) -> bool:
    return facts["pid"] != pid and bool(facts["serving"])
