"""What a new entry runs against: the gateway's own numbers, and the exceptions of the policy.

Neither is refused: to block one's own number is a rule against forged callers, to block one number
of an exception is what the longest match is for. Whoever adds the entry is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.policy.model import Action, EntryKind, ListDef, Mode, Policy


def contradictions(
    kind: EntryKind, digits: str, item: ListDef, policy: Policy, at: float
) -> Iterator[str]:
    """One clause for each, about an entry of a list that blocks; at most two."""
    if item.action is Action.BLOCK:
        yield from _own(kind, digits, policy)
        yield from _exceptions(kind, digits, item, policy, at)


def _own(kind: EntryKind, digits: str, policy: Policy) -> Iterator[str]:
    if kind.short:
        return
    if kind.exact:
        own = [digits] if digits in policy.dids else []
    else:
        own = [did for did in policy.dids if did.startswith(digits)]
    if own:
        more = f" and {len(own) - 1} more" if len(own) > 1 else ""
        whose = f"a number of the campaign {policy.dids[own[0]]!r}"
        yield f"it covers +{own[0]}, {whose}{more}"


def _exceptions(
    kind: EntryKind, digits: str, item: ListDef, policy: Policy, at: float
) -> Iterator[str]:
    """The longest entry that allows what the new one blocks, and which of them wins."""
    for hit in policy.index.matches(digits, kind.short):
        other, entry = policy.lists[hit.list_no], policy.index.entry(hit.row)
        expired = hit.expires and hit.expires <= at
        longer = entry.kind.exact and not kind.exact
        if expired or longer or not _excepts(other, item):
            continue
        same = (entry.kind, entry.digits) == (kind, digits)
        wins = not same or item.binding or item.scope_rank > other.scope_rank
        what = f"{entry.text} of {other.name!r} ({entry.origin})"
        yield f"it beats the exception {what}" if wins else f"the exception {what} still beats it"
        return


def _excepts(other: ListDef, item: ListDef) -> bool:
    """Whether a list allows calls that the other one blocks."""
    apart = other.direction and item.direction and other.direction is not item.direction
    return other.action is Action.ALLOW and other.mode is Mode.ENFORCE and not apart
