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

from gateway import logs
from gateway.addresses import why_unreachable
from gateway.app.guards import Guards
from gateway.app.ingester import Ingester
from gateway.app.notify import Notifier
from gateway.app.remarks import exposed, unapplied
from gateway.app.star import carry_out
from gateway.app.state import load_emergencies, save_emergencies
from gateway.app.web import WebSide
from gateway.attempts.journal import Journal
from gateway.control.server import ControlServer, program_version
from gateway.entries import EntryStore
from gateway.errors import ConfigError, Fault
from gateway.frontends.esl_outbound import EslOutbound
from gateway.frontends.fastagi import FastAgi
from gateway.frontends.session import Frontend
from gateway.metrics import Metrics
from gateway.reload import Generations, PolicyStore, ReloadResult
from gateway.screener import Screener
from gateway.settings import Address, Settings
from gateway.watch import Watcher

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
        self.fastagi = FastAgi(
            self.screener,
            counters=self.metrics,
            entries=partial(carry_out, policies=self.policies),
            secret=settings.agi.secret,
            max_connections=settings.agi.max_connections,
            deadline=settings.agi.deadline,
        )
        self.esl = EslOutbound(
            self.screener,
            counters=self.metrics,
            secret=settings.esl.secret,
            max_connections=settings.esl.max_connections,
            deadline=settings.esl.deadline,
        )
        self.guards = Guards(settings.guards, self.screener, self.policies, self.metrics)
        self._listening: list[Frontend] = []
        self.control = ControlServer(
            settings.control_path,
            self.policies,
            self.entries,
            self.metrics,
            self.status,
            remarks=partial(unapplied, settings),
            screener=self.screener,
            rotate=self.journal.rotate,
        )
        self.ingester = Ingester(settings.state_dir, settings.journal.keep, self.metrics)
        self.web = WebSide(settings, self.metrics)
        self._notifier = notifier
        self._started = time.time()
        self._tasks: list[asyncio.Task[None]] = []
        self._syncs = (0, 0)

    async def start(self) -> None:
        """Load the policy, then listen. ConfigError when there is nothing to run or to bind."""
        await self.policies.start()
        await self.control.start()
        await self._listen()
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
        cut = sum(await asyncio.gather(*(each.drain(bound) for each in self._listening)))
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
        self.entries.close()

    def listeners(self) -> dict[str, str]:
        """Where each listener really is."""
        found = {"control": str(self.settings.control_path)}
        for frontend in self._listening:
            host, port = frontend.address
            found[frontend.name] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
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
        return {
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
            "connections": sum(frontend.listener.open for frontend in self._listening),
            "ingester": self.ingester.told(),
        }

    async def _listen(self) -> None:
        settings = self.settings
        for frontend, section in ((self.fastagi, settings.agi), (self.esl, settings.esl)):
            address = section.listen
            if address is None:
                continue
            if remark := exposed(frontend.name, address, section.secret):
                log.warning("%s", remark)
            with _explained(frontend.name, address):
                await frontend.start(address.host, address.port)
            self._listening.append(frontend)
        if settings.http.listen is not None:
            with _explained("http", settings.http.listen):
                await asyncio.to_thread(self.web.listen, settings.http.listen)

    async def _live(self) -> None:
        """Signs of life of the loop that answers calls, whatever the disk does."""
        while self._notifier.watchdog:
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
        for frontend in self._listening:
            self.metrics.set(
                "callgate_connections_open", frontend.listener.open, frontend=frontend.name
            )
        self._tell_journal()
        self._tell_log()
        await asyncio.to_thread(self.ingester.look)
        emergencies = dict(self.screener.emergencies)
        if emergencies != self._saved:
            await asyncio.to_thread(save_emergencies, self.settings.state_dir, emergencies)
            self._saved = emergencies
        await self.policies.absorb()

    def _tell_log(self) -> None:
        lost = logs.dropped() - self.metrics.value("callgate_log_lines_dropped_total")
        self.metrics.inc("callgate_log_lines_dropped_total", max(0.0, lost))

    def _tell_journal(self) -> None:
        late, failed = self.journal.late_syncs, self.journal.failed_syncs
        self.metrics.inc("callgate_journal_sync_timeouts_total", late - self._syncs[0])
        self.metrics.inc("callgate_journal_sync_failures_total", failed - self._syncs[1])
        self._syncs = (late, failed)


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
