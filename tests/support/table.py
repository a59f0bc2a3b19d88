"""The one table of verdicts over a socket: the real screener, policy and journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.attempts.journal import Journal
from gateway.attempts.lines import decode
from gateway.attempts.model import Attempt
from gateway.frontends.session import Frontend
from gateway.metrics import Metrics
from gateway.policy.model import Policy
from gateway.screener import Screener
from tests.support.verdicts import Row


@dataclass
class Policies:
    current: Policy


@asynccontextmanager
async def listening(
    frontend: Callable[..., Frontend], policy: Policy, folder: Path
) -> AsyncIterator[Frontend]:
    """A frontend as it runs in service, which has seen no call yet."""
    metrics = Metrics()
    journal = Journal(folder, 0, segment_bytes=1 << 20, durability="process")
    server = frontend(Screener(Policies(policy), journal, metrics), counters=metrics)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        await server.drain(1)
        journal.close()


def journaled(folder: Path) -> Attempt:
    """The one attempt in a journal."""
    lines = [line for file in folder.glob("*.jsonl") for line in file.read_bytes().splitlines()]
    (attempt,) = (item for item in map(decode, lines) if isinstance(item, Attempt))
    return attempt


def check(row: Row, told: dict[str, str], attempt: Attempt) -> None:
    """What the dialplan was told and what was recorded are what the table says."""
    names = ("VERDICT", "REASON", "LIST", "ENTRY", "RESPONSE")
    found = tuple(told.get(f"CALLGATE_{name}", "") for name in names)
    response = "" if row.response == "0" else row.response
    assert found == (row.verdict, row.reason, row.list, row.entry, response)
    assert told["CALLGATE_ATTEMPT"] == attempt.id
    assert (attempt.verdict, attempt.reason, attempt.list) == (row.verdict, row.reason, row.list)
    assert (attempt.shadow.verdict if attempt.shadow else "") == row.shadow
