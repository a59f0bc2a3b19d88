"""Replays over HTTP: a draft that is sent, and the job that decides past calls by it.

Rule: a draft reads nothing outside of the policy's folder and changes nothing. Since it names
files of that folder, it takes an admin.
"""

from __future__ import annotations

import re
import time
from typing import BinaryIO, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateway.attempts.query import AttemptFilter
from gateway.attempts.store import AttemptStore
from gateway.policy.loader import load_draft
from gateway.policy.model import Policy
from gateway.review.past import Example
from gateway.review.replay import Change, Group, Replay, walked, warm_up
from gateway.web.context import Web
from gateway.web.jobs import Job
from gateway.web.problems import Problem
from gateway.web.sessions import Principal

MOST = 4 * 2**20
"""Bytes of a draft: lists of any size belong into files of their own."""
NAME = "(draft)"
"""What faults and results call the draft: no file of the folder."""
SHOWN = 500
"""Groups that are answered, those with the most calls."""
_SPAN = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class ReplayAsked(BaseModel):
    """Which calls, and what the draft is held against."""

    model_config = ConfigDict(extra="ignore")

    since: str = Field(default="30d", max_length=20, description="UTC seconds, or 24h, 30d ago")
    until: float | None = Field(default=None, ge=0, le=1e11, description="UTC seconds; now")
    against: Literal["current", "recorded"] = Field(
        default="current",
        description="What the running policy says to the same call, or what was decided then",
    )
    campaign: str = Field(default="", max_length=40)
    managed: bool = Field(default=True, description="Whether managed entries count in the draft")

    @field_validator("since")
    @classmethod
    def _check_since(cls, text: str) -> str:
        _moment(text, 0.0)
        return text

    def span(self, now: float) -> tuple[float, float]:
        """From when, and until when. Problem 422 when that is no time."""
        until = now if self.until is None else self.until
        since = _moment(self.since, now)
        if since >= until:
            raise Problem(422, "since is not before until")
        return since, until


class Direction(msgspec.Struct, frozen=True):
    """Calls of one direction."""

    direction: str
    calls: int


class ReplayGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that one entry, list or rule changes, of so many ``numbers``.

    ``change`` is blocked or allowed, as under the draft, or response: blocked in both, with
    another SIP status. What follows decides them under the draft; for allowed ones, what had
    blocked them. ``origin`` is where it is written: ``(draft):7`` is line 7 of the draft.
    """

    change: Change
    calls: int
    numbers: int
    reason: str
    list: str
    entry: str
    kind: str
    origin: str
    directions: tuple[Direction, ...]
    examples: tuple[Example, ...]


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a draft would change in the calls of ``[since, until)``.

    ``left_out`` are attempts that no policy decided. Of the differences ``uncertain`` may be
    none. ``groups`` are the first 500 of ``total_groups``, those with the most calls first.
    ``warnings`` are about the draft.
    """

    since: float
    until: float
    draft: str
    against: str
    replayed: int
    left_out: int
    newly_blocked: int
    newly_allowed: int
    other_response: int
    uncertain: int
    total_groups: int
    groups: list[ReplayGroup]
    warnings: list[str]


class ReplayJob(msgspec.Struct, frozen=True, kw_only=True):
    """A replay: ``state`` is running, done or failed; ``done`` of ``total`` attempts are read."""

    id: str
    state: str
    done: int
    total: int
    started: float
    error: str = ""
    result: ReplayResult | None = None


async def start_replay(web: Web, who: Principal, file: BinaryIO, asked: ReplayAsked) -> Job:
    """Begin a replay. Problem 413, 422 or 429; faults of the draft end the job."""
    data = await web.run(lambda: file.read(MOST + 1))
    if len(data) > MOST:
        raise Problem(413, f"a draft has at most {MOST:,} bytes; put long lists into files")
    since, until = asked.span(time.time())
    current = await web.policy()

    async def work(job: Job) -> ReplayResult:
        return await web.jobs.in_thread(
            lambda: _replay(web, job, data, asked, current, since, until)
        )

    return web.jobs.start("replay", who, work, asked=asked)


def replay_job(job: Job) -> ReplayJob:
    return ReplayJob(
        id=job.id,
        state=job.state,
        done=job.done,
        total=job.total,
        started=job.started,
        error=job.error,
        result=job.outcome,
    )


def _replay(
    web: Web,
    job: Job,
    data: bytes,
    asked: ReplayAsked,
    current: Policy,
    since: float,
    until: float,
) -> ReplayResult:
    """In a thread. ConfigError for a draft with faults, StoreError, Stopped."""
    rev, entries = web.entries.read() if asked.managed else (0, [])
    folder = web.policy_path.parent
    loaded = load_draft(data, folder, NAME, managed=entries, managed_seq=rev)
    draft, against = loaded.policy, current if asked.against == "current" else None
    job.tell(0, "deciding past calls")
    store = AttemptStore(web.options.state_dir / "attempts.db", readonly=True)
    try:
        span = AttemptFilter(since=since - warm_up(draft, against), until=until)
        job.total = store.count(span)
        found = walked(
            store, draft, against, job.tell, since=since, until=until, campaign=asked.campaign
        )
    finally:
        store.close()
    return ReplayResult(
        since=since,
        until=until,
        draft=draft.revision,
        against=against.revision if against else "recorded",
        warnings=[str(fault) for fault in loaded.warnings],
        **_counts(found),
        groups=[_group(group) for group in found.groups[:SHOWN]],
    )


def _counts(found: Replay) -> dict[str, int]:
    return {
        "replayed": found.replayed,
        "left_out": found.left_out,
        "newly_blocked": found.blocked,
        "newly_allowed": found.allowed,
        "other_response": found.responses,
        "uncertain": found.uncertain,
        "total_groups": len(found.groups),
    }


def _group(group: Group) -> ReplayGroup:
    said = group.deciding
    return ReplayGroup(
        change=group.change,
        calls=group.calls,
        numbers=len(group.numbers),
        reason=said.reason,
        list=said.list,
        entry=said.entry,
        kind=said.kind,
        origin=said.origin,
        directions=tuple(Direction(*pair) for pair in sorted(group.directions.items())),
        examples=tuple(group.examples),
    )


def _moment(text: str, now: float) -> float:
    """UTC seconds, or so long before ``now``. ValueError for anything else."""
    if found := _SPAN.fullmatch(text.strip()):
        return now - int(found[1]) * _SECONDS[found[2]]
    try:
        at = float(text)
    except ValueError:
        at = -1.0
    if not 0 <= at <= 1e11:
        raise ValueError("is UTC seconds, or a time ago such as 24h or 30d")
    return at
