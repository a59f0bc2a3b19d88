"""The policy that runs, and the one way in which another takes its place.

Rule 1: everything that can fail happens aside, in a child process; then one reference is swapped.
Rule 2: a failure changes nothing but what is said: the log, the metrics, the result.
Rule 3: ``current`` is one immutable snapshot. A call reads it once.
Rule 4: what is answered is in force, and stays so. Where another process writes more changes than
can be laid over the policy while calls wait, the child compiles them in; what was answered
meanwhile is laid ahead of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from gateway.entries import Applied, EntryStore, NewChange
from gateway.errors import ConfigError, Fault, StoreError
from gateway.metrics import Metrics
from gateway.policy.generation import Generation, Report
from gateway.policy.model import Policy
from gateway.policy.stamps import Stamp, contents, refreshed
from gateway.reload.dropped import dropped
from gateway.reload.editions import Nobody, Spread, step_to
from gateway.reload.folding import LAY_AT_ONCE, Folding
from gateway.reload.generations import Generations
from gateway.reload.overlay import Laid, Told, lay, managed_seq
from gateway.reload.result import ReloadResult, publish
from gateway.reload.sharing import Shared
from gateway.reload.trouble import Trouble

log = logging.getLogger(__name__)

_ACCEPT = "callgate reload --force accepts it"


class PolicyStore:
    """Holds the policy, reloads it and lays managed changes over it. For one event loop."""

    current: Policy
    """What the next call is decided by; there once ``start`` has returned."""

    def __init__(
        self, path: Path, entries: EntryStore, generations: Generations, metrics: Metrics
    ) -> None:
        self.path = path
        self.stamps: tuple[Stamp, ...] = ()
        self.last: ReloadResult | None = None
        self.on_added: Callable[[frozenset[str]], None] | None = None
        """Told which lists got managed entries, once they are in force. Must not raise."""
        self.spread: Spread = Nobody()
        """Those that decide by it too, each policy in force with them and here at one moment."""
        self._entries = entries
        self._generations = generations
        self._metrics = metrics
        self._generation: Generation | None = None
        self._trouble = Trouble(metrics)
        self._laid: Laid | None = None
        self._reloading = asyncio.Lock()
        self._reloads = Shared(
            self._reloading, lambda force: self._load(self._generation, force=force)
        )
        self._swapping = asyncio.Lock()
        self._folding = Folding(self)

    async def start(self) -> ReloadResult:
        """Load the configured policy, else the last good one. ConfigError when there is neither.

        A policy that a reload would refuse is refused here too: a restart is no way around.
        """
        async with self._reloading:
            kept, why = await asyncio.to_thread(self._generations.kept)
            result = await self._load(kept)
            if result.ok:
                return result
            if kept is None:
                raise ConfigError(Fault("", 0, 0, "", text) for text in (*result.faults, why))
            return await self._run_kept(kept, result)

    async def reload(self, force: bool = False) -> ReloadResult:
        """Read, validate, compile aside, test and swap. Never raises for a bad policy.

        ``force`` accepts a policy that empties a list or drops more than half of the entries. All
        who ask for the same before it begins share one run. Cancelled by all, it leaves no child.
        """
        return await self._reloads.run(force)

    async def close(self) -> None:
        """End what still runs in the background; no child is left when this returns."""
        await self._folding.close()

    async def apply_changes(self, changes: Sequence[NewChange]) -> list[Applied]:
        """Write managed changes, all or none; the next call sees them.

        EntryError when one makes no sense, StoreError when they cannot be written. What is
        written stands: if it cannot be laid over the policy yet, the answers carry a warning.
        """
        if self._trouble.unread and not await self.absorb():
            raise StoreError(f"no entry can be changed: {self._trouble.unread}")
        applied = await asyncio.to_thread(self._entries.apply_all, changes)
        for change, answer in zip(changes, applied, strict=True):
            self._metrics.inc(
                "callgate_managed_changes_total", op=change.op.value, status=answer.status.value
            )
        if await self.absorb(tuple(zip(changes, applied, strict=True))):
            return applied
        warning = f"written, but not in force yet; it is tried again: {self._trouble.unread}"
        return [msgspec.structs.replace(answer, warning=warning) for answer in applied]

    async def absorb(self, told: Told = ()) -> bool:
        """Lay the managed changes over the policy that are not in it, whoever wrote them.

        Very many are compiled in instead, or laid step by step; what was ``told`` is in force at
        once. Whether that was possible; if not, the policy stays as it is until the next try.
        """
        try:
            async with self._swapping:
                before, laid = self.current, await self._step(told)
                await self._put_in_force(laid)
        except Exception as error:
            self._trouble.of_entries(error)
            return False
        self._trouble.of_entries(None)
        if self.current is not before:
            publish(self._metrics, self.current, self.totals)
            self._tell_added(laid.added)
        if laid.behind or self.current is not before:
            busy = self._reloading.locked() or bool(self.degraded)
            self._folding.in_time(laid, self.total, busy=busy)
        return True

    async def _put_in_force(
        self, laid: Laid, generation: Generation | None = None, place: Path | None = None
    ) -> None:
        """With everybody at once; on a new generation, that lies at ``place``. StoreError."""
        if generation is None and laid.policy is self.current:
            self._laid = laid
            return
        since = generation.policy if generation else self._laid.ordered if self._laid else None
        step = partial(step_to, laid, self._entries, since, place)
        async with self.spread.turn(step):
            self._generation = generation or self._generation
            self._laid, self.current = laid, laid.policy
            self._generations.in_force = place or self._generations.in_force

    async def _step(self, told: Told) -> Laid:
        assert self._laid is not None
        laid = await asyncio.to_thread(lay, self._laid, self._entries, told, most=LAY_AT_ONCE)
        if not laid.behind or await self._will_fold():
            return laid
        return await asyncio.to_thread(
            lay, laid, self._entries, told, most=LAY_AT_ONCE, partly=True
        )

    async def _will_fold(self) -> bool:
        """Whether what is left will be compiled in: a reload is under way, or may be begun."""
        return self._reloading.locked() or not (self.degraded or await self.changed())

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
        extra = self._laid.extra if self._laid else {}
        return {name: count + extra.get(name, 0) for name, count in compiled.items()}

    @property
    def total(self) -> int:
        return sum(self.totals.values())

    @property
    def degraded(self) -> str:
        """Why what runs is not all that is configured; empty when it is."""
        return str(self._trouble)

    async def _load(self, than: Generation | None, *, force: bool = False) -> ReloadResult:
        """Compile, compare with the generation before, swap.

        Where the managed entries cannot be read and none are compiled in that would be lost, the
        policy is taken without them.
        """
        began = time.monotonic()
        bare = bool(self._entries.broken) and not (than and managed_seq(than.policy))
        report, generation = await self._generations.compile(
            self.path, force=force, managed=not bare
        )
        self.stamps = report.stamps or self.stamps or (Stamp(str(self.path)),)
        if generation is None:
            return self._failed("failed", tuple(map(str, report.faults)), report, began)
        if not force and (why := dropped(than, generation)):
            await asyncio.to_thread(self._generations.discard)
            return self._failed("refused", why, report, began)
        try:
            await self._swap(generation, self._generations.aside, patient=bare)
        except StoreError as error:
            return self._failed("failed", (str(error),), report, began)
        await self._keep()
        return self._loaded(report, began)

    async def _run_kept(self, kept: Generation, result: ReloadResult) -> ReloadResult:
        """Run the last good policy, though the configured one is another."""
        await self._swap(kept, self._generations.kept_at, patient=True)
        refused = f"was refused ({'; '.join(result.faults)}; {_ACCEPT})"
        state = refused if result.status == "refused" else "cannot be loaded"
        self._trouble.of_policy(f"the configured policy {state}; the last good one runs")
        text = "\n".join(result.faults)
        runs = self.current.revision
        log.error("policy %s; the last good one, %s, runs:\n%s", result.status, runs, text)
        self.last = msgspec.structs.replace(
            result, revision=self.current.revision, lists=self.lists, entries=self.total
        )
        return self.last

    async def _swap(
        self, generation: Generation, place: Path | None, *, patient: bool = False
    ) -> None:
        """Run a generation with the managed changes after it; StoreError when they are unreadable.

        A ``patient`` swap then runs it without them. ``place`` is where the generation lies.
        """
        async with self._swapping:
            before = self._laid
            laid = Laid.on(generation.policy, before.ahead if before else ())
            try:
                most = LAY_AT_ONCE if before else None  # no call waits for the first policy
                least = managed_seq(before.ordered) if before else 0
                laid = await asyncio.to_thread(lay, laid, self._entries, most=most, least=least)
                self._trouble.of_entries(None)
            except StoreError as error:
                if not patient:
                    raise
                self._trouble.of_entries(error)
            await self._put_in_force(laid, generation, place)
        publish(self._metrics, self.current, self.totals)
        compiled = before and managed_seq(generation.policy) > managed_seq(before.ordered)
        self._tell_added(frozenset(generation.totals) if compiled else laid.added)

    def _tell_added(self, lists: frozenset[str]) -> None:
        if lists and self.on_added is not None:
            self.on_added(lists)

    async def _keep(self) -> None:
        """A policy that cannot be kept runs all the same."""
        try:
            async with self.spread.moving(lambda: self._generations.in_force):
                await asyncio.to_thread(self._generations.keep)
        except OSError as error:
            log.error("the policy runs but could not be kept as last good: %s", error)

    def _loaded(self, report: Report, began: float) -> ReloadResult:
        self._trouble.of_policy("")
        self._metrics.set("callgate_policy_last_reload_success_timestamp_seconds", time.time())
        result = self._result("loaded", (), report, began)
        log.info("policy %s: %d lists, %d entries", result.revision, result.lists, result.entries)
        for warning in report.warnings:
            log.warning("%s", warning)
        return self._remember(result)

    def _failed(
        self, status: str, faults: tuple[str, ...], report: Report, began: float
    ) -> ReloadResult:
        if hasattr(self, "current"):  # else whoever starts it says what became of it, once
            said = f"was refused; {_ACCEPT}" if status == "refused" else status
            self._trouble.of_policy(f"the last reload {said}")
            text = "\n".join(faults)
            log.error("policy %s; %s goes on:\n%s", status, self.current.revision, text)
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
            at=time.time(),
        )

    def _remember(self, result: ReloadResult) -> ReloadResult:
        self.last = result
        result.count(self._metrics)
        return result
