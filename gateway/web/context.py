"""What every handler works with: the gateway behind the control socket, the policy, the attempts.

Rule: the loop of this process never waits for a disk: stores are read in threads, each with a
connection of its own.
Rule: what the gateway lives without, this process does too: without managed entries that can be
read, its status is still shown, and why.
Rule: what may take a second has threads apart, and few: however many ask for it, pages find a
thread that is free, and calls that are screened here find the interpreter.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from fastapi import Request

from gateway.attempts.store import AttemptStore
from gateway.control import messages
from gateway.control.asking import Asking
from gateway.control.client import RELOAD_TIMEOUT
from gateway.entries import EntryStore
from gateway.httpsettings import HttpSettings
from gateway.policy.model import Policy
from gateway.reload import ReloadResult
from gateway.reload.follower import Follower
from gateway.tokens import Tokens
from gateway.web.jobs import Jobs
from gateway.web.live import Live
from gateway.web.options import Options
from gateway.web.sessions import Sessions
from gateway.web.tallies import Tallies

T = TypeVar("T")

THREADS = 4
LONG = 2
"""Threads for what takes long: each costs a call the interpreter for 5 ms, some times over."""


class Web:
    """The parts of one HTTP process."""

    def __init__(self, options: Options) -> None:
        state = options.state_dir
        self.options = options
        self.http = HttpSettings.model_validate(options.http)
        self.policy_path = options.policy_path
        self.control = Asking(state / "control.sock")
        self.entries, self._changes = _entries(state), _entries(state)
        self.policies = Follower(state / "last-good", self._changes)
        self.tokens = Tokens(state)
        self.sessions = Sessions(state, self.tokens, self.http)
        self.started = time.time()
        self._pool = ThreadPoolExecutor(THREADS, "store")
        self._long = ThreadPoolExecutor(LONG, "long")
        self._stores = _Stores(state / "attempts.db")
        self.live = Live(self.read, max(1, self.http.max_connections // 2))
        self.jobs = Jobs()
        self.tallies = Tallies()

    async def policy(self) -> Policy:
        """The policy that the next call is decided by. StoreError."""
        return await self.run(self.policies.current)

    async def status(self) -> dict[str, Any]:
        """What ``callgate status`` tells. ControlError when no gateway answers."""
        return dict(await self.control.request(messages.Status()))

    async def metrics(self) -> str:
        """The gateway's metrics as Prometheus text. ControlError."""
        return str(await self.control.request(messages.Metrics()))

    async def reload(self, force: bool) -> ReloadResult:
        """Have the policy loaded anew; one that was not loaded is an answer too."""
        answer = await self.control.request(messages.Reload(force), timeout=RELOAD_TIMEOUT)
        return msgspec.convert(answer, ReloadResult)

    async def read(self, ask: Callable[[AttemptStore], T]) -> T:
        """Ask the attempts, in a thread. StoreError."""
        return await self.run(lambda: ask(self._stores.mine()))

    async def read_long(self, ask: Callable[[AttemptStore], T]) -> T:
        """The same for what may take a second."""
        return await self.run_long(lambda: ask(self._stores.mine()))

    async def run_long(self, work: Callable[[], T]) -> T:
        """Do something that may take a second; it waits for its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._long, work)

    async def run(self, work: Callable[[], T]) -> T:
        """Do something that takes its time, or waits for a disk, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def close(self) -> None:
        self.jobs.close()
        self.tallies.close()
        await self.live.close()
        await self.control.close()
        self._long.shutdown(wait=False, cancel_futures=True)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.entries.close()
        self._changes.close()


def _entries(state: Path) -> EntryStore:
    """A connection of its own: nobody who asks for the policy waits for somebody's long list. That
    the file is whole is for the gateway to see, which reads all of it when it starts.
    """
    return EntryStore(state / "entries.db", patient=True, check=False)


class _Stores:
    """One connection to the attempts for each thread, opened anew when the file is another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()

    def mine(self) -> AttemptStore:
        inode = self._path.stat().st_ino if self._path.exists() else 0
        store: AttemptStore | None = getattr(self._own, "store", None)
        if store is None or self._own.inode != inode or not store.made:
            if store is not None:
                store.close()
            store = self._own.store = AttemptStore(self._path, readonly=True)
            self._own.inode = inode
        return store


def web_of(request: Request) -> Web:
    """The parts, for a handler: ``Depends(web_of)``."""
    web: Web = request.app.state.web
    return web
