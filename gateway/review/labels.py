"""What a campaign is told about a number before anybody dials it.

Rule 1: a label is the verdict of ``decide`` on the outbound call that the campaign would make, in
one word. Nothing here looks at a list: the word and a call can never disagree.
Rule 2: what reads as no number at all is ``Invalid``, unless an entry, or a scope that the policy
lacks, blocked it: then it is ``Blacklisted`` like anything that a call would be refused for.
Rule 3: an allow list that decided makes ``Allowed by exception``, whether or not a block lies
under it: a policy with ``default: block`` has nothing but exceptions.
Rule 4: of several trunks, which may read one text as different numbers, the worst label counts.

An emergency number is ``Clear``, since every call to it is let out, and says so: it is no lead.
What only a live call has is taken as absent: no extension, no emergency call just before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway import numbers
from gateway.calls import Call, Direction
from gateway.numbers import Kind
from gateway.policy.decide import decide
from gateway.policy.model import Policy, Reason, Verdict


class Label(StrEnum):
    """What a campaign shows beside a number, the worst first."""

    BLACKLISTED = "Blacklisted"
    INVALID = "Invalid"
    EXCEPTION = "Allowed by exception"
    CLEAR = "Clear"


_BADNESS = {label: place for place, label in enumerate(Label)}
_DECIDED = frozenset({Reason.BINDING, Reason.LIST, Reason.CONFIG, Reason.EMERGENCY})
"""What holds for a text whether or not it is a number."""
_NO_NUMBER = frozenset({Reason.ANONYMOUS, Reason.NO_NUMBER, Reason.INVALID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One verdict as a label. ``list``, ``entry``, ``origin`` and ``note`` are the verdict's.

    ``reason`` is the verdict's code, but ``no_number`` or ``invalid`` where the policy has no
    opinion on a text that is no number. ``blocked`` is what a call would get.
    """

    label: Label
    blocked: bool
    reason: Reason
    list: str = ""
    entry: str = ""
    origin: str = ""
    note: str = ""

    @property
    def emergency(self) -> bool:
        """Whether it is an emergency number, which is always let out."""
        return self.reason is Reason.EMERGENCY


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A number and what calls to and from it would get.

    ``e164`` is empty for what has none. ``trunk`` is the one whose verdict counted, ``differs``
    whether another trunk of the campaign says otherwise. ``would`` is the outbound label with
    shadow lists enforced, None where they change nothing; ``inbound`` is that of a call from the
    number, None when it was not asked for. ``emergency``: on one of the trunks at least it is an
    emergency number.
    """

    number: str
    e164: str
    trunk: str
    outbound: Said
    would: Said | None = None
    inbound: Said | None = None
    differs: bool = False
    emergency: bool = False

    @property
    def label(self) -> Label:
        return self.outbound.label

    @property
    def list(self) -> str:
        return self.outbound.list

    @property
    def entry(self) -> str:
        return self.outbound.entry

    @property
    def reason(self) -> Reason:
        return self.outbound.reason

    @property
    def note(self) -> str:
        return self.outbound.note


def label(number: str, campaign: str, policy: Policy, at: float) -> Labelled:
    """The label of one number in a campaign, at ``at`` (UTC seconds since the epoch)."""
    return Labels(policy, campaign, at).of(number)


class Labels:
    """The labels of one campaign under one policy at one moment.

    ``trunk`` and ``caller`` stand for the campaign's trunks and its first number when given.
    Without a campaign the call names none, and none is found by a number of ours. Total: no text
    raises, an unknown campaign or trunk has the label that its calls would get.
    """

    def __init__(
        self,
        policy: Policy,
        campaign: str = "",
        at: float = 0.0,
        *,
        trunk: str | None = None,
        caller: str | None = None,
    ) -> None:
        self.policy = policy
        self.campaign = campaign
        self.at = at
        found = policy.campaigns.get(campaign)
        dids = found.dids if found else ()
        trunks = sorted(found.trunks) if found and trunk is None else [trunk or ""]
        self.trunks: tuple[str, ...] = tuple(trunks) or ("",)
        self.caller = caller if caller is not None else ("+" + dids[0] if dids else "")

    def of(self, number: str, *, inbound: bool = True) -> Labelled:
        """The label of a number as it is written in a list of contacts."""
        found = [self._on(trunk, number) for trunk in self.trunks]
        worst = min(found, key=_badness)
        if len(found) == 1 and not inbound:
            return worst
        return Labelled(
            number=number,
            e164=worst.e164,
            trunk=worst.trunk,
            outbound=worst.outbound,
            would=worst.would,
            inbound=self._inbound(found) if inbound else None,
            differs=any(_differs(one, worst) for one in found),
            emergency=any(one.emergency for one in found),
        )

    def reads(self, number: str) -> bool:
        """Whether a text is a telephone number on one of the trunks."""
        return any(numbers.read(number, plan).kind is Kind.E164 for plan in self._plans())

    def digits(self, number: str) -> str:
        """What a text reads as on the first trunk: E.164 digits where it has them."""
        return numbers.read(number, next(self._plans())).digits

    def _plans(self) -> Iterator[numbers.NumberPlan]:
        policy = self.policy
        return (policy.trunks.get(trunk, policy.plan) for trunk in self.trunks)

    def _on(self, trunk: str, number: str) -> Labelled:
        verdict = self._decide(Direction.OUTBOUND, trunk, number)
        would = verdict.shadow
        outbound = self._said(verdict, trunk, number)
        return Labelled(
            number=number,
            e164=verdict.number,
            trunk=trunk,
            outbound=outbound,
            would=self._said(would, trunk, number) if would else None,
            emergency=outbound.emergency,
        )

    def _inbound(self, found: list[Labelled]) -> Said:
        """Of a call from the number, as a carrier writes it: with its country where it has one."""
        said = []
        for one in found:
            caller = one.e164 or one.number
            verdict = self._decide(Direction.INBOUND, one.trunk, caller)
            said.append(self._said(verdict, one.trunk, caller, inbound=True))
        return min(said, key=lambda item: _BADNESS[item.label])

    def _decide(self, direction: Direction, trunk: str, remote: str) -> Verdict:
        outbound = direction is Direction.OUTBOUND
        call = Call(
            direction=direction,
            caller=self.caller if outbound else remote,
            callee=remote if outbound else self.caller,
            at=self.at,
            trunk=trunk,
            campaign=self.campaign,
        )
        return decide(call, self.policy)

    def _said(self, verdict: Verdict, trunk: str, number: str, *, inbound: bool = False) -> Said:
        reason = verdict.reason
        label = Label.CLEAR
        if verdict.blocked:
            label = Label.BLACKLISTED
        elif verdict.list:
            label = Label.EXCEPTION
        if not verdict.number and reason not in _DECIDED:
            plan = self.policy.trunks.get(trunk, self.policy.plan)
            kind = numbers.read(number, plan, extensions=not inbound).kind
            if kind is not Kind.SHORT:
                label = Label.INVALID
                if reason not in _NO_NUMBER:
                    no_number = kind is Kind.ANONYMOUS
                    reason = Reason.NO_NUMBER if no_number else Reason.INVALID
        return Said(
            label=label,
            blocked=verdict.blocked,
            reason=reason,
            list=verdict.list,
            entry=verdict.entry,
            origin=verdict.origin,
            note=verdict.note,
        )


def _badness(found: Labelled) -> tuple[int, bool, int]:
    """The worst first; of equal ones an emergency number, then what shadow lists would change."""
    would = _BADNESS[found.would.label] if found.would else len(_BADNESS)
    return _BADNESS[found.label], not found.emergency, would


def _differs(one: Labelled, other: Labelled) -> bool:
    return (one.label, one.e164) != (other.label, other.e164)
