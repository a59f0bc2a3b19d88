"""In each fault every surface says so: metrics, readyz, status, doctor, the log and the page.

ROWS is what docs/operations.md tells operators to look for; a test holds both together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.control.trouble import PARTS
from tests.support import breaking
from tests.support.breaking import Broken, Fault, reloading
from tests.support.served import LONG, served
from tests.support.surfaces import Surfaces

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@dataclass(frozen=True)
class Row:
    """A fault, and what is said of it. ``part`` and ``words`` are those of readyz, status, doctor
    and page; without ``words`` they say nothing, since the gateway is well. A fault that ``stands``
    is told until it ends, another for two minutes more.
    """

    fault: str
    make: Fault
    metric: str
    words: str
    log: str
    part: str = ""
    stands: bool = False

    @property
    def line(self) -> str:
        """As the documentation has it."""
        told = f"`{self.part}`: {self.words}" if self.words else "nothing: the gateway is well"
        ends = "until it ends" if self.stands else "two minutes more" if self.words else "–"
        return f"| {self.fault} | `{self.metric}` | {told} | {ends} | `{self.log}` |"


ONE_PROCESS = (
    Row(
        fault="a hostile peer",
        make=breaking.hostile_peer,
        metric='callgate_hostile_requests_total{frontend="agi"}',
        words="",
        log="hostile",
    ),
    Row(
        fault="more connections than `max_connections`",
        make=breaking.over_limit,
        metric='callgate_unanswered_total{frontend="agi",cause="over_limit"}',
        part="calls",
        words="connections were turned away, since max_connections were open, or others waited",
        log="connections were turned away",
    ),
    Row(
        fault="a flood: the kernel refuses",
        make=breaking.flood,
        metric=breaking.SHUT,
        part="calls",
        words="so many connections came that the kernel refused them, uncounted, for seconds",
        log="new ones are refused unseen",
    ),
    Row(
        fault="the policy is broken at a reload",
        make=reloading("surprise: 1\n"),
        metric="callgate_policy_degraded",
        part="policy",
        words="the last reload failed",
        log="policy failed",
        stands=True,
    ),
    Row(
        fault="a reload is refused",
        make=reloading("numbering: {region: FR}\nlists: {}\n"),
        metric="callgate_policy_degraded",
        part="policy",
        words="the last reload was refused",
        log="policy refused",
        stands=True,
    ),
    Row(
        fault="`entries.db` is broken",
        make=breaking.entries_unreadable,
        metric="callgate_policy_degraded",
        part="policy",
        words="managed entries",
        log="managed changes cannot be taken",
        stands=True,
    ),
    Row(
        fault="the store of attempts is locked",
        make=breaking.store_locked,
        metric="callgate_ingester_failing",
        part="ingester",
        words="database is locked",
        log="nothing can be moved, trying again",
        stands=True,
    ),
    Row(
        fault="the store of attempts is corrupt",
        make=breaking.store_corrupt,
        metric="callgate_ingester_corruptions_total",
        part="ingester",
        words="the store was corrupt, was set aside and made again from the journal",
        log="set aside as",
    ),
    Row(
        fault="the ingester dies",
        make=breaking.ingester_killed,
        metric="callgate_ingester_restarts_total",
        part="ingester",
        words="the ingester ended and was started again",
        log="the ingester ended with",
    ),
    Row(
        fault="the process of API and pages dies",
        make=breaking.http_killed,
        metric="callgate_http_restarts_total",
        part="http",
        words="the process of API and pages ended and was started again",
        log="the HTTP side ended with",
    ),
    Row(
        fault="the journal is moved away",
        make=breaking.journal_moved,
        metric="callgate_journal_segments_lost_total",
        part="journal",
        words="segments of the journal were moved or removed while they were written",
        log="was moved or removed while it was written",
    ),
    Row(
        fault="the journal cannot be written",
        make=breaking.journal_in_the_way,
        metric="callgate_journal_errors_total",
        part="journal",
        words="records could not be written to the journal",
        log="the journal failed",
    ),
    Row(
        fault="the journal cannot be read",
        make=breaking.journal_in_the_way,
        metric="callgate_ingester_failing",
        part="ingester",
        words="Not a directory",
        log="Not a directory",
        stands=True,
    ),
    Row(
        fault="the policy is broken at a start",
        make=breaking.bad_start,
        metric="callgate_policy_degraded",
        part="policy",
        words="the configured policy cannot be loaded; the last good one runs",
        log="the last good one, ",
        stands=True,
    ),
)
TWO_WORKERS = (
    Row(
        fault="a worker is missing",
        make=breaking.worker_killed,
        metric='callgate_worker_restarts_total{cause="died"}',
        part="workers",
        words="workers had to be replaced",
        log="worker 1",
    ),
    Row(
        fault="a worker cannot write its journal",
        make=breaking.journal_in_the_way,
        metric="callgate_journal_errors_total",
        part="journal",
        words="records could not be written to the journal",
        log="the journal failed",
    ),
    Row(
        fault="the clock jumps forward by more than a day",
        make=breaking.clock_jump,
        metric="callgate_ingester_failing",
        part="ingester",
        words="the clock was set forward",
        log="the clock was set forward",
        stands=True,
    ),
)
SILENT = (
    Row(
        fault="the ingester hangs for a minute",
        make=breaking.ingester_stopped,
        metric="callgate_ingester_status_age_seconds",
        part="ingester",
        words="has said nothing for",
        log="the ingester has said nothing for",
        stands=True,
    ),
)


async def told(broken: Broken, row: Row) -> None:
    """Until the gateway says it."""
    await until(broken, row, said=True)
    await broken.gateway.logged(row.log)


async def until(broken: Broken, row: Row, *, said: bool) -> None:
    """The metric and the status have it, or have it no more."""
    async with asyncio.timeout(2 * LONG):
        while ((await broken.gateway.metrics()).get(row.metric, 0) >= 1) != said:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        while row.words and (row.words in await degraded(broken, row.part)) != said:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def degraded(broken: Broken, part: str) -> str:
    status = await broken.gateway.status()
    return str(status.get(part, {}).get("degraded", ""))


async def check(broken: Broken, surfaces: Surfaces, row: Row) -> None:
    """The fault is made, told everywhere in the same words, and, if it stands, over at its end."""
    before = (await surfaces.ask()).troubles
    logged = broken.gateway.log.count(row.log)
    async with row.make(broken):
        await told(broken, row)
        found = await surfaces.ask()
        found.check()
        if row.words:
            assert row.words in dict(found.troubles)[row.part]
        else:
            assert found.troubles == before
        assert broken.gateway.log.count(row.log) > logged
    if row.stands:
        await until(broken, row, said=False)
    (await surfaces.ask()).check()


@pytest.mark.parametrize(
    ("workers", "rows"),
    [
        pytest.param(1, ONE_PROCESS, id="one process"),
        pytest.param(2, TWO_WORKERS, id="two workers"),
        pytest.param(1, SILENT, id="a minute of silence", marks=pytest.mark.soak),
    ],
)
async def test_every_surface_tells_of_every_fault(
    workers: int, rows: Sequence[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = tmp_path / "ahead"
    clock.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(breaking.CLOCK)
    monkeypatch.setenv(breaking.AHEAD, str(clock))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with served(http=True, workers=workers, max_connections=8 * workers) as gateway:
        broken, surfaces = Broken(gateway, clock), Surfaces(gateway)
        well = await surfaces.ask()
        well.check()
        assert well.troubles == []
        for row in rows:
            await check(broken, surfaces, row)
        silence = SILENT[0].log in gateway.log
        assert silence == (rows is SILENT), "a clock that is set is no silence of anybody"


def test_what_the_documentation_tells_is_what_is_tested() -> None:
    text = OPERATIONS.read_text().partition("<!-- surfaces:")[2].partition("\n\n")[0]
    lines = [line for line in text.splitlines()[1:] if line.startswith("| ")]
    assert lines[1:] == [row.line for row in (*ONE_PROCESS, *TWO_WORKERS, *SILENT)]


def test_every_part_that_can_say_something_has_a_row() -> None:
    assert {row.part for row in (*ONE_PROCESS, *TWO_WORKERS)} - {""} == set(PARTS)
