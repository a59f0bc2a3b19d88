"""A storm of reloads, good and bad, under calls: each is decided by one revision, which it names.

Requests that come while a reload runs become one more: what is asked for counts, and how
many ran is measured.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.figures import measured
from tests.support.load import Load, ingest, lost, stored
from tests.support.served import Served, served

BLOCKS = ("+33162", "+33611")
"""What each of two good policies blocks; callers call from both."""
GOOD = "numbering: {region: FR}\nlists: {nuisance: {action: block, prefixes: [%s]}}\n"
BAD = ("surprise: 1\n", "lists: {nuisance: {action: block, prefixes: [+33162]\n", "\x00")
CALLERS = 4
PAUSE = 0.02
"""Seconds between two signals: 1,000 of them take less than a minute."""


class Storm:
    """Saves policies and asks for reloads; knows which revision blocks what."""

    def __init__(self, gateway: Served, seed: int) -> None:
        self.blocks: dict[str, str] = {}
        self.asked = 0
        self._gateway = gateway
        self._chance = random.Random(seed)

    async def learn(self) -> None:
        """Load each good policy once, in peace."""
        for prefix in BLOCKS:
            save(self._gateway.policy, GOOD % prefix)
            result = await self.ask()
            assert result["status"] == "loaded"
            self.blocks[result["revision"]] = prefix

    async def ask(self) -> dict[str, Any]:
        self.asked += 1
        return await asyncio.to_thread(self._gateway.client.reload)

    async def blow(self, count: int, by_socket: int) -> None:
        """Ask so many times, in whatever state the file is then.

        One in ``by_socket`` comes over the control socket, and its answer is waited for.
        """
        for number in range(count):
            good = self._chance.random() < 0.7
            text = GOOD % self._chance.choice(BLOCKS) if good else self._chance.choice(BAD)
            save(self._gateway.policy, text)
            if number % by_socket:
                self.asked += 1
                os.kill(self._gateway.pid, signal.SIGHUP)
                await asyncio.sleep(PAUSE)
            else:
                result = await self.ask()
                assert result["status"] in ("loaded", "failed")
                assert result["revision"] in self.blocks


def save(path: Path, text: str) -> None:
    """As an editor does it: whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


@pytest.mark.parametrize(
    ("count", "by_socket"),
    [
        pytest.param(12, 6, id="quick"),
        pytest.param(1000, 50, id="soak", marks=pytest.mark.soak),
    ],
)
async def test_each_call_is_decided_by_one_revision_which_its_attempt_names(
    count: int, by_socket: int
) -> None:
    async with served() as gateway:
        storm = Storm(gateway, count)
        await storm.learn()
        load = Load(gateway, callers=CALLERS, pause=0.01)
        async with load.running():
            await storm.blow(count, by_socket)
            save(gateway.policy, GOOD % BLOCKS[0])
            last = await storm.ask()
            assert last["status"] == "loaded"
            settled = len(load.answers)
            await load.answered(20)
        ran = await gateway.metric("callgate_policy_reloads_total")
        assert (load.refused, load.broken) == (0, 0)
        await gateway.stop()
        ingest(gateway.state)
        found = stored(gateway.state)
        assert lost(load.answers, found) == []
        for answer in load.answers:
            attempt = found[answer.id]
            blocked = answer.caller.startswith(storm.blocks[attempt.revision])
            assert answer.verdict == ("block" if blocked else "allow")
        # A call that was on its way when the last reload ended may be of the policy before.
        late = [found[answer.id].revision for answer in load.answers[settled + CALLERS :]]
        assert set(late) == {last["revision"]}
        measured("storm", asked=storm.asked, ran=ran, calls=len(found), slowest=load.slowest)
        assert count // by_socket <= ran <= storm.asked + 1
