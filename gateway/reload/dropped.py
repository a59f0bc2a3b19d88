"""What a policy would lose against the one before it: more than a slip of the hand may cost."""

from __future__ import annotations

from gateway.policy.generation import Generation
from gateway.policy.model import MANAGED_LIST
from gateway.reload.overlay import managed_seq

_DROP = 2
"""A policy that leaves less than one entry in this many is refused."""


def dropped(old: Generation | None, new: Generation) -> tuple[str, ...]:
    """Why the new one needs force, in words; nothing when it does not, or nothing came before.

    Managed entries do not count: they go one by one. Their log must not go back, though.
    """
    if old is None:
        return ()
    may = {item.name for item in new.policy.lists if item.may_be_empty} - {MANAGED_LIST}
    why = [
        f"list {name} would lose all of its {count} entries"
        for name, count in old.written.items()
        if count and new.written.get(name) == 0 and name not in may
    ]
    before, after = sum(old.written.values()), sum(new.written.values())
    if after * _DROP < before:
        why.append(f"of {before} entries only {after} would be left")
    had, has = managed_seq(old.policy), managed_seq(new.policy)
    if has < had:
        why.append(f"managed entries would go back from change {had} to {has}")
    return tuple(why)
