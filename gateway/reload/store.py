"""The policy that runs, and the one way in which another takes its place.

Rule 1: everything that can fail happens aside, in a child process; then one reference is swapped.
Rule 2: a failure changes nothing but what is said: the log, the metrics, the result.
Rule 3: ``current`` is one immutable snapshot. A call reads it once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from gateway.entries import Applied, Change, EntryStore, NewChange
from gateway.errors import ConfigError, Fault, StoreError
from gateway.metrics import Metrics
from gateway.policy.generation import Generation, Report
from gateway.policy.model import MANAGED_LIST, Entry, Policy
from gateway.policy.stamps import Stamp, contents, refreshed
from gateway.reload.generations import Generations

log = logging.getLogger(__name__)

FOLD_AFTER = 2000
"""Managed changes beside the compiled table after which it is compiled anew, to stay fast."""
_DROP = 2
"""A reload that leaves less than one entry in this many is refused."""


class ReloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a reload: ``status`` is loaded, failed or refused.

    ``revision`` is the policy that runs now, in either case. ``faults`` are texts that begin with
    file:line:column.
    """

    status: str
    revision: str
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    lists: int = 0
    entries: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.status == "loaded"


class PolicyStore:
    """Holds the policy, reloads it and lays managed changes over it. For one event loop."""

    current: Policy
    """What the next call is decided by; there once ``start`` has returned."""

    def __init__(
        self, path: Path, entries: EntryStore, generations: Generations, metrics: Metrics
    ) -> None:
        self.path = path
        self.stamps: tuple[Stamp, ...] = ()
        self.degraded = ""
        """Why the configured policy is not the one that runs; empty when it is."""
        self.last: ReloadResult | None = None
        self._entries = entries
        self._generations = generations
        self._metrics = metrics
        self._generation: Generation | None = None
        self._changes = 0
        self._extra: dict[str, int] = {}
        self._reloading = asyncio.Lock()
        self._swapping = asyncio.Lock()
        self._folding: asyncio.Task[None] | None = None

    async def start(self) -> ReloadResult:
        """Load the configured policy, else the last good one. ConfigError when there is neither."""
        result = await self.reload()
        if result.ok:
            return result
        try:
            generation = await asyncio.to_thread(self._generations.last_good)
        except StoreError as error:
            faults = [Fault("", 0, 0, "", text) for text in (*result.faults, str(error))]
            raise ConfigError(faults) from error
        await self._swap(generation)
        self._degrade("the configured policy cannot be loaded; the last good one runs")
        log.error("running the last good policy, revision %s", self.current.revision)
        self.last = msgspec.structs.replace(
            result, revision=self.current.revision, lists=self.lists, entries=self.total
        )
        return self.last

    async def reload(self, force: bool = False) -> ReloadResult:
        """Read, validate, compile aside, test and swap. Never raises for a bad policy.

        ``force`` accepts a policy that empties a list or drops more than half of the entries.
        """
        async with self._reloading:
            began = time.monotonic()
            report, generation = await self._generations.compile(self.path, force=force)
            self.stamps = report.stamps or self.stamps or (Stamp(str(self.path)),)
            if generation is None:
                return self._failed("failed", tuple(map(str, report.faults)), report, began)
            if not force and (dropped := self._dropped(generation)):
                await asyncio.to_thread(self._generations.discard)
                return self._failed("refused", dropped, report, began)
            try:
                await self._swap(generation)
            except StoreError as error:
                return self._failed("failed", (str(error),), report, began)
            await self._keep()
            return self._loaded(report, began)

    async def apply_changes(self, changes: Sequence[NewChange]) -> list[Applied]:
        """Write managed changes, all or none; the next call sees them.

        EntryError when one makes no sense, StoreError when they cannot be written.
        """
        applied = await asyncio.to_thread(self._entries.apply_all, changes)
        for change, answer in zip(changes, applied, strict=True):
            self._metrics.inc(
                "callgate_managed_changes_total", op=change.op.value, status=answer.status.value
            )
        await self.absorb()
        return applied

    async def absorb(self) -> None:
        """Lay every managed change over the policy that is not in it, whoever wrote it."""
        async with self._swapping:
            before = self.current
            self.current = await self._overlaid(before)
        if self.current is before:
            return
        self._publish()
        if self._changes > FOLD_AFTER and not (self.degraded or self._reloading.locked()):
            self._folding = asyncio.create_task(self._fold())

    async def changed(self) -> bool:
        """Whether the files differ from those of the last reload, good or bad."""
        before = self.stamps
        now = await asyncio.to_thread(refreshed, before)
        if contents(now) != contents(before):
            return True
        if self.stamps is before:
            self.stamps = now
        return False

    @property
    def lists(self) -> int:
        return len(self.current.lists)

    @property
    def totals(self) -> dict[str, int]:
        """How many entries each list has."""
        compiled = self._generation.totals if self._generation else {}
        return {name: count + self._extra.get(name, 0) for name, count in compiled.items()}

    @property
    def total(self) -> int:
        return sum(self.totals.values())

    async def _fold(self) -> None:
        """Compile the managed changes in, unless that would load YAML nobody asked to load."""
        if not await self.changed():
            await self.reload()

    async def _swap(self, generation: Generation) -> None:
        async with self._swapping:
            self._changes, self._extra = 0, {}
            policy = await self._overlaid(generation.policy)
            self._generation = generation
            self.current = policy
        self._publish()

    async def _overlaid(self, policy: Policy) -> Policy:
        """The policy with the managed changes after its own revision."""
        base, _, seq = policy.revision.partition("+")
        changes = await asyncio.to_thread(self._entries.changes_since, int(seq))
        if not changes:
            return policy
        takes = frozenset(item.name for item in policy.lists if item.match is None)
        added, removed = _net(changes, takes)
        index = await asyncio.to_thread(policy.index.with_managed, added, removed)
        self._count(changes)
        return replace(policy, index=index, revision=f"{base}+{changes[-1].rev}")

    def _count(self, changes: Sequence[Change]) -> None:
        self._changes += len(changes)
        for change in changes:
            for entry, step in ((change.before, -1), (change.after, 1)):
                if entry:
                    self._extra[entry.list] = self._extra.get(entry.list, 0) + step

    def _dropped(self, new: Generation) -> tuple[str, ...]:
        """Why a generation needs force. Managed entries do not count: they go one by one."""
        if self._generation is None:
            return ()
        old = self._generation.written
        may = {item.name for item in new.policy.lists if item.may_be_empty} - {MANAGED_LIST}
        emptied = [
            f"list {name} would lose all of its {count} entries"
            for name, count in old.items()
            if count and new.written.get(name) == 0 and name not in may
        ]
        before, after = sum(old.values()), sum(new.written.values())
        if after * _DROP < before:
            emptied.append(f"of {before} entries only {after} would be left")
        return tuple(emptied)

    async def _keep(self) -> None:
        """A policy that cannot be kept runs all the same."""
        try:
            await asyncio.to_thread(self._generations.keep)
        except OSError as error:
            log.error("the policy runs but could not be kept as last good: %s", error)

    def _loaded(self, report: Report, began: float) -> ReloadResult:
        self._degrade("")
        self._metrics.set("callgate_policy_last_reload_success_timestamp_seconds", time.time())
        result = self._result("loaded", (), report, began)
        log.info("policy %s: %d lists, %d entries", result.revision, result.lists, result.entries)
        for warning in report.warnings:
            log.warning("%s", warning)
        return self._remember(result)

    def _failed(
        self, status: str, faults: tuple[str, ...], report: Report, began: float
    ) -> ReloadResult:
        running = hasattr(self, "current")
        if running:
            self._degrade(f"the last reload {'was refused' if status == 'refused' else status}")
        keeping = f"; {self.current.revision} goes on" if running else ""
        log.error("policy %s%s:\n%s", status, keeping, "\n".join(faults))
        return self._remember(self._result(status, faults, report, began))

    def _result(
        self, status: str, faults: tuple[str, ...], report: Report, began: float
    ) -> ReloadResult:
        running = hasattr(self, "current")
        return ReloadResult(
            status=status,
            revision=self.current.revision if running else "",
            faults=faults,
            warnings=report.warnings,
            lists=self.lists if running else 0,
            entries=self.total,
            seconds=round(time.monotonic() - began, 3),
        )

    def _remember(self, result: ReloadResult) -> ReloadResult:
        self.last = result
        self._metrics.inc("callgate_policy_reloads_total", result=result.status)
        self._metrics.set("callgate_policy_last_reload_successful", result.ok)
        self._metrics.observe("callgate_policy_compile_seconds", result.seconds)
        return result

    def _degrade(self, why: str) -> None:
        self.degraded = why
        self._metrics.set("callgate_policy_degraded", bool(why))

    def _publish(self) -> None:
        metrics, seq = self._metrics, self.current.revision.partition("+")[2]
        metrics.set("callgate_policy_lists", self.lists)
        metrics.set("callgate_policy_managed_revision", int(seq))
        metrics.clear("callgate_policy_entries")
        for name, count in self.totals.items():
            metrics.set("callgate_policy_entries", count, list=name)


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
