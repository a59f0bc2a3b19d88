"""The only door through which a live call is decided: read the policy once, decide, journal.

Nothing here waits. A verdict is journaled before it is handed back or, where many calls are decided
in one turn of the loop, before ``flush`` returns; when the journal fails the call is answered all
the same, and the failure is counted and alarmed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from msgspec.structs import replace

from gateway import numbers
from gateway.attempts.journal import Journal
from gateway.attempts.model import Attempt, Delivery, Shadow
from gateway.calls import Call, Direction
from gateway.errors import JournalError
from gateway.logs import Seldom
from gateway.metrics import Counter, Histogram, Metrics
from gateway.policy.decide import decide, default_response
from gateway.policy.model import Action, Policy, Reason, Verdict

log = logging.getLogger(__name__)


class PolicySource(Protocol):
    """Where the live policy is read, once per call."""

    @property
    def current(self) -> Policy: ...


class Screened(msgspec.Struct, frozen=True, gc=False):
    """A verdict that stands in the journal (unless the journal failed) under this id."""

    verdict: Verdict
    attempt_id: str


class Screener:
    """Decides live calls of every frontend."""

    def __init__(self, policies: PolicySource, journal: Journal, metrics: Metrics) -> None:
        self._policies = policies
        self._journal = journal
        self._metrics = metrics
        self._emergencies: dict[str, float] = {}
        self._calls: dict[tuple[str, Direction, Action, Reason], Counter] = {}
        self._seconds: dict[str, Histogram] = {}
        self._deliveries: dict[Delivery, Counter] = {}
        self._seldom = Seldom(log)
        self.on_allowed: Callable[[Call], None] | None = None
        """Told of every call that was allowed, once it is journaled. Must not raise."""
        self.on_emergency: Callable[[str, float], None] | None = None
        """Told the trunk and time of every emergency call that went out. Must not raise."""

    def screen(self, call: Call, frontend: str, *, started: float | None = None) -> Screened:
        """Decide one call and journal it. Never raises.

        ``started`` is the ``time.perf_counter()`` at which its request was whole.
        """
        started = time.perf_counter() if started is None else started
        policy = self._policies.current
        if self._emergencies and call.direction is Direction.INBOUND:
            call = replace(call, emergency_at=self._emergency_at(call.trunk))
        try:
            verdict = decide(call, policy)
        except Exception:
            log.exception("cannot decide a call; answering on_error")
            self._metrics.inc("callgate_decision_errors_total")
            verdict = self._on_error(call, policy)
        if verdict.reason is Reason.EMERGENCY:
            self._open_window(call)
        screened = self._record(call, verdict, frontend, started)
        if self.on_allowed is not None and not verdict.blocked:
            self.on_allowed(call)
        return screened

    def refuse(self, call: Call, frontend: str, reason: Reason, why: str) -> Screened:
        """Block a request that must not reach the decision: hostile, or without the secret.

        An outbound call to an emergency number goes through even so, but opens no window for a call
        back: whoever lacks the secret could let blocked callers in with it.
        """
        policy = self._policies.current
        urgent = self._urgent(call, policy)
        verdict = Verdict(
            action=Action.ALLOW if urgent else Action.BLOCK,
            reason=Reason.EMERGENCY if urgent else reason,
            revision=policy.revision,
            response=0 if urgent else 403,
            note=why,
        )
        return self._record(call, verdict, frontend, time.perf_counter())

    def hostile(self, call: Call, frontend: str, why: str) -> Screened:
        """Block a peer that sent what no honest dialplan sends."""
        self._metrics.inc("callgate_hostile_requests_total", frontend=frontend)
        return self.refuse(call, frontend, Reason.HOSTILE, why)

    def delivered(self, attempt_id: str, delivery: Delivery) -> None:
        """Note what became of an answer."""
        count = self._deliveries.get(delivery)
        if count is None:
            count = self._metrics.counter("callgate_deliveries_total", delivery=delivery.value)
            self._deliveries[delivery] = count
        count.inc()
        try:
            self._journal.delivery(attempt_id, delivery, time.time())
        except JournalError as error:
            self._trouble(error)

    def hold(self) -> None:
        """Begin a turn of the loop: what is journaled from here on is kept until ``flush``.

        Nothing may be awaited between the two, and no answer may leave.
        """
        self._journal.hold()

    def flush(self) -> None:
        """Write all that was held, in one write. Never raises: what is lost is counted."""
        try:
            self._journal.flush()
        except JournalError as error:
            self._trouble(error)

    def durable(self) -> Awaitable[None] | None:
        """What an answer waits for before it leaves; None when nothing."""
        return self._journal.pending_sync()

    @property
    def emergencies(self) -> dict[str, float]:
        """When the last outbound emergency call was seen, by trunk (kept over a restart)."""
        return self._emergencies

    def _urgent(self, call: Call, policy: Policy) -> bool:
        if call.direction is Direction.INBOUND:
            return False
        plan = policy.trunks.get(call.trunk, policy.plan)
        return numbers.is_emergency(call.callee, plan, policy.emergency.extra)

    def _on_error(self, call: Call, policy: Policy) -> Verdict:
        urgent = self._urgent(call, policy)
        action = Action.ALLOW if urgent else policy.on_error.action(call.direction)
        blocked = action is Action.BLOCK
        return Verdict(
            action=action,
            reason=Reason.EMERGENCY if urgent else Reason.ERROR,
            revision=policy.revision,
            response=default_response(Reason.ERROR, call.direction) if blocked else 0,
        )

    def _record(self, call: Call, verdict: Verdict, frontend: str, started: float) -> Screened:
        attempt_id = self._journal.next_id(call.at)
        elapsed = time.perf_counter() - started
        try:
            self._journal.append(attempt_of(attempt_id, call, verdict, frontend, elapsed * 1e6))
        except JournalError as error:
            self._trouble(error)
        self._count(call, verdict, frontend, elapsed)
        return Screened(verdict, attempt_id)

    def _emergency_at(self, trunk: str) -> float:
        known = trunk in self._policies.current.trunks
        return self._emergencies.get(trunk if known else "", 0.0)

    def _open_window(self, call: Call) -> None:
        """Only trunks of the policy are remembered: a name made up by a peer costs no memory."""
        trunk = call.trunk if call.trunk in self._policies.current.trunks else ""
        self._emergencies[trunk] = call.at
        if self.on_emergency is not None:
            self.on_emergency(trunk, call.at)

    def _count(self, call: Call, verdict: Verdict, frontend: str, elapsed: float) -> None:
        key = frontend, call.direction, verdict.action, verdict.reason
        calls = self._calls.get(key) or self._count_by(*key)
        calls.inc()
        self._seconds[frontend].observe(elapsed)
        if verdict.shadow is not None:
            deciding = verdict.shadow.list or verdict.list
            self._metrics.inc("callgate_shadow_differences_total", list=deciding)
        if verdict.unknown_scope:
            self._metrics.inc("callgate_unknown_scope_total")
            self._seldom.warning("unknown trunk %r or campaign %r", call.trunk, call.campaign)

    def _count_by(
        self, frontend: str, direction: Direction, action: Action, reason: Reason
    ) -> Counter:
        """The counter of calls like this one, and the clock of its frontend, kept for the next."""
        metrics = self._metrics
        calls = metrics.counter(
            "callgate_calls_total",
            frontend=frontend,
            direction=direction.value,
            verdict=action.value,
            reason=reason.value,
        )
        self._calls[frontend, direction, action, reason] = calls
        self._seconds[frontend] = metrics.histogram("callgate_decision_seconds", frontend=frontend)
        return calls

    def _trouble(self, error: JournalError) -> None:
        self._metrics.inc("callgate_journal_errors_total", error.lost)
        log.error("the journal failed: %s", error)


def attempt_of(
    attempt_id: str, call: Call, verdict: Verdict, frontend: str, elapsed_us: float
) -> Attempt:
    """The record of a decided call."""
    would = verdict.shadow
    return Attempt(  # by position, in the order of its fields: by keyword it costs five times that
        attempt_id,
        call.at,
        call.direction._value_,
        verdict.action._value_,
        verdict.reason._value_,
        verdict.revision,
        call.caller,
        verdict.caller,
        call.callee,
        verdict.callee,
        call.presentation._value_,
        call.trunk,
        verdict.campaign or call.campaign,
        call.extension,
        call.pbx,
        call.channel_id,
        call.linked_id,
        call.caller_name,
        call.attestation,
        verdict.party,
        verdict.list,
        verdict.entry,
        verdict.kind,
        verdict.origin,
        verdict.note,
        verdict.response,
        verdict.unknown_scope,
        None if would is None else shadow_of(would),
        frontend,
        int(elapsed_us * 10 + 0.5) / 10,
    )


def shadow_of(would: Verdict) -> Shadow:
    """What an attempt keeps of the verdict that shadow lists would have given."""
    return Shadow(
        verdict=would.action.value,
        reason=would.reason.value,
        list=would.list,
        entry=would.entry,
        response=would.response,
    )
