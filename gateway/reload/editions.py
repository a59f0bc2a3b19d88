"""The policy that runs, step by step, for processes that must all decide by the same one.

Rule 1: a step names what it leads to completely: a generation or the policy before, the managed
entries that are otherwise since then, and the revision. Whoever takes it reads no change log, so
none can come to another policy, and a damaged log holds up nobody.
Rule 2: a step is made ready everywhere before it is in force anywhere (``Spread``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from gateway.entries import Change, EntryStore
from gateway.policy.generation import open_generation
from gateway.policy.model import Entry, Policy
from gateway.reload.overlay import PAGE, Laid, managed_seq

Entries = Mapping[int, Entry | None]
"""Managed entries by id, as they are; None where one is gone."""


@dataclass(frozen=True, slots=True)
class Step:
    """From a generation, or from the policy before where ``directory`` is empty."""

    revision: str
    entries: Entries = field(default_factory=dict)
    directory: str = ""


class Spread(Protocol):
    """Those that decide by the policy besides this process."""

    def turn(self, step: Callable[[], Step]) -> AbstractAsyncContextManager[None]:
        """Entered once all of them are ready for the step; in force when the block ends.

        ``step`` reads files, and raises StoreError when it cannot.

        The block must not wait for anything: what it does and what follows are one moment.
        """
        ...

    def moving(self, place: Callable[[], Path | None]) -> AbstractAsyncContextManager[None]:
        """While the block runs nobody opens a generation; ``place`` says where it lies then."""
        ...


class Nobody:
    """No other process decides."""

    @asynccontextmanager
    async def turn(self, step: Callable[[], Step]) -> AsyncIterator[None]:  # noqa: ARG002
        yield

    @asynccontextmanager
    async def moving(self, place: Callable[[], Path | None]) -> AsyncIterator[None]:  # noqa: ARG002
        yield


def step_to(laid: Laid, entries: EntryStore, since: Policy | None, directory: Path | None) -> Step:
    """The step to a policy from the one that has the changes of ``since``. StoreError.

    ``directory`` is where its generation lies, None when it is the one before.
    """
    assert since is not None
    latest: dict[int, Entry | None] = {}
    for change in _between(entries, managed_seq(since), managed_seq(laid.ordered)):
        if change.before:
            latest[change.before.id] = None
        if change.after:
            latest[change.after.id] = change.after.entry
    latest |= {item.id: item.entry for item in laid.ahead}
    return Step(laid.policy.revision, latest, str(directory) if directory else "")


def taken(step: Step, before: Policy | None) -> Policy:
    """The policy that a step leads to. StoreError when its generation cannot be opened."""
    if step.directory:
        policy = open_generation(Path(step.directory)).policy
    else:
        assert before is not None
        policy = before
    if not step.entries:
        return replace(policy, revision=step.revision)
    takes = {item.name for item in policy.lists if item.match is None}
    added = [entry for entry in step.entries.values() if entry and entry.list in takes]
    index = policy.index.with_managed(added, step.entries)
    return replace(policy, index=index, revision=step.revision)


def _between(entries: EntryStore, seq: int, until: int) -> Iterator[Change]:
    while seq < until and (page := entries.changes_since(seq, min(PAGE, until - seq))):
        yield from page
        seq = page[-1].rev
