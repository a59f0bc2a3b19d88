"""A control socket whose screener is a fake, or missing."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.control.server import ControlServer
from gateway.entries import EntryStore
from gateway.metrics import Metrics
from gateway.reload import Generations, PolicyStore
from tests.fakes.screener import FakeScreener


class Gateway:
    """A control socket over stores of its own."""

    def __init__(self, root: Path, screener: FakeScreener | None) -> None:
        self.path = root / "control.sock"
        self.entries = EntryStore(root / "entries.db")
        metrics = Metrics()
        generations = Generations(root / "last-good", root / "entries.db")
        policies = PolicyStore(root / "policy.yaml", self.entries, generations, metrics)
        self.server = ControlServer(
            self.path, policies, self.entries, metrics, dict, screener=screener
        )


@asynccontextmanager
async def running(screener: FakeScreener | None) -> AsyncIterator[Path]:
    """The path of a socket that answers, short enough for one."""
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        gateway = Gateway(Path(folder), screener)
        await gateway.server.start()
        yield gateway.path
        await gateway.server.close()
        gateway.entries.close()
