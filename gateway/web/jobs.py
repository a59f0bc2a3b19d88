"""Work that takes minutes: begun by a request, watched by others, in threads of its own.

Rule 1: few at once, and each gives way to calls: the processors are theirs first.
Rule 2: a job belongs to the token that began it, and outlives the page but not this process. What
it has written by then stays.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO, TypeVar

from gateway.errors import ControlError, GatewayError
from gateway.tokens import Scope
from gateway.web.problems import Problem
from gateway.web.sessions import Principal

log = logging.getLogger("callgate.http")

T = TypeVar("T")

AT_ONCE = 2
KEPT = 8
"""Jobs that are remembered; of those that have ended the oldest is forgotten first."""
NICENESS = 5
_STOPPED = "the gateway was stopped meanwhile"
_AGAIN = {"Retry-After": "10"}


class Stopped(Exception):
    """This process ends: raised inside a job when it next says how far it is."""


class Job:
    """One piece of work. ``done`` of ``total`` steps, ``total`` 0 where nobody knows.

    ``state`` is running, done or failed, with ``error`` in words and the ``fault`` itself. ``said``
    is how far it is, in words; ``outcome`` what it came to. ``file`` is what was uploaded for it,
    and is closed with it.
    """

    def __init__(self, kind: str, who: Principal, asked: Any, file: BinaryIO | None) -> None:
        self.id = secrets.token_hex(8)
        self.kind = kind
        self.token = who.token.id
        self.asked = asked
        self.file = file
        self.state = "running"
        self.said = ""
        self.done = 0
        self.total = 0
        self.started = time.time()
        self.ended = 0.0
        self.error = ""
        self.fault: Exception | None = None
        self.outcome: Any = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = threading.Event()

    @property
    def running(self) -> bool:
        return self.state == "running"

    def tell(self, done: int, said: str = "") -> None:
        """Say how far it is. Raises Stopped when it is to end. From any thread."""
        if self._stopping.is_set():
            raise Stopped
        self.done = done
        self.said = said or self.said

    async def finished(self) -> None:
        """Wait for its end, which nobody hastens. ControlError when this process ends first."""
        assert self._task is not None
        try:
            await asyncio.shield(self._task)
        except asyncio.CancelledError:
            raise ControlError(_STOPPED) from None

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        self._task = asyncio.create_task(self._run(work))

    async def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            self.outcome = await work
        except Stopped:
            self._fail(ControlError(_STOPPED))
        except GatewayError as error:
            self._fail(error)
        except Exception as error:
            log.exception("a job failed: %s", self.kind)
            self._fail(error, "this failed; the log of the gateway says why")
        self.state = "failed" if self.error else "done"
        self.ended = time.time()

    def _fail(self, fault: Exception, error: str = "") -> None:
        self.fault, self.error = fault, error or str(fault)

    def stop(self) -> None:
        self._stopping.set()

    def forget(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


class Jobs:
    """The jobs of one process. For one event loop."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE, "job", initializer=_give_way)

    def start(
        self,
        kind: str,
        who: Principal,
        work: Callable[[Job], Coroutine[Any, Any, Any]],
        *,
        asked: Any = None,
        file: BinaryIO | None = None,
        after: Job | None = None,
    ) -> Job:
        """Begin a job, which keeps what was ``asked``. Problem 429 when enough are under way.

        It takes over the file of the one that it comes ``after``, which may then be forgotten.
        """
        if sum(job.running for job in self._jobs.values()) >= AT_ONCE:
            busy = f"{AT_ONCE} imports and replays are under way already: try again later"
            raise Problem(429, busy, headers=_AGAIN)
        if after is not None:
            file, after.file = after.file, None
        self._make_room()
        job = Job(kind, who, asked, file)
        self._jobs[job.id] = job
        job.begin(work(job))
        return job

    def get(self, job_id: str, kind: str, who: Principal) -> Job:
        """A job of whoever asks; of an admin any. Problem 404."""
        job = self._jobs.get(job_id)
        if job is None or job.kind != kind or not (job.token == who.token.id or _sees_all(who)):
            raise Problem(404, "there is no such job (any more): a restart forgets them")
        return job

    def latest(self, kind: str, who: Principal) -> Job | None:
        """The newest job of this token."""
        own = [job for job in self._jobs.values() if (job.kind, job.token) == (kind, who.token.id)]
        return own[-1] if own else None

    def in_thread(self, work: Callable[[], T]) -> Awaitable[T]:
        """Do a part of a job that takes its time."""
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    def drop(self, job: Job) -> None:
        """Remember no more of a job that nobody will ask for."""
        job.forget()
        self._jobs.pop(job.id, None)

    def close(self) -> None:
        """Have every job end at its next step."""
        for job in self._jobs.values():
            job.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _make_room(self) -> None:
        ended = [job for job in self._jobs.values() if not job.running]
        for job in ended[: max(0, len(self._jobs) - KEPT + 1)]:
            self.drop(job)


def _sees_all(who: Principal) -> bool:
    return who.may(Scope.ADMIN)


def _give_way() -> None:
    """Of this thread alone (setpriority(2)); where that is refused it is as well."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
