"""Many past calls under one policy: equal calls are decided once, as long as the verdict holds.

Rule: a decision knows no clock but ``Call.at``, so the comparisons that it makes with ``Call.at``
say from when to when it would come out the same. What else depends on the time, an emergency call
that went out before, is never remembered.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Final

from msgspec import structs

from gateway.calls import Call, Direction
from gateway.policy.decide import decide
from gateway.policy.model import Policy, Reason, Verdict

MOST: Final = 100_000
"""Calls that are remembered, about 100 MB; then all are forgotten."""

_Key = tuple[str, ...]


class _Watched(float):
    """A time that learns between which bounds all comparisons with it come out the same.

    ``since`` is inclusive, ``until`` exclusive.
    """

    __slots__ = ("since", "until")

    def __init__(self, _at: float) -> None:
        self.since = -inf
        self.until = inf

    def __ge__(self, other: float) -> bool:
        after = float.__ge__(self, other)
        if after:
            self.since = max(self.since, other)
        else:
            self.until = min(self.until, other)
        return after

    def __lt__(self, other: float) -> bool:
        return not self >= other

    def __gt__(self, other: float) -> bool:
        self.since = self.until = float(self)  # holds for this very moment: not remembered
        return float.__gt__(self, other)

    def __le__(self, other: float) -> bool:
        return not self > other


class Decider:
    """``decide`` under one policy, for calls of the past in any order.

    What shadow lists would have said is not asked.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = replace(policy)
        object.__setattr__(self.policy, "has_shadow", False)  # or each call is decided twice
        self._known: dict[_Key, tuple[float, float, Verdict]] = {}

    def verdict(self, call: Call) -> Verdict:
        """What ``decide`` says, but for the facts that only identify a call."""
        if call.emergency_at:
            return decide(call, self.policy)
        key = (
            call.direction,
            call.caller,
            call.callee,
            call.trunk,
            call.campaign,
            call.extension,
            call.presentation,
        )
        known = self._known.get(key)
        if known is not None and known[0] <= call.at < known[1]:
            return known[2]
        watched = _Watched(call.at)
        verdict = decide(structs.replace(call, at=watched), self.policy)
        if watched.since < watched.until:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key] = (watched.since, watched.until, verdict)
        return verdict


class Replayer:
    """One policy along the past, oldest call first: it knows of emergency calls, as live."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._decider = Decider(policy)
        self._emergencies: dict[str, float] = {}

    def verdict(self, call: Call) -> Verdict:
        """What the screener would have decided."""
        trunk = call.trunk if call.trunk in self.policy.trunks else ""
        if self._emergencies and call.direction is Direction.INBOUND:
            since = self._emergencies.get(trunk, 0.0)
            if since and abs(call.at - since) <= self.policy.emergency.callback_window:
                return decide(structs.replace(call, emergency_at=since), self.policy)
        verdict = self._decider.verdict(call)
        if verdict.reason is Reason.EMERGENCY:
            self._emergencies[trunk] = call.at
        return verdict
