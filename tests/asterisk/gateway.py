"""The real gateway as a process: started, asked for its attempts, stopped, killed, frozen."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from gateway.attempts.model import Attempt, Delivery
from gateway.attempts.store import AttemptStore
from gateway.errors import StoreError
from tests.asterisk.pbx import PATIENCE, free_port

CONFIG = Path(__file__).parent / "config/gateway"
ROOT = Path(__file__).parents[2]
START = 60.0
"""Seconds after which a gateway has not started; a busy machine takes ten for it."""


class Gateway:
    """``python -m gateway serve``; ``directory`` takes its configuration, state and output.

    ``source`` is the folder that the configuration is copied from.
    """

    def __init__(
        self, directory: Path, policy: str = "policy.yaml", *, source: Path = CONFIG
    ) -> None:
        config = directory / "config"
        shutil.copytree(source, config)
        self.policy = config / "policy.yaml"
        if policy != "policy.yaml":
            shutil.copy(source / policy, self.policy)
        self.config = config / "callgate.yaml"
        self.port = free_port(socket.SOCK_STREAM)
        self.address = f"127.0.0.1:{self.port}"
        text = self.config.read_text()
        self.config.write_text(text.replace("127.0.0.1:0", self.address))
        self._directory = directory
        self._seen: set[str] = set()

    def start(self) -> None:
        self._output = (self._directory / "output").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--config", str(self.config)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise RuntimeError("the gateway did not start:\n" + self.output)

    @property
    def output(self) -> str:
        return (self._directory / "output").read_text()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
        self._output.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def run(self, *arguments: str, expect: int = 0) -> str:
        """What a command of ``callgate`` prints; it must end with ``expect``."""
        command = [sys.executable, "-m", "gateway", "--config", str(self.config), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=START
        )
        assert done.returncode == expect, done.stderr
        return done.stdout

    def new_attempts(self, count: int) -> list[Attempt]:
        """Waits for ``count`` attempts that were not given before, and for what became of them.

        Oldest first. Fails when there are fewer, or more.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [attempt for attempt in self._attempts() if attempt.id not in self._seen]
            settled = [item for item in found if item.delivery != Delivery.PENDING]
            if len(settled) >= count:
                break
            if time.monotonic() > deadline:
                raise AssertionError(f"{count} attempts expected, found {found}:\n{self.output}")
            time.sleep(0.02)
        assert len(found) == count, found
        self._seen.update(attempt.id for attempt in found)
        return sorted(found, key=lambda attempt: attempt.id)

    def forget(self) -> None:
        """Do not give attempts again that are known by now."""
        self._seen.update(attempt.id for attempt in self._attempts())

    def _attempts(self) -> list[Attempt]:
        try:
            store = AttemptStore(self._directory / "state/attempts.db", readonly=True)
            try:
                return store.query(limit=10_000)
            finally:
                store.close()
        except StoreError:  # it is being made
            return []
