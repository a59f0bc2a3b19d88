"""The managed changes that were made after a policy was compiled, laid over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.entries import Change, EntryStore
from gateway.errors import StoreError
from gateway.policy.model import Entry, Policy


def managed_seq(policy: Policy) -> int:
    """The last managed change that is in a policy: what follows the ``+`` of its revision."""
    return int(policy.revision.partition("+")[2])


def overlaid(policy: Policy, entries: EntryStore) -> tuple[Policy, list[Change]]:
    """The policy with the changes after its own revision, and these changes.

    StoreError when they cannot be read, or when the log ends before the policy's revision: then
    it is another log than the one that was compiled in, and what it says next would be missed.
    """
    seq = managed_seq(policy)
    changes = entries.changes_since(seq)
    if not changes:
        if (last := entries.rev) < seq:
            raise StoreError(
                f"managed entries: the log ends at change {last}, the policy has {seq}; "
                "if an older file was put back on purpose: callgate reload --force"
            )
        return policy, changes
    takes = frozenset(item.name for item in policy.lists if item.match is None)
    index = policy.index.with_managed(*_net(changes, takes))
    base = policy.revision.partition("+")[0]
    return replace(policy, index=index, revision=f"{base}+{changes[-1].rev}"), changes


def _net(changes: Sequence[Change], takes: frozenset[str]) -> tuple[list[Entry], frozenset[int]]:
    """What a run of changes adds and takes away; an edited entry is taken away and added.

    Entries of lists that take none, because they are gone or a match, stay inactive.
    """
    added: dict[int, Entry] = {}
    removed: set[int] = set()
    for change in changes:
        if change.before:
            removed.add(change.before.id)
            added.pop(change.before.id, None)
        if change.after and change.after.list in takes:
            added[change.after.id] = change.after.entry
    return list(added.values()), frozenset(removed)
