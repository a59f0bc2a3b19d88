"""The decision: one pure, total function from a call and a policy to a verdict.

The order, which is stated here and nowhere else:

1. An outbound call to exactly an emergency number is allowed; so is an inbound call on a trunk
   for a while after one went out.
2. An outbound call that names a trunk or campaign the policy lacks is blocked (strict_scope).
3. Binding lists: the longest match among them blocks, and no allow overrides it.
4. Longest match, each party on its own, the remote party first: a block of either party blocks;
   an allow of the remote party allows; an allow of the other party protects only that party.
   What is no possible number is covered by short codes as dialled, then by the prefixes of its
   reach that block: a doubtful number gains nothing by how it begins.
5. Category lists, in file order, on the remote party: the first that holds wins.
6. An outbound call to an extension is allowed.
7. The policy's default.

There is no clock here but ``Call.at``, no I/O and no exception for any text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from gateway import numbers
from gateway.calls import Call, Direction, Presentation
from gateway.numbers import Kind, Number, NumberPlan
from gateway.policy.category import holds
from gateway.policy.hits import hits_of
from gateway.policy.index import Hit
from gateway.policy.model import (
    Action,
    Entry,
    ListDef,
    Mode,
    Party,
    Policy,
    Reason,
    Verdict,
)

Note = Callable[[str], None]


def decide(call: Call, policy: Policy) -> Verdict:
    """The verdict of a call. Never raises, whatever the call's texts hold.

    When shadow lists would change it, the verdict carries what they would have said.
    """
    case = Case(call, policy)
    verdict = case.verdict(shadow=False)
    if policy.has_shadow:
        would = case.verdict(shadow=True)
        if _differs(verdict, would):
            return replace(verdict, shadow=would)
    return verdict


def _differs(one: Verdict, other: Verdict) -> bool:
    return (one.action, one.reason, one.list, one.entry, one.response) != (
        other.action,
        other.reason,
        other.list,
        other.entry,
        other.response,
    )


def default_response(reason: Reason, direction: Direction) -> int:
    """The SIP status of a block when its list names none (RFC 5079: 433; RFC 3261: 603, 403)."""
    if reason is Reason.ANONYMOUS or reason is Reason.NO_NUMBER:
        return 433
    if reason is Reason.HOSTILE or direction is Direction.OUTBOUND:
        return 403
    return 603


class Case:
    """One call under one policy, with its numbers read and its scope found."""

    __slots__ = (
        "call",
        "callee",
        "caller",
        "campaign",
        "found",
        "inbound",
        "note",
        "plan",
        "policy",
        "trunk",
        "unknown",
    )

    def __init__(self, call: Call, policy: Policy, note: Note | None = None) -> None:
        self.call = call
        self.policy = policy
        self.note = note
        self.found: dict[Party, Sequence[Hit]] = {}
        self.inbound = call.direction is Direction.INBOUND
        self.unknown = (call.trunk != "" and call.trunk not in policy.trunks) or (
            call.campaign != "" and call.campaign not in policy.campaigns
        )
        self.trunk = "" if self.unknown else call.trunk
        self.plan: NumberPlan = policy.trunks.get(call.trunk, policy.plan)
        self.caller = numbers.read(call.caller, self.plan, extensions=not self.inbound)
        self.callee = numbers.read(call.callee, self.plan)
        self.campaign = "" if self.unknown else call.campaign or self._by_did()

    def _by_did(self) -> str:
        own = self.callee if self.inbound else self.caller
        return self.policy.dids.get(own.digits, "") if own.kind is Kind.E164 else ""

    @property
    def _hidden(self) -> bool:
        """Whether the remote party withholds its number; outbound, the caller is our own."""
        return self.inbound and self.call.presentation is not Presentation.ALLOWED

    @property
    def remote(self) -> Number:
        return self.caller if self.inbound else self.callee

    def verdict(self, *, shadow: bool) -> Verdict:
        """The first step that has an answer gives it; ``shadow`` enforces shadow lists too."""
        return (
            self._emergency()
            or self._callback()
            or self._scope()
            or self._binding(shadow)
            or self._longest(shadow)
            or self._category(shadow)
            or self._internal()
            or self._default()
        )

    def _emergency(self) -> Verdict | None:
        if self.inbound:
            return None
        policy = self.policy
        if not numbers.is_emergency(self.call.callee, self.plan, policy.emergency.extra):
            self._say("the callee is not exactly an emergency number")
            return None
        self._say("the callee is an emergency number: always allowed")
        return self._give(Action.ALLOW, Reason.EMERGENCY, party="callee")

    def _callback(self) -> Verdict | None:
        since = self.call.at - self.call.emergency_at
        if not (self.inbound and self.call.emergency_at):
            return None
        if abs(since) > self.policy.emergency.callback_window:
            return None
        self._say(f"an emergency call went out on this trunk {since:.0f} s ago: let in")
        return self._give(Action.ALLOW, Reason.EMERGENCY_CALLBACK, party="caller")

    def _scope(self) -> Verdict | None:
        if not self.unknown:
            return None
        self._say(f"the policy lacks trunk {self.call.trunk!r} or campaign {self.call.campaign!r}")
        if self.inbound or not self.policy.strict_scope:
            return None
        return self._give(Action.BLOCK, Reason.CONFIG)

    def _binding(self, shadow: bool) -> Verdict | None:
        if not self.policy.has_binding:
            return None
        for party in self._parties():
            for item, row in self._covering(party, shadow):
                if item.binding:
                    entry = self.policy.index.entry(row)
                    if self.note:
                        self._say(f"{entry.text} of binding list {item.name} covers the {party}")
                    return self._listed(item, entry, party, Reason.BINDING)
        self._say("no binding list covers the call")
        return None

    def _longest(self, shadow: bool) -> Verdict | None:
        remote_allow: Verdict | None = None
        for party in self._parties():
            found = next(self._covering(party, shadow), None)
            if found is None:
                if self.note:
                    self._say(f"no entry covers the {party}")
                continue
            item, entry = found[0], self.policy.index.entry(found[1])
            if self.note:
                self._say(
                    f"the longest entry that covers the {party} is {entry.kind} {entry.text} "
                    f"of list {item.name} ({entry.origin}): {item.action}"
                )
            verdict = self._listed(item, entry, party, Reason.LIST)
            if verdict.action is Action.BLOCK:
                return verdict
            if party is self._remote_party:
                remote_allow = verdict
        return remote_allow

    def _category(self, shadow: bool) -> Verdict | None:
        for item in self.policy.categories:
            if self._applies(item, self._remote_party, shadow) and item.match:
                reason = holds(item.match, self.remote, hidden=self._hidden)
                if self.note:
                    held = f"holds: {item.action}" if reason else "does not hold"
                    self._say(f"category list {item.name} {held}")
                if reason:
                    return self._listed(item, None, self._remote_party, reason)
        return None

    def _internal(self) -> Verdict | None:
        if self.inbound or not self.callee.internal:
            return None
        self._say("the callee is an extension: allowed")
        return self._give(Action.ALLOW, Reason.INTERNAL, party="callee")

    def _default(self) -> Verdict:
        if self.note:
            self._say(f"nothing else applies: the policy's default is {self.policy.default}")
        return self._give(self.policy.default, Reason.DEFAULT)

    @property
    def _remote_party(self) -> Party:
        return Party.CALLER if self.inbound else Party.CALLEE

    def _parties(self) -> tuple[Party, ...]:
        """The parties that lists may look at, the remote one first."""
        if not self.policy.has_other_party:
            return (self._remote_party,)
        if self.inbound:
            return (Party.CALLER, Party.CALLEE)
        return (Party.CALLEE, Party.CALLER)

    def _covering(self, party: Party, shadow: bool) -> Iterator[tuple[ListDef, int]]:
        """List and row of every entry in scope and alive that covers a party, in precedence."""
        policy, at = self.policy, self.call.at
        hits = self.found.get(party)
        if hits is None:
            hits = hits_of(self.caller if party is Party.CALLER else self.callee, policy)
            self.found[party] = hits
        for hit in hits:
            item = policy.lists[hit.list_no]
            if hit.expires and at >= hit.expires:
                if self.note:
                    self._say(f"{policy.index.entry(hit.row).text} of list {item.name} has expired")
            elif self._applies(item, party, shadow):
                yield item, hit.row
            elif self.note:
                entry = policy.index.entry(hit.row)
                self._say(f"{entry.text} of list {item.name} covers the {party} out of its scope")

    def _applies(self, item: ListDef, party: Party, shadow: bool) -> bool:
        """Whether a list looks at this party of this call."""
        looks = item.party
        return (
            (item.direction is None or item.direction is self.call.direction)
            and (looks is party or looks is Party.ANY or self._is_remote(looks, party))
            and (not item.campaigns or self.campaign in item.campaigns)
            and (not item.trunks or self.trunk in item.trunks)
            and (not item.extensions or self.call.extension in item.extensions)
            and (shadow or item.mode is not Mode.SHADOW)
        )

    def _is_remote(self, looks: Party, party: Party) -> bool:
        return looks is Party.REMOTE and party is self._remote_party

    def _listed(self, item: ListDef, entry: Entry | None, party: Party, reason: Reason) -> Verdict:
        return self._give(
            item.action,
            reason,
            party=party.value,
            list_name=item.name,
            entry=entry,
            origin=str(entry.origin if entry else item.origin),
            note=(entry.reason if entry else "") or item.reason,
            response=item.response,
            network_blocked=item.network_blocked,
        )

    def _give(
        self,
        action: Action,
        reason: Reason,
        *,
        party: str = "",
        list_name: str = "",
        entry: Entry | None = None,
        origin: str = "",
        note: str = "",
        response: int = 0,
        network_blocked: bool = False,
    ) -> Verdict:
        blocked = action is Action.BLOCK
        return Verdict(
            action=action,
            reason=reason,
            revision=self.policy.revision,
            party=party,
            list=list_name,
            entry=entry.text if entry else "",
            kind=entry.kind.value if entry else "",
            origin=origin,
            note=note,
            response=(response or default_response(reason, self.call.direction)) if blocked else 0,
            network_blocked=blocked and network_blocked,
            number=self.remote.e164,
            caller=self.caller.e164,
            callee=self.callee.e164,
            campaign=self.campaign,
            unknown_scope=self.unknown,
        )

    def _say(self, text: str) -> None:
        if self.note is not None:
            self.note(text)
