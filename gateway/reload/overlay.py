"""The managed changes that were made after a policy was compiled, laid over it.

Rule 1: they are laid in the order of the log, so that a policy holds every change up to the
revision that it names.
Rule 2: where very many are left for the compiler, what somebody was told is in force is laid ahead
of them, and forgotten once they have come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.entries import Applied, Change, EntryStore, NewChange, Status
from gateway.errors import StoreError
from gateway.policy.model import Entry, Policy

PAGE = 1000
"""Changes that are read at once: other threads have their turn in between."""
Told = Sequence[tuple[NewChange, Applied]]
"""Changes that were written, and what is answered to them."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """One entry as it is since a revision; None when it is gone."""

    rev: int
    id: int
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Laid:
    """A compiled policy with managed changes over it.

    ``policy`` is what decides. ``ordered`` is the same without ``ahead``. ``changes`` counts what
    is laid in order, ``extra`` the entries that it makes more or less, by list; ``added`` are the
    lists that got entries with the last step, ``behind`` is how many changes are not laid yet.
    """

    policy: Policy
    ordered: Policy
    ahead: tuple[Ahead, ...] = ()
    changes: int = 0
    extra: Mapping[str, int] = field(default_factory=dict)
    added: frozenset[str] = frozenset()
    behind: int = 0

    @classmethod
    def on(cls, policy: Policy, ahead: tuple[Ahead, ...] = ()) -> Laid:
        """A policy as it was compiled, with what is ahead of it."""
        kept = tuple(item for item in ahead if item.rev > managed_seq(policy))
        return cls(_with_ahead(policy, kept), policy, kept)


def managed_seq(policy: Policy) -> int:
    """The last managed change that is in a policy: what follows the ``+`` of its revision."""
    return int(policy.revision.partition("+")[2])


def overlaid(policy: Policy, entries: EntryStore) -> tuple[Policy, list[Change]]:
    """The policy with the changes after its own revision, and these changes.

    StoreError when they cannot be read, or when the log ends before the policy's revision: then
    it is another log than the one that was compiled in, and what it says next would be missed.
    """
    seq, last = managed_seq(policy), entries.rev
    _compare(seq, last)
    changes = list(_changes(entries, seq, last))
    return _over(policy, changes), changes


def lay(
    base: Laid,
    entries: EntryStore,
    told: Told = (),
    *,
    most: int | None = None,
    least: int = 0,
    partly: bool = False,
) -> Laid:
    """One step on: the changes after the base, and what was ``told``. StoreError as ``overlaid``.

    Of more than ``most`` changes none is laid, or the first ones if ``partly``; those up to the
    revision ``least`` in any case.
    """
    seq, last = managed_seq(base.ordered), entries.rev
    _compare(seq, last)
    until = last
    if most is not None and last - seq > most:
        until = min(last, max(seq + most * partly, least))
    changes = list(_changes(entries, seq, until))
    ordered = _over(base.ordered, changes)
    ahead = tuple(item for item in base.ahead if item.rev > until)
    policy = base.policy
    if changes:
        policy = _with_ahead(ordered, ahead)
    added = _added(changes)
    if told and until < last:
        written = _written(entries, told)
        added |= _added(written)
        ahead += tuple(item for item in _ahead(policy, told, written) if item.rev > until)
        policy = _with_ahead(ordered, ahead)
    return Laid(
        policy=policy,
        ordered=ordered,
        ahead=ahead,
        changes=base.changes + len(changes),
        extra=_counted(base.extra, changes),
        added=added,
        behind=last - until,
    )


def _compare(seq: int, last: int) -> None:
    if last < seq:
        raise StoreError(
            f"managed entries: the log ends at change {last}, the policy has {seq}; "
            "if an older file was put back on purpose: callgate reload --force"
        )


def _changes(entries: EntryStore, seq: int, until: int) -> Iterator[Change]:
    while seq < until and (page := entries.changes_since(seq, min(PAGE, until - seq))):
        yield from page
        seq = page[-1].rev


def _over(policy: Policy, changes: Sequence[Change]) -> Policy:
    if not changes:
        return policy
    index = policy.index.with_managed(*_net(changes, _takes(policy)))
    base = policy.revision.partition("+")[0]
    return replace(policy, index=index, revision=f"{base}+{changes[-1].rev}")


def _with_ahead(policy: Policy, ahead: Sequence[Ahead]) -> Policy:
    """What is ahead replaces what the policy has of the same entries."""
    if not ahead:
        return policy
    takes = _takes(policy)
    latest = {item.id: item.entry for item in ahead}
    added = [entry for entry in latest.values() if entry and entry.list in takes]
    return replace(policy, index=policy.index.with_managed(added, latest))


def _takes(policy: Policy) -> frozenset[str]:
    return frozenset(item.name for item in policy.lists if item.match is None)


def _written(entries: EntryStore, told: Told) -> list[Change]:
    """The changes that were written, from the log: all of one transaction stand in a row."""
    revs = [answer.rev for _, answer in told if answer.status not in (Status.EXISTS, Status.ABSENT)]
    return list(_changes(entries, min(revs) - 1, max(revs))) if revs else []


def _ahead(policy: Policy, told: Told, written: Iterable[Change]) -> Iterator[Ahead]:
    """What the entries that are told of are now.

    One that is there already, or gone already, may be so by a change that is behind; and so may
    one that had the same number before, which the policy still has.
    """
    for change, answer in told:
        if answer.status is Status.EXISTS and answer.entry:
            yield from _now(policy, answer.rev, answer.entry.entry, there=True)
        elif answer.status is Status.ABSENT and change.id:
            yield Ahead(answer.rev, change.id, None)
        elif answer.status is Status.ABSENT:
            gone = Entry(change.list, change.kind, change.digits)
            yield from _now(policy, answer.rev, gone, there=False)
    for item in written:
        either = item.after or item.before
        assert either is not None
        yield from _now(policy, item.rev, either.entry, there=item.after is not None)


def _now(policy: Policy, rev: int, entry: Entry, *, there: bool) -> Iterator[Ahead]:
    """An entry that is there, or gone, and every other of the same number, which is gone."""
    for hit in policy.index.matches(entry.digits, entry.kind.short):
        other = policy.index.entry(hit.row)
        same = (other.list, other.kind, other.digits) == (entry.list, entry.kind, entry.digits)
        if same and other.managed and other.managed != entry.managed:
            yield Ahead(rev, other.managed, None)
    if entry.managed:
        yield Ahead(rev, entry.managed, entry if there else None)


def _added(changes: Iterable[Change]) -> frozenset[str]:
    return frozenset(item.after.list for item in changes if item.after and not item.before)


def _counted(extra: Mapping[str, int], changes: Iterable[Change]) -> Mapping[str, int]:
    counts = Counter(extra)
    for change in changes:
        if change.before:
            counts[change.before.list] -= 1
        if change.after:
            counts[change.after.list] += 1
    return counts


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
