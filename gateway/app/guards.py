"""The guards that the settings ask for, and what tells them of calls and of new entries."""

from __future__ import annotations

import asyncio

from gateway.calls import Call
from gateway.errors import ConfigError, Fault, LinkRefused
from gateway.frontends.ami import AmiGuard
from gateway.frontends.ami_link import panoramisk
from gateway.frontends.esl_inbound import EslInbound
from gateway.frontends.guard import Guard
from gateway.guardsettings import GuardsSettings
from gateway.metrics import Metrics
from gateway.reload import PolicyStore
from gateway.screener import Screener


class Guards:
    """All guards of one gateway; none, unless a PBX to connect to is set."""

    def __init__(
        self, settings: GuardsSettings, screener: Screener, policies: PolicyStore, metrics: Metrics
    ) -> None:
        self.guards: list[Guard] = []
        if settings.freeswitch.connect:
            self.guards.append(EslInbound(settings.freeswitch, screener, policies, metrics))
        if settings.asterisk.connect:
            _require_panoramisk()
            self.guards.append(AmiGuard(settings.asterisk, screener, policies, metrics))
        self._tasks: list[asyncio.Task[None]] = []
        if self.guards:
            screener.on_allowed = self._remember
            policies.on_added = self._added

    def start(self) -> list[asyncio.Task[None]]:
        """Begin to watch; the tasks never end by themselves."""
        self._tasks = [asyncio.create_task(guard.run()) for guard in self.guards]
        return self._tasks

    async def stop(self) -> None:
        """Let go of every PBX, after what is under way: for that the links are needed."""
        await asyncio.gather(*(guard.close() for guard in self.guards))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def connected(self) -> dict[str, bool]:
        """Which guards there are, and whether they have their link."""
        return {guard.name: guard.connected.is_set() for guard in self.guards}

    def _remember(self, call: Call) -> None:
        for guard in self.guards:
            guard.remember(call)

    def _added(self, lists: frozenset[str]) -> None:
        for guard in self.guards:
            guard.keep(guard.drop(lists))


def _require_panoramisk() -> None:
    try:
        panoramisk()
    except LinkRefused as missing:
        raise ConfigError([Fault("", 0, 0, "guards.asterisk.connect", str(missing))]) from None
