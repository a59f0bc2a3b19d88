"""Jobs of the HTTP side: whose they are, how many, and what becomes of their files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import BytesIO

import pytest

from gateway.tokens import Scope, Token
from gateway.web.jobs import AT_ONCE, KEPT, Job, Jobs
from gateway.web.problems import Problem
from gateway.web.sessions import Principal


def principal(identity: str, *scopes: Scope) -> Principal:
    token = Token(
        id=identity, name=identity, sha256="0" * 64, scopes=frozenset(scopes), created=0.0
    )
    return Principal(token, "page")


ALICE, BOB = principal("alice", Scope.WRITE), principal("bob", Scope.WRITE)
ADMIN = principal("admin", Scope.ADMIN)


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    jobs = Jobs()
    yield jobs
    jobs.close()


async def at_once(job: Job) -> str:
    del job
    return "done"


async def ended(jobs: Jobs, count: int) -> list[Job]:
    """So many jobs of Alice's that have ended, each with a file."""
    made = []
    for _ in range(count):
        made.append(jobs.start("import", ALICE, at_once, file=BytesIO(b"+33")))
        await made[-1].finished()
    return made


async def test_a_file_that_a_new_job_takes_over_stays_open_though_the_old_job_is_forgotten(
    jobs: Jobs,
) -> None:
    first, *_ = await ended(jobs, KEPT)
    file = first.file
    taken = jobs.start("import", ALICE, at_once, after=first)
    await taken.finished()
    assert taken.file is file
    assert first.file is None
    assert file is not None
    assert file.read() == b"+33"


async def test_a_job_that_cannot_begin_leaves_the_file_with_the_old_one(jobs: Jobs) -> None:
    first, *_ = await ended(jobs, KEPT - AT_ONCE)
    waiting = asyncio.Event()

    async def until_told(job: Job) -> None:
        del job
        await waiting.wait()

    running = [jobs.start("import", BOB, until_told) for _ in range(AT_ONCE)]
    with pytest.raises(Problem) as refused:
        jobs.start("import", ALICE, at_once, after=first)
    assert refused.value.status == 429
    assert first.file is not None
    assert not first.file.closed
    waiting.set()
    for job in running:
        await job.finished()


async def test_the_oldest_that_has_ended_is_forgotten_with_its_file(jobs: Jobs) -> None:
    first, *_ = await ended(jobs, KEPT)
    file = first.file
    jobs.start("import", BOB, at_once)
    assert file is not None
    assert file.closed
    with pytest.raises(Problem):
        jobs.get(first.id, "import", ALICE)


async def test_a_job_is_shown_to_its_token_and_to_an_admin_alone(jobs: Jobs) -> None:
    [job] = await ended(jobs, 1)
    assert jobs.get(job.id, "import", ALICE) is jobs.get(job.id, "import", ADMIN) is job
    assert jobs.latest("import", ALICE) is job
    assert jobs.latest("import", BOB) is None
    for kind, who in (("import", BOB), ("replay", ALICE)):
        with pytest.raises(Problem) as refused:
            jobs.get(job.id, kind, who)
        assert refused.value.status == 404


async def test_a_job_that_fails_says_so_and_frees_its_place(
    jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(job: Job) -> None:
        raise ValueError(job.kind)

    for _ in range(AT_ONCE + 1):
        job = jobs.start("import", ALICE, fails)
        await job.finished()
        assert (job.state, job.error) == ("failed", "this failed; the log of the gateway says why")
    assert "a job failed: import" in caplog.text
