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

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gateway.calls import Call, Direction, Presentation
from gateway.numbers import Kind, Number, is_emergency, read
from gateway.policy.category import holds
from gateway.policy.hits import hits_of
from gateway.policy.index import Hit
from gateway.policy.model import Action, Entry, ListDef, Mode, Party, Policy, Reason, Verdict

Note = Callable[[str], None]

# A member is looked up in its enum by name each time; these are looked up for every call.
_INBOUND = Direction.INBOUND
_BLOCK = Action.BLOCK
_SHADOW = Mode.SHADOW
_CALLER, _CALLEE, _REMOTE, _ANY = Party.CALLER, Party.CALLEE, Party.REMOTE, Party.ANY
_E164 = Kind.E164
_LIST, _DEFAULT = Reason.LIST, Reason.DEFAULT

_RESPONSES = {Reason.ANONYMOUS: 433, Reason.NO_NUMBER: 433, Reason.HOSTILE: 403}


def decide(call: Call, policy: Policy) -> Verdict:
    """The verdict of a call. Never raises, whatever the call's texts hold.

    When shadow lists would change it, the verdict carries what they would have said.
    """
    case = Case(call, policy)
    verdict = case.verdict(False)
    if policy.has_shadow:
        would = case.verdict(True)
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
    return _RESPONSES.get(reason) or (603 if direction is _INBOUND else 403)


class Case:
    """One call under one policy, with its numbers read and its scope found.

    ``note`` is told each step in words; where nobody listens, no words are made.
    """

    __slots__ = (
        "call",
        "callee",
        "caller",
        "campaign",
        "found",
        "inbound",
        "note",
        "parties",
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
        self.inbound = inbound = call.direction is _INBOUND
        self.parties = policy.inbound_parties if inbound else policy.outbound_parties
        trunk, campaign = call.trunk, call.campaign
        plan = policy.trunks.get(trunk) if trunk else policy.plan
        self.unknown = plan is None or (campaign != "" and campaign not in policy.campaigns)
        self.trunk = "" if self.unknown else trunk
        self.plan = plan = plan or policy.plan
        self.caller = read(call.caller, plan, not inbound)
        self.callee = read(call.callee, plan)
        self.campaign = "" if self.unknown else campaign or (self._by_did() if policy.dids else "")

    def _by_did(self) -> str:
        own = self.callee if self.inbound else self.caller
        return self.policy.dids.get(own.digits, "") if own.kind is _E164 else ""

    @property
    def _hidden(self) -> bool:
        """Whether the remote party withholds its number; outbound, the caller is our own."""
        return self.inbound and self.call.presentation is not Presentation.ALLOWED

    @property
    def remote(self) -> Number:
        return self.caller if self.inbound else self.callee

    def verdict(self, shadow: bool) -> Verdict:
        """The first step that has an answer gives it; ``shadow`` enforces shadow lists too."""
        policy = self.policy
        return (
            (self._callback() if self.inbound else self._emergency())
            or (self._scope() if self.unknown else None)
            or (self._binding(shadow) if policy.has_binding else None)
            or self._longest(shadow)
            or (self._category(shadow) if policy.categories else None)
            or (self._internal() if self.callee.internal else None)
            or self._default()
        )

    def _emergency(self) -> Verdict | None:
        if not is_emergency(self.call.callee, self.plan, self.policy.emergency.extra):
            self._say("the callee is not exactly an emergency number")
            return None
        self._say("the callee is an emergency number: always allowed")
        return self._give(Action.ALLOW, Reason.EMERGENCY, "callee")

    def _callback(self) -> Verdict | None:
        if not self.call.emergency_at:
            return None
        since = self.call.at - self.call.emergency_at
        if abs(since) > self.policy.emergency.callback_window:
            return None
        self._say(f"an emergency call went out on this trunk {since:.0f} s ago: let in")
        return self._give(Action.ALLOW, Reason.EMERGENCY_CALLBACK, "caller")

    def _scope(self) -> Verdict | None:
        self._say(f"the policy lacks trunk {self.call.trunk!r} or campaign {self.call.campaign!r}")
        if self.inbound or not self.policy.strict_scope:
            return None
        return self._give(_BLOCK, Reason.CONFIG)

    def _binding(self, shadow: bool) -> Verdict | None:
        for party in self.parties:
            covering = self._covering(party, shadow, binding=True)
            if covering is not None:
                item, entry = covering
                if self.note:
                    self._say(f"{entry.text} of binding list {item.name} covers the {party}")
                return self._listed(item, entry, party, Reason.BINDING)
        self._say("no binding list covers the call")
        return None

    def _longest(self, shadow: bool) -> Verdict | None:
        remote_allow: Verdict | None = None
        for party in self.parties:
            covering = self._covering(party, shadow)
            if covering is None:
                if self.note:
                    self._say(f"no entry covers the {party}")
                continue
            item, entry = covering
            if self.note:
                self._say(
                    f"the longest entry that covers the {party} is {entry.kind} {entry.text} "
                    f"of list {item.name} ({entry.origin}): {item.action}"
                )
            verdict = self._listed(item, entry, party, _LIST)
            if verdict.action is _BLOCK:
                return verdict
            if party is self.parties[0]:
                remote_allow = verdict
        return remote_allow

    def _category(self, shadow: bool) -> Verdict | None:
        party = self.parties[0]
        for item in self.policy.categories:
            if self._applies(item, party, shadow) and item.match:
                reason = holds(item.match, self.remote, hidden=self._hidden)
                if self.note:
                    held = f"holds: {item.action}" if reason else "does not hold"
                    self._say(f"category list {item.name} {held}")
                if reason:
                    return self._listed(item, None, party, reason)
        return None

    def _internal(self) -> Verdict | None:
        if self.inbound:
            return None
        self._say("the callee is an extension: allowed")
        return self._give(Action.ALLOW, Reason.INTERNAL, "callee")

    def _default(self) -> Verdict:
        if self.note:
            self._say(f"nothing else applies: the policy's default is {self.policy.default}")
        return self._give(self.policy.default, _DEFAULT)

    def _covering(
        self, party: Party, shadow: bool, *, binding: bool = False
    ) -> tuple[ListDef, Entry] | None:
        """The first entry in scope and alive that covers a party, of a binding list if asked."""
        policy = self.policy
        hits = self.found.get(party)
        if hits is None:
            hits = hits_of(self.caller if party is _CALLER else self.callee, policy)
            self.found[party] = hits
        for hit in hits:
            item = policy.lists[hit.list_no]
            if hit.expires and self.call.at >= hit.expires:
                if self.note:
                    self._say(f"{policy.index.entry(hit.row).text} of list {item.name} has expired")
            elif self._applies(item, party, shadow):
                if item.binding or not binding:
                    return item, policy.index.entry(hit.row)
            elif self.note:
                entry = policy.index.entry(hit.row)
                self._say(f"{entry.text} of list {item.name} covers the {party} out of its scope")
        return None

    def _applies(self, item: ListDef, party: Party, shadow: bool) -> bool:
        """Whether a list looks at this party of this call."""
        looks, direction = item.party, item.direction
        return (
            (direction is None or direction is self.call.direction)
            and ((looks is _REMOTE and party is self.parties[0]) or looks is party or looks is _ANY)
            and (not item.campaigns or self.campaign in item.campaigns)
            and (not item.trunks or self.trunk in item.trunks)
            and (not item.extensions or self.call.extension in item.extensions)
            and (shadow or item.mode is not _SHADOW)
        )

    def _listed(self, item: ListDef, entry: Entry | None, party: Party, reason: Reason) -> Verdict:
        return self._give(
            item.action,
            reason,
            party._value_,
            item.name,
            entry.text if entry else "",
            entry.kind._value_ if entry else "",
            str(entry.origin if entry else item.origin),
            (entry.reason if entry else "") or item.reason,
            item.response,
            item.network_blocked,
        )

    def _give(
        self,
        action: Action,
        reason: Reason,
        party: str = "",
        list_name: str = "",
        entry: str = "",
        kind: str = "",
        origin: str = "",
        note: str = "",
        response: int = 0,
        network_blocked: bool = False,
    ) -> Verdict:
        """The fields of ``Verdict`` in their order; what is about a block is for a block only."""
        blocked = action is _BLOCK
        caller, callee = self.caller.e164, self.callee.e164
        return Verdict(
            action,
            reason,
            self.policy.revision,
            party,
            list_name,
            entry,
            kind,
            origin,
            note,
            (response or default_response(reason, self.call.direction)) if blocked else 0,
            blocked and network_blocked,
            caller if self.inbound else callee,
            caller,
            callee,
            self.campaign,
            self.unknown,
        )

    def _say(self, text: str) -> None:
        if self.note is not None:
            self.note(text)
