"""kill -9 of the whole gateway under calls: what a PBX was told is in the store, exactly once.

Callers ask one after the other, as Asterisk does, and keep every id that they read. The gateway is
killed after some number of answers, sometimes while it reloads, and started again on what it left.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.attempts.store import AttemptStore
from gateway.pbx.asterisk import screen_path
from tests.fakes.asterisk import agi_call
from tests.support.crew import port_of

ROUNDS = 10
CALLERS = 6
ANSWERS = [1, 2, 3, 20, 100, 250]
SEED = 20_261_122
LONG = 60
"""Seconds after which something that is waited for has failed."""

ROOT = Path(__file__).parents[2]
POLICY = "numbering: {region: FR}\nlists: {nuisance: {action: block, prefixes: [+33162]}}\n"
SETTINGS = 'agi: {listen: "127.0.0.1:0", deadline: 30s}\nesl: {listen: off}\nhttp: {listen: off}\n'

Read = dict[str, str]
"""The id of each answer that a caller read, with the number that it asked about."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        config = Path(folder) / "config"
        config.mkdir()
        (config / "callgate.yaml").write_text(SETTINGS)
        (config / "policy.yaml").write_text(POLICY)
        yield Path(folder)


@asynccontextmanager
async def gateway(place: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A process that answers, and its port; killed at the latest when the block ends."""
    config = place / "config" / "callgate.yaml"
    with (place / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "--config", str(config), "serve"),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
        )
    try:
        yield process, await port_of(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ask(port: int, chance: random.Random, answers: asyncio.Queue[tuple[str, str]]) -> None:
    """Place one call after the other until nobody listens any more; tell what was read."""
    with suppress(ConnectionError):
        while True:
            caller = f"+33{chance.choice(['162', '611'])}{chance.randrange(10**6):06d}"
            path = screen_path("inbound", "", "", caller, "+33140000000")
            variables, _ = await agi_call("127.0.0.1", port, path)
            if attempt := variables.get("CALLGATE_ATTEMPT"):
                blocked = caller.startswith("+33162")
                assert variables["CALLGATE_VERDICT"] == ("block" if blocked else "allow")
                answers.put_nowait((attempt, caller))


async def run_and_kill(place: Path, chance: random.Random) -> list[tuple[str, str]]:
    """One round: every answer that was read before the gateway was gone."""
    answers = asyncio.Queue[tuple[str, str]]()
    async with gateway(place) as (process, port):
        callers = [asyncio.create_task(ask(port, chance, answers)) for _ in range(CALLERS)]
        enough, reload = chance.choice(ANSWERS), chance.random() < 0.3
        async with asyncio.timeout(LONG):
            read = [await answers.get() for _ in range(enough)]
            if reload:
                process.send_signal(signal.SIGHUP)
                read += [await answers.get() for _ in range(enough)]
            process.kill()
            await asyncio.gather(*callers)
    while not answers.empty():
        read.append(answers.get_nowait())
    return read


@pytest.fixture(scope="module")
def answered(place: Path) -> Read:
    """What was read over all rounds; then everything that is in the journal is in the store."""
    chance = random.Random(SEED)

    async def rounds() -> list[tuple[str, str]]:
        return [pair for _ in range(ROUNDS) for pair in await run_and_kill(place, chance)]

    read = asyncio.run(rounds())
    assert len(read) == len(dict(read)), "no id is given twice"
    ingest = (sys.executable, "-m", "gateway.attempts.ingest", str(place / "state"))
    subprocess.run([*ingest, "--once", "--wait", str(LONG)], cwd=ROOT, check=True, timeout=2 * LONG)
    return dict(read)


@pytest.fixture
def store(place: Path, answered: Read) -> Iterator[AttemptStore]:
    assert answered
    store = AttemptStore(place / "state" / "attempts.db")
    yield store
    store.close()


def test_every_attempt_that_a_caller_read_is_stored_once(
    store: AttemptStore, answered: Read
) -> None:
    stored = {attempt.id: attempt for attempt in store.query(limit=10**6)}
    assert len(answered) >= ROUNDS
    assert answered.keys() <= stored.keys()
    assert {one: stored[one].caller_e164 for one in answered} == answered
    assert store.count() == len(stored)
    assert sum(rollup.count for rollup in store.rollups(0, 1e11)) == len(stored)


def test_what_nobody_read_is_at_most_what_was_on_its_way(
    store: AttemptStore, answered: Read
) -> None:
    assert store.count() - len(answered) <= ROUNDS * CALLERS


async def test_the_next_start_is_as_if_nothing_had_been(place: Path, answered: Read) -> None:
    assert answered
    async with gateway(place) as (process, port):
        path = screen_path("inbound", "", "", "+33162000000", "+33140000000")
        variables, _ = await agi_call("127.0.0.1", port, path)
        assert variables["CALLGATE_VERDICT"] == "block"
        assert variables["CALLGATE_ATTEMPT"] not in answered
        process.terminate()
        async with asyncio.timeout(LONG):
            assert await process.wait() == 0
