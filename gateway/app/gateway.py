"""One running gateway: its parts, what joins them, and what it says of itself."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from gateway.addresses import why_unreachable
from gateway.app.calls import Calls, Here, sections
from gateway.app.crew import Crew
from gateway.app.guards import Guards
from gateway.app.ingester import Ingester
from gateway.app.kept import KeptSockets, kept_name
from gateway.app.lately import Lately
from gateway.app.notify import Notifier
from gateway.app.remarks import exposed, unapplied
from gateway.app.state import load_emergencies, save_emergencies
from gateway.app.web import WebSide
from gateway.attempts.journal import Journal
from gateway.control.server import ControlServer, program_version
from gateway.entries import EntryStore
from gateway.errors import ConfigError, Fault
from gateway.metrics import Metrics
from gateway.reload import Generations, PolicyStore, ReloadResult
from gateway.screener import Screener
from gateway.settings import Address, Settings
from gateway.watch import Watcher
from gateway.workers.looks import Looks

log = logging.getLogger(__name__)

BEAT = 1.0
"""Seconds between two looks at everything that no event tells."""
DRAIN_SLACK = 0.5
"""Seconds that live calls have beyond their own deadline when the gateway stops."""


class Gateway:
    """Everything that runs in the process. Made with the state directory held."""

    def __init__(self, settings: Settings, notifier: Notifier) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.entries = EntryStore(settings.entries_path, patient=True)
        generations = Generations(settings.last_good_dir, settings.entries_path)
        self.policies = PolicyStore(settings.policy_path, self.entries, generations, self.metrics)
        self.journal = Journal(
            settings.journal_dir,
            segment_bytes=settings.journal.segment_size,
            durability=settings.journal.durability.value,
        )
        self.screener = Screener(self.policies, self.journal, self.metrics)
        # Before anything can fail: what stops saves them, also after a start that failed.
        self._saved = load_emergencies(settings.state_dir)
        self.screener.emergencies.update(self._saved)
        made = Crew if settings.workers > 1 else Here
        self.calls: Calls = made(settings, self.screener, self.policies, self.metrics)
        self.guards = Guards(settings.guards, self.screener, self.policies, self.metrics)
        self.control = ControlServer(
            settings.control_path,
            self.policies,
            self.entries,
            self.metrics,
            self.status,
            remarks=partial(unapplied, settings),
            screener=self.screener,
            rotate=self._rotate,
            render=self.calls.render,
            refresh=self.calls.look,
        )
        self.ingester = Ingester(
            settings.state_dir, settings.journal.keep, self.metrics, log=settings.log
        )
        self.web = WebSide(settings, self.metrics)
        self._notifier = notifier
        self._started = time.time()
        self._tasks: list[asyncio.Task[None]] = []
        self._looks = Looks(self.journal, self.metrics)
        self._lately = Lately(self.calls.counted)

    async def start(self) -> None:
        """Load the policy, then listen. ConfigError when there is nothing to run or to bind."""
        await self.policies.start()
        await self.control.start()
        await self._listen()
        await self.calls.start()
        self.metrics.set("callgate_start_time_seconds", self._started)
        work = [self._beat(), self._live(), self.ingester.run(), self.web.run()]
        if self.settings.reload.watch:
            work.append(Watcher(self.policies, poll=self.settings.reload.poll).run())
        self._tasks = [asyncio.create_task(item) for item in work]
        for task in [*self._tasks, *self.guards.start()]:
            task.add_done_callback(_tell_death)

    async def reload(self) -> ReloadResult:
        """Load the policy anew, and let the service manager know."""
        self._notifier.reloading()
        result = await self.policies.reload()
        for remark in await asyncio.to_thread(unapplied, self.settings):
            log.warning("%s", remark)
        self._notifier.ready(self.summary())
        return result

    async def stop(self) -> None:
        """Let live calls end, then close in the order in which nothing is lost."""
        self._notifier.stopping()
        self.metrics.set("callgate_draining", 1)
        bound = max(self.settings.agi.deadline, self.settings.esl.deadline) + DRAIN_SLACK
        cut = await self.calls.drain(bound)
        if cut:
            log.warning("%d calls were cut off", cut)
        await self.guards.stop()
        await self.control.close()
        self.journal.close()
        save_emergencies(self.settings.state_dir, self.screener.emergencies)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.web.close()
        await self.policies.close()
        self.calls.close()
        self.entries.close()

    def listeners(self) -> dict[str, str]:
        """Where each listener really is."""
        found = {"control": str(self.settings.control_path)}
        for name, (host, port) in self.calls.places.items():
            found[name] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if self.web.address:
            found["http"] = str(self.web.address)
        return found

    def summary(self) -> str:
        """The policy that runs, in one line."""
        store = self.policies
        text = f"revision {store.current.revision}, {store.lists} lists, {store.total} entries"
        return f"{text} (DEGRADED: {store.degraded})" if store.degraded else text

    def status(self) -> Mapping[str, Any]:
        """What the control socket's status request answers."""
        store = self.policies
        status = {
            "version": program_version(),
            "pid": os.getpid(),
            "started": self._started,
            "listeners": self.listeners(),
            "policy": {
                "path": str(store.path),
                "revision": store.current.revision,
                "lists": store.totals,
                "entries": store.total,
                "degraded": store.degraded,
                "last_reload": store.last,
            },
            "guards": self.guards.connected(),
            "connections": self.calls.open,
            "ingester": self.ingester.told(),
            **self.calls.told(),
        }
        return self._lately.onto(status)

    async def _listen(self) -> None:
        settings = self.settings
        kept, found = KeptSockets(), sections(settings).items()
        names = {
            name: kept_name(name, section.listen, settings.workers)
            for name, section in found
            if section.listen is not None
        }
        for gone in kept.give_up(names.values()):
            self._notifier.forget(gone)
        for name, section in found:
            address = section.listen
            if address is None:
                continue
            if remark := exposed(name, address, section.secret, section.allow):
                log.warning("%s", remark)
            with _explained(name, address):
                had = kept.take(names[name])
                sockets = await self.calls.listen(name, address, had)
            if list(sockets) != had:
                self._notifier.forget(names[name])
                self._notifier.keep(names[name], sockets)
        if settings.http.listen is not None:
            with _explained("http", settings.http.listen):
                await asyncio.to_thread(self.web.listen, settings.http.listen)

    async def _live(self) -> None:
        """Signs of life of the loop that answers calls, whatever the disk does."""
        while self._notifier.watchdog:
            if self.calls.well:
                self._notifier.alive()
            await asyncio.sleep(self._notifier.watchdog / 3)

    async def _beat(self) -> None:
        """What is only known by looking."""
        while True:
            try:
                await self._look()
            except Exception:
                log.exception("the regular look failed; it goes on")
            await asyncio.sleep(BEAT)

    async def _look(self) -> None:
        await self.calls.look()
        self._looks.look()
        await asyncio.to_thread(self.ingester.look)
        self._lately.look()
        self._notifier.status(self.summary())
        emergencies = dict(self.screener.emergencies)
        if emergencies != self._saved:
            await asyncio.to_thread(save_emergencies, self.settings.state_dir, emergencies)
            self._saved = emergencies
        await self.policies.absorb()

    def _rotate(self) -> None:
        self.journal.rotate()
        self.calls.rotate()


@contextmanager
def _explained(key: str, address: Address) -> Iterator[None]:
    """Why a listener cannot be opened, as a fault of the settings that names the way out."""
    try:
        yield
    except OSError as error:
        message = f"cannot listen on {address}: {why_unreachable(error)}"
        if error.errno == errno.EADDRINUSE:
            message += f"; ss -ltnp 'sport = :{address.port}' says who does: stop it, "
            message += f"or set {key}.listen to another port"
        raise ConfigError([Fault("", 0, 0, f"{key}.listen", message)]) from error


def _tell_death(task: asyncio.Task[None]) -> None:
    """Nothing that runs beside the calls should ever end by an error; if it does, it is known."""
    if not task.cancelled() and (error := task.exception()):
        log.critical("a part of the gateway has died: %r", error, exc_info=error)
