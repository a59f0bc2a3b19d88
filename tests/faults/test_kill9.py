"""kill -9 at any moment: every attempt whose answer left is in the store, exactly once.

A writer prints an id only after append() returned, which is when an answer would leave. Writers
and ingester are killed at random moments, many times; what they printed is then looked for.
"""

from __future__ import annotations

import fcntl
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.attempts.ingest import Ingester, rebuild
from gateway.attempts.model import Attempt
from gateway.attempts.store import AttemptStore

ROUNDS = 32
WRITERS = 3
SEED = 20_261_122

WRITER = """
import os, sys, time
from pathlib import Path
from gateway.attempts.journal import Journal
from gateway.attempts.model import Delivery
from tests.support.attempts import make_attempt
journal = Journal(Path(sys.argv[1]), int(sys.argv[2]), segment_bytes=20_000)
while True:
    at = time.time()
    attempt = make_attempt(journal.next_id(at), at)
    journal.append(attempt)
    os.write(1, attempt.id.encode() + b"\\n")
    journal.delivery(attempt.id, Delivery.SENT, at)
    os.write(1, attempt.id.encode() + b" sent\\n")
"""

INGESTER = """
import sys
from gateway.attempts import ingest, move
move.CHUNK = 5_000  # many transactions
ingest.BUSY_PAUSE = 0
sys.exit(ingest.main(sys.argv[1:]))
"""


def start(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def start_writer(journal: Path, worker: int) -> subprocess.Popen[bytes]:
    process = start(WRITER, str(journal), str(worker))
    assert process.stdout is not None
    # A small pipe: the writer waits for its reader, so the moment of the kill is anywhere.
    fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)
    return process


def kill(process: subprocess.Popen[bytes]) -> bytes:
    """Kill a process; return what it had printed and nobody had read."""
    process.kill()
    return process.communicate()[0]


def run_and_kill(journal: Path, chance: random.Random) -> Iterator[bytes]:
    """One round: start writers, read some of their ids, kill them; every line they printed."""
    writers = [start_writer(journal, worker) for worker in range(WRITERS)]
    for writer in chance.sample(writers, WRITERS):
        assert writer.stdout is not None
        for _ in range(chance.choice([0, 1, 2, 50, 400])):
            yield writer.stdout.readline().rstrip()
        yield from kill(writer).splitlines()


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str], set[str]]:
    """The state after all kills, the ids that were printed, and those printed as delivered."""
    state = tmp_path_factory.mktemp("kill9")
    chance = random.Random(SEED)
    printed: set[str] = set()
    ingester = start(INGESTER, str(state))
    for _ in range(ROUNDS):
        printed.update(line.decode() for line in run_and_kill(state / "journal", chance))
        if chance.random() < 0.7:
            time.sleep(chance.random() / 20)
            kill(ingester)
            ingester = start(INGESTER, str(state))
    kill(ingester)
    sent = {line.removesuffix(" sent") for line in printed if line.endswith(" sent")}
    ids = {line for line in printed if " " not in line}
    return state, ids, sent


@pytest.fixture
def store(aftermath: tuple[Path, set[str], set[str]]) -> Iterator[AttemptStore]:
    last = Ingester(aftermath[0], None)
    last.step(lambda: False)
    assert last.status.error == ""
    last.close()
    store = AttemptStore(aftermath[0] / "attempts.db")
    yield store
    store.close()


Aftermath = tuple[Path, set[str], set[str]]


def check(store: AttemptStore, ids: set[str], sent: set[str]) -> None:
    stored = by_id(store)
    assert len(ids) > ROUNDS * WRITERS
    assert ids <= stored.keys()
    # What no answer left for: at most the one line that a killed writer was about to print.
    assert len(stored.keys() - ids) <= ROUNDS * WRITERS
    assert store.count() == len(stored)
    assert sum(rollup.count for rollup in store.rollups(0, 1e11)) == len(stored)
    assert all(stored[one].delivery == "sent" for one in sent)


def by_id(store: AttemptStore) -> dict[str, Attempt]:
    """All that is stored. Attempts of one microsecond stand in the order of their arrival, which
    another reading of the segments of several writers need not repeat."""
    return {attempt.id: attempt for attempt in store.query(limit=10**6)}


def test_every_attempt_whose_answer_left_is_stored_once(
    store: AttemptStore, aftermath: Aftermath
) -> None:
    _, ids, sent = aftermath
    check(store, ids, sent)


def test_a_store_made_again_has_the_same(store: AttemptStore, aftermath: Aftermath) -> None:
    state, ids, sent = aftermath
    before = by_id(store)
    assert rebuild(store, state / "journal") == len(before)
    assert by_id(store) == before
    check(store, ids, sent)


def test_what_the_dead_left_behind_is_archived(store: AttemptStore, aftermath: Aftermath) -> None:
    assert store.count()
    assert not list((aftermath[0] / "journal").glob("*.jsonl"))
