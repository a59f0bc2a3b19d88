"""Replay: every past call, at its recorded time, under a draft and under what it would replace.

Rule: a difference is another action. Another SIP response of a block is counted by itself; that
another list or entry gives the same answer is none.
Rule: calls come oldest first, since a call back after an emergency call is let in for a while.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.attempts.model import Attempt
from gateway.attempts.store import AttemptStore
from gateway.calls import Call
from gateway.policy.model import Policy, Verdict
from gateway.review.decider import Replayer
from gateway.review.past import Example, call_of, example_of, owned, remote_of, unnamed

EXAMPLES: Final = 5
"""Calls that each group shows: the first ones."""
STEP: Final = 1_000
"""Attempts between two words of progress."""


class Change(StrEnum):
    """What the draft does to a call that it treats in another way."""

    BLOCKED = "blocked"
    ALLOWED = "allowed"
    RESPONSE = "response"


class Said(NamedTuple):
    """What decided a call; empty where nothing of the kind did."""

    action: str
    reason: str
    list: str
    entry: str
    kind: str
    origin: str


@dataclass(slots=True, kw_only=True)
class Group:
    """Calls that one entry, list or rule changes.

    ``deciding`` is what decides them under the draft, or, where the draft lets through, what had
    blocked them. ``numbers`` are their distinct remote parties, ``directions`` counts calls, and so
    does ``responses``, by the SIP status under the draft, 0 when allowed.
    """

    change: Change
    deciding: Said
    calls: int = 0
    numbers: set[str] = field(default_factory=set)
    directions: Counter[str] = field(default_factory=Counter)
    responses: Counter[int] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    def add(self, attempt: Attempt, response: int) -> None:
        self.calls += 1
        self.numbers.add(remote_of(attempt))
        self.directions[attempt.direction] += 1
        self.responses[response] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example_of(attempt))


@dataclass(slots=True, kw_only=True)
class Replay:
    """The outcome: ``replayed`` calls, and attempts ``left_out`` that no policy had decided.

    ``uncertain`` calls are those among the differences that may be none: the record does not say
    whether the dialplan named the campaign, and only one of both readings differs.
    """

    replayed: int = 0
    left_out: int = 0
    blocked: int = 0
    allowed: int = 0
    responses: int = 0
    uncertain: int = 0
    groups: list[Group] = field(default_factory=list)
    """Those with the most calls first."""

    @property
    def differences(self) -> int:
        """Calls with another action."""
        return self.blocked + self.allowed


def replay(
    attempts: Iterable[Attempt],
    draft: Policy,
    against: Policy | None,
    progress: Callable[[int], None] | None = None,
    *,
    since: float = 0.0,
    campaign: str = "",
) -> Replay:
    """Decide calls again under ``draft`` and ``against``, or against what was recorded (None).

    ``attempts`` are oldest first, from ``warm_up`` before ``since`` on: earlier ones only tell of
    emergency calls, as do those of other campaigns. ``progress`` is told now and then, and at the
    end, how many attempts were read. A ``campaign`` is the recorded one; empty, all.
    """
    replaying = _Replaying(draft, against)
    read = 0
    for read, attempt in enumerate(attempts, 1):
        counts = attempt.at >= since and campaign in ("", attempt.campaign)
        replaying.take(attempt, counts=counts)
        if progress and not read % STEP:
            progress(read)
    if progress:
        progress(read)
    return replaying.outcome()


def walked(
    store: AttemptStore,
    draft: Policy,
    against: Policy | None,
    progress: Callable[[int], None] | None = None,
    *,
    since: float,
    until: float,
    campaign: str = "",
) -> Replay:
    """``replay`` of the attempts of ``[since, until)`` in a store. Raises StoreError."""
    attempts = store.walk(since - warm_up(draft, against), until)
    return replay(attempts, draft, against, progress, since=since, campaign=campaign)


def warm_up(draft: Policy, against: Policy | None) -> float:
    """Seconds before a span in which an emergency call matters to it."""
    return max(policy.emergency.callback_window for policy in (draft, against or draft))


class _Difference(NamedTuple):
    change: Change
    deciding: Said
    response: int


class _Replaying:
    def __init__(self, draft: Policy, against: Policy | None) -> None:
        self.policies = (draft, against) if against else (draft,)
        self.draft = Replayer(draft)
        self.against = Replayer(against) if against else None
        self.found = Replay()
        self.groups: dict[tuple[Change, Said], Group] = {}

    def take(self, attempt: Attempt, *, counts: bool) -> None:
        call = call_of(attempt)
        if call is None:
            self.found.left_out += counts
            return
        if not counts:
            self._decided(call)
            return
        self.found.replayed += 1
        difference = self._difference(attempt, call)
        if owned(attempt, self.policies):
            other = self._difference(attempt, unnamed(call))
            self.found.uncertain += (difference is None) is not (other is None)
            difference = difference or other
        if difference:
            self._add(attempt, difference)

    def outcome(self) -> Replay:
        self.found.groups = sorted(
            self.groups.values(), key=lambda group: (-group.calls, group.change, group.deciding)
        )
        return self.found

    def _decided(self, call: Call) -> tuple[Verdict, Verdict | None]:
        return self.draft.verdict(call), self.against.verdict(call) if self.against else None

    def _difference(self, attempt: Attempt, call: Call) -> _Difference | None:
        new, old = self._decided(call)
        action = old.action.value if old else attempt.verdict
        if action != new.action:
            if new.blocked:
                return _Difference(Change.BLOCKED, _said(new), new.response)
            return _Difference(Change.ALLOWED, _said(old) if old else _recorded(attempt), 0)
        same = (
            (new.response, new.network_blocked) == (old.response, old.network_blocked)
            if old
            else new.response == attempt.response
        )
        return None if same else _Difference(Change.RESPONSE, _said(new), new.response)

    def _add(self, attempt: Attempt, difference: _Difference) -> None:
        change, deciding, response = difference
        match change:
            case Change.BLOCKED:
                self.found.blocked += 1
            case Change.ALLOWED:
                self.found.allowed += 1
            case Change.RESPONSE:
                self.found.responses += 1
        group = self.groups.get((change, deciding))
        if group is None:
            group = self.groups[change, deciding] = Group(change=change, deciding=deciding)
        group.add(attempt, response)


def _said(verdict: Verdict) -> Said:
    return Said(
        verdict.action.value,
        verdict.reason.value,
        verdict.list,
        verdict.entry,
        verdict.kind,
        verdict.origin,
    )


def _recorded(attempt: Attempt) -> Said:
    return Said(
        attempt.verdict,
        attempt.reason,
        attempt.list,
        attempt.entry,
        attempt.kind,
        attempt.origin,
    )
