"""Where calls are accepted and decided: in this process, or in workers (``crew``)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from gateway.app.star import carry_out
from gateway.frontends.esl_outbound import EslOutbound
from gateway.frontends.fastagi import FastAgi
from gateway.frontends.session import Frontend
from gateway.metrics import Metrics, Series
from gateway.reload import PolicyStore
from gateway.screener import Screener
from gateway.settings import Address, AgiSettings, Settings


def sections(settings: Settings) -> dict[str, AgiSettings]:
    """The settings of each frontend, by its name."""
    return {FastAgi.name: settings.agi, EslOutbound.name: settings.esl}


class Calls(Protocol):
    """What a gateway needs of those that answer its calls."""

    @property
    def places(self) -> Mapping[str, tuple[str, int]]:
        """Host and port of each listener, also once it takes no more calls."""
        ...

    @property
    def open(self) -> int:
        """Connections that are open."""
        ...

    @property
    def well(self) -> bool:
        """Whether calls are being answered, as far as it can be seen from here."""
        ...

    async def listen(
        self, name: str, address: Address, kept: Sequence[socket.socket] = ()
    ) -> Sequence[socket.socket]:
        """Open the listener of a frontend, on sockets that were kept if there are any. OSError.

        Returns what it listens on.
        """
        ...

    async def start(self) -> None:
        """Begin to answer; the policy is there. ConfigError when it cannot be."""
        ...

    async def look(self) -> None:
        """Bring the figures up to date."""
        ...

    def rotate(self) -> None:
        """Begin new segments of the journal, before anything that is asked for later is done."""
        ...

    def render(self) -> str:
        """The metrics of the whole gateway, as Prometheus text."""
        ...

    def counted(self, series: Series) -> float:
        """One series of a counter, of the whole gateway."""
        ...

    def told(self) -> dict[str, Any]:
        """What ``callgate status`` shows of it besides."""
        ...

    async def drain(self, bound: float) -> int:
        """Take no more calls, let live ones end for ``bound`` seconds; how many were cut off."""
        ...

    def close(self) -> None:
        """Let go of the rest, once no policy comes any more."""
        ...


class Here:
    """Calls are answered in this process."""

    def __init__(
        self, settings: Settings, screener: Screener, policies: PolicyStore, metrics: Metrics
    ) -> None:
        self._metrics = metrics
        self._listening: dict[str, Frontend] = {}
        self.places: dict[str, tuple[str, int]] = {}
        agi, esl = settings.agi, settings.esl
        self._frontends: dict[str, Frontend] = {
            FastAgi.name: FastAgi(
                screener,
                counters=metrics,
                entries=partial(carry_out, policies=policies),
                secret=agi.secret,
                allow=agi.allow,
                max_connections=agi.max_connections,
                deadline=agi.deadline,
            ),
            EslOutbound.name: EslOutbound(
                screener,
                counters=metrics,
                secret=esl.secret,
                allow=esl.allow,
                max_connections=esl.max_connections,
                deadline=esl.deadline,
            ),
        }

    @property
    def open(self) -> int:
        return sum(frontend.listener.open for frontend in self._listening.values())

    @property
    def well(self) -> bool:
        return True  # whoever asks runs on the loop that answers

    async def listen(
        self, name: str, address: Address, kept: Sequence[socket.socket] = ()
    ) -> Sequence[socket.socket]:
        frontend = self._frontends[name]
        await frontend.start(address.host, address.port, sockets=kept)
        self._listening[name] = frontend
        self.places[name] = frontend.address
        return frontend.listener.sockets

    async def start(self) -> None:
        self._metrics.set("callgate_workers", 1)

    async def look(self) -> None:
        for name, frontend in self._listening.items():
            self._metrics.set("callgate_connections_open", frontend.listener.open, frontend=name)

    def rotate(self) -> None:
        pass  # the journal is that of this process

    def render(self) -> str:
        return self._metrics.render()

    def counted(self, series: Series) -> float:
        name, labels = series
        return self._metrics.value(name, **dict(labels))

    def told(self) -> dict[str, Any]:
        return {}

    async def drain(self, bound: float) -> int:
        frontends = self._listening.values()
        return sum(await asyncio.gather(*(each.drain(bound) for each in frontends)))

    def close(self) -> None:
        pass
