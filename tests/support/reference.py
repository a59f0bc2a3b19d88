"""The decision once more: slow, obvious, and without the index. The real one must agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway import numbers
from gateway.calls import Call, Direction, Presentation
from gateway.numbers import Kind, Number
from gateway.policy.model import Action, Entry, EntryKind, ListDef, Match, Mode, Party, Policy

Answer = tuple[str, str, str, str]
"""Action, reason, list, entry."""


def reference(
    call: Call, policy: Policy, entries: Sequence[Entry], *, shadow: bool = False
) -> Answer:
    lists = {item.name: item for item in policy.lists}
    plan = policy.trunks.get(call.trunk, policy.plan)
    is_inbound = call.direction is Direction.INBOUND
    caller = numbers.read(call.caller, plan, extensions=not is_inbound)
    callee = numbers.read(call.callee, plan)
    remote_party, other_party = Party.CALLER, Party.CALLEE
    if not is_inbound:
        remote_party, other_party = other_party, remote_party
    who = {Party.CALLER: caller, Party.CALLEE: callee}
    trunk, campaign = call.trunk, call.campaign
    unknown = trunk not in {"", *policy.trunks} or campaign not in {"", *policy.campaigns}
    if unknown:
        trunk = campaign = ""
    elif not campaign:
        own = callee if is_inbound else caller
        campaign = policy.dids.get(own.e164[1:], "")

    def looks(item: ListDef, party: Party) -> bool:
        wanted = {item.party} if item.party is not Party.REMOTE else {remote_party}
        if item.party is Party.ANY:
            wanted = {Party.CALLER, Party.CALLEE}
        if item.direction is not None and item.direction is not call.direction:
            return False
        if item.campaigns and campaign not in item.campaigns:
            return False
        if item.trunks and trunk not in item.trunks:
            return False
        if item.extensions and call.extension not in item.extensions:
            return False
        if item.mode is Mode.SHADOW and not shadow:
            return False
        return party in wanted

    def best(party: Party, candidates: Iterable[Entry]) -> Entry | None:
        fit = [
            entry
            for entry in candidates
            if covers(entry, who[party], lists[entry.list])
            and looks(lists[entry.list], party)
            and not (entry.expires and call.at >= entry.expires)
        ]
        return min(fit, key=lambda entry: precedence(entry, lists[entry.list]), default=None)

    if not is_inbound and numbers.is_emergency(call.callee, plan, policy.emergency.extra):
        return "allow", "emergency", "", ""
    recent = abs(call.at - call.emergency_at) <= policy.emergency.callback_window
    if is_inbound and call.emergency_at and recent:
        return "allow", "emergency_callback", "", ""
    if unknown and not is_inbound and policy.strict_scope:
        return "block", "config", "", ""
    binding = [entry for entry in entries if lists[entry.list].binding]
    for party in (remote_party, other_party):
        if found := best(party, binding):
            return "block", "binding", found.list, found.text
    found_by_party = {party: best(party, entries) for party in (remote_party, other_party)}
    for party in (remote_party, other_party):
        found = found_by_party[party]
        if found and lists[found.list].action is Action.BLOCK:
            return "block", "list", found.list, found.text
    if found := found_by_party[remote_party]:
        return "allow", "list", found.list, found.text
    for item in policy.lists:
        if item.match and looks(item, remote_party):
            reason = holds(item.match, who[remote_party], call)
            if reason:
                return item.action.value, reason, item.name, ""
    if not is_inbound and callee.internal:
        return "allow", "internal", "", ""
    return policy.default.value, "default", "", ""


def covers(entry: Entry, number: Number, item: ListDef) -> bool:
    if entry.kind.short is (number.kind is Kind.E164):
        begins = entry.kind is EntryKind.PREFIX and number.reach.startswith(entry.digits)
        return begins and item.action is Action.BLOCK
    if entry.kind.exact:
        return number.digits == entry.digits
    return number.digits.startswith(entry.digits)


def precedence(entry: Entry, item: ListDef) -> tuple[object, ...]:
    narrow = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
    return (
        0 if entry.kind.short else 1,
        0 if entry.kind.exact else 1,
        -len(entry.digits),
        narrow[bool(item.campaigns), bool(item.trunks)],
        0 if item.extensions else 1,
        0 if not entry.managed else 1,
        0 if item.action is Action.ALLOW else 1,
        item.order,
    )


def holds(match: Match, remote: Number, call: Call) -> str:
    known = remote.kind is Kind.E164
    hidden = call.direction is Direction.INBOUND and call.presentation is not Presentation.ALLOWED
    tests = [
        (match.anonymous, "anonymous", hidden or remote.kind is Kind.ANONYMOUS),
        (match.no_number, "no_number", remote.kind is Kind.ANONYMOUS),
        (match.invalid, "invalid", remote.kind is Kind.INVALID),
        (match.unassigned, "unassigned", known and not numbers.is_valid(remote.digits)),
        (
            bool(match.regions),
            "region",
            known and numbers.region_of(remote.digits) in match.regions,
        ),
        (bool(match.types), "type", known and numbers.type_of(remote.digits) in match.types),
    ]
    wanted = [(name, held) for asked, name, held in tests if asked]
    return wanted[-1][0] if wanted and all(held for _, held in wanted) else ""
