"""Why a call gets its verdict, step by step, in words: the same decision, told aloud."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.calls import Call
from gateway.numbers import Kind, Number
from gateway.policy.decide import Case, decide
from gateway.policy.model import Policy, Verdict


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict and the steps that led to it, in the order in which they were taken."""

    verdict: Verdict
    steps: tuple[str, ...]


def explain(call: Call, policy: Policy) -> Explanation:
    """Decide a call and tell every step. The verdict is that of ``decide``."""
    steps: list[str] = [f"policy revision {policy.revision}; the call is {call.direction}"]
    case = Case(call, policy, steps.append)
    steps.append(_scope(case))
    steps += [_read("caller", case.caller), _read("callee", case.callee)]
    verdict = decide(call, policy)
    case.verdict(False)
    steps.append(conclusion(verdict))
    if verdict.shadow is not None:
        steps.append("with shadow lists enforced:")
        case.verdict(True)
        steps.append("would have been: " + conclusion(verdict.shadow))
    return Explanation(verdict, tuple(steps))


def _scope(case: Case) -> str:
    """What the dialplan named, and the campaign that its number told if it named none."""
    call, policy = case.call, case.policy
    trunk = _named(call.trunk, call.trunk in policy.trunks)
    campaign = _named(call.campaign or case.campaign, call.campaign in {"", *policy.campaigns})
    scoped = "; only lists for every trunk and campaign apply" if case.unknown else ""
    return f"trunk {trunk}, campaign {campaign}{scoped}"


def _named(name: str, known: bool) -> str:
    if not name:
        return "none"
    return name if known else f"{name!r} (the policy lacks it)"


def _read(party: str, number: Number) -> str:
    if number.kind is Kind.E164:
        return f"the {party} {number.raw!r} reads as {number.e164}"
    return f"the {party} {number.raw!r} reads as {number.kind}"


def conclusion(verdict: Verdict) -> str:
    """One line: what was decided, by what."""
    parts = [f"{verdict.action}, reason {verdict.reason}"]
    if verdict.response:
        parts.append(f"SIP {verdict.response}" + ("+" if verdict.network_blocked else ""))
    if verdict.list:
        parts.append(f"list {verdict.list}" + (f" entry {verdict.entry}" if verdict.entry else ""))
    if verdict.origin:
        parts.append(f"written at {verdict.origin}")
    if verdict.note:
        parts.append(f"note: {verdict.note}")
    return ", ".join(parts)
