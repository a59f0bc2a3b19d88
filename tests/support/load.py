"""A steady load of real FastAGI and ESL connections, whose callers keep every answer they read.

Rule: a caller asks, reads until the connection ends, and asks again: what it keeps is what a PBX
acted on. One that nobody answers goes on as soon as there is somebody again.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.attempts.model import Attempt
from gateway.attempts.store import AttemptStore
from gateway.errors import StoreError
from gateway.pbx.asterisk import screen_path
from tests.fakes.asterisk import agi_call
from tests.fakes.freeswitch import channel_data, esl_call

LONG = 60
"""Seconds after which a call hangs."""
PAUSE = 0.02
"""Seconds until a caller that was refused tries again."""
CALLEE = "+33140000000"
BLOCKED = "+33162"
"""What the tests' policies block; all else is allowed."""
ROOT = Path(__file__).parents[2]


class Target(Protocol):
    """Who is asked: its ports now, and whether it is there."""

    agi: int
    esl: int
    ready: asyncio.Event


@dataclass(frozen=True, slots=True)
class Answer:
    """What one caller read, and when (``time.monotonic``)."""

    id: str
    frontend: str
    caller: str
    verdict: str
    at: float


class Load:
    """Callers, half of them over each protocol.

    ``refused`` counts connections that nobody took, ``broken`` those that ended without a
    verdict: the dialplan's outage branch. ``slowest`` is the longest call in seconds.
    """

    def __init__(
        self, target: Target, *, callers: int = 4, seed: int = 0, pause: float = 0.0
    ) -> None:
        """``pause`` is the seconds that a caller rests between two calls."""
        self.answers: list[Answer] = []
        self.refused = self.broken = 0
        self.slowest = 0.0
        self._target = target
        self._callers = callers
        self._seed = seed
        self._pause = pause
        self._more = asyncio.Condition()
        self._over = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Callers call while the block runs; each ends its last call."""
        self._over = False
        callers = [asyncio.create_task(self._calls(place)) for place in range(self._callers)]
        try:
            yield self
        finally:
            self._over = True
            for caller in callers if not self._target.ready.is_set() else ():
                caller.cancel()
            results = await asyncio.gather(*callers, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def answered(self, count: int) -> None:
        """Wait until there are so many answers more."""
        wanted = len(self.answers) + count
        async with asyncio.timeout(LONG), self._more:
            await self._more.wait_for(lambda: len(self.answers) >= wanted)

    async def _calls(self, place: int) -> None:
        chance = random.Random(1000 * self._seed + place)
        over = "agi" if place % 2 else "esl"
        while not self._over:
            await self._target.ready.wait()
            caller = f"{chance.choice([BLOCKED, '+33611'])}{chance.randrange(10**6):06d}"
            began = time.monotonic()
            try:
                async with asyncio.timeout(LONG):
                    said = await (self._by_agi if over == "agi" else self._by_esl)(caller)
            except ConnectionError:
                self.refused += 1
                await asyncio.sleep(PAUSE)
                continue
            await self._heard(over, caller, said, began)
            await asyncio.sleep(self._pause)

    async def _heard(self, over: str, caller: str, said: Mapping[str, str], began: float) -> None:
        now = time.monotonic()
        self.slowest = max(self.slowest, now - began)
        if "CALLGATE_VERDICT" not in said:
            self.broken += 1
        if attempt := said.get("CALLGATE_ATTEMPT"):
            verdict = said.get("CALLGATE_VERDICT", "")
            async with self._more:
                self.answers.append(Answer(attempt, over, caller, verdict, now))
                self._more.notify_all()

    async def _by_agi(self, caller: str) -> Mapping[str, str]:
        path = screen_path("inbound", "", "", caller, CALLEE)
        variables, _ = await agi_call("127.0.0.1", self._target.agi, path)
        return variables

    async def _by_esl(self, caller: str) -> Mapping[str, str]:
        said = {"direction": "inbound", "caller": caller, "callee": CALLEE}
        data = channel_data("normal", {f"callgate_{name}": text for name, text in said.items()})
        channel = await esl_call("127.0.0.1", self._target.esl, data=data)
        return channel.variables


def right(answers: Iterable[Answer]) -> bool:
    """Whether each verdict is that of the tests' policy."""
    return all(
        answer.verdict == ("block" if answer.caller.startswith(BLOCKED) else "allow")
        for answer in answers
        if answer.verdict
    )


def ingest(state: Path) -> None:
    """What is in the journal of a gateway that has ended is in its store."""
    command = [sys.executable, "-m", "gateway.attempts.ingest", str(state), "--once"]
    command += ["--wait", str(LONG)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=2 * LONG)


def attempts(state: Path) -> dict[str, Attempt]:
    """What a store has now, by id, while an ingester may be writing to it."""
    try:
        store = AttemptStore(state / "attempts.db", readonly=True)
    except StoreError:  # nobody has made it yet
        return {}
    try:
        return {attempt.id: attempt for attempt in store.query(limit=10**6)}
    finally:
        store.close()


def stored(state: Path) -> dict[str, Attempt]:
    """Every attempt of a store that rests: no one is there twice and every one is counted."""
    found = attempts(state)
    store = AttemptStore(state / "attempts.db", readonly=True)
    try:
        assert store.count() == len(found)
        assert sum(rollup.count for rollup in store.rollups(0, 1e11)) == len(found)
    finally:
        store.close()
    return found


def lost(answers: Iterable[Answer], found: Mapping[str, Attempt]) -> list[Answer]:
    """Answers without an attempt. Those that have one must be of that call."""
    missing = []
    for answer in answers:
        attempt = found.get(answer.id)
        if attempt is None:
            missing.append(answer)
            continue
        assert (attempt.caller_e164, attempt.frontend) == (answer.caller, answer.frontend)
        assert answer.verdict in ("", attempt.verdict)
    return missing


async def until_stored(state: Path, answers: Sequence[Answer]) -> None:
    """Wait until the ingester that runs has moved them, however broken the store may be yet."""
    async with asyncio.timeout(LONG):
        while True:
            with suppress(StoreError):
                if not lost(answers, attempts(state)):
                    return
            await asyncio.sleep(0.05)
