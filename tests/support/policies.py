"""Small policies for tests, made without YAML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.calls import Call, Direction
from gateway.numbers import NumberPlan
from gateway.policy.index import build_index
from gateway.policy.model import Action, Entry, EntryKind, ListDef, Origin, Policy

NOON = 1_800_000_000.0


def make_list(name: str, action: str = "block", order: int = 0, **rest: Any) -> ListDef:
    return ListDef(
        name=name, action=Action(action), order=order, origin=Origin("policy.yaml", 1), **rest
    )


def prefix(list_name: str, digits: str, **rest: Any) -> Entry:
    return Entry(list_name, EntryKind.PREFIX, digits, origin=Origin("policy.yaml", 2), **rest)


def number(list_name: str, digits: str, **rest: Any) -> Entry:
    return Entry(list_name, EntryKind.NUMBER, digits, origin=Origin("policy.yaml", 3), **rest)


def make_policy(lists: Sequence[ListDef], entries: Iterable[Entry] = (), **rest: Any) -> Policy:
    plan = rest.pop("plan", None) or NumberPlan.build(
        region="FR", extensions=["[1-8]xxx"], emergency_region="FR"
    )
    ordered = tuple(lists)
    return Policy(
        revision="0123456789ab+0",
        lists=ordered,
        index=build_index(entries, ordered),
        plan=plan,
        **rest,
    )


def inbound(caller: str, callee: str = "+33140000000", **rest: Any) -> Call:
    rest.setdefault("at", NOON)
    return Call(direction=Direction.INBOUND, caller=caller, callee=callee, **rest)


def outbound(callee: str, caller: str = "+33140000000", **rest: Any) -> Call:
    rest.setdefault("at", NOON)
    return Call(direction=Direction.OUTBOUND, caller=caller, callee=callee, **rest)
