"""python-ESL as a peer: built by setup.sh, run in a process of its own, which reports as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SETUP = HERE / "setup.sh"
UNAVAILABLE, FAILED = 69, 75
"""What setup.sh ends with where it cannot work, and where it did not."""
PATIENCE = 60.0
"""Seconds after which a session that should have ended has not."""

Step = list[Any]


class Unavailable(Exception):
    """There is no python-ESL here; the message says why."""


class Failed(Unavailable):
    """There could be one, but it did not work out."""


def set_up() -> Path:
    """The directory to import ESL from. Raises Unavailable."""
    done = subprocess.run([str(SETUP), sys.executable], capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise {UNAVAILABLE: Unavailable, FAILED: Failed}.get(done.returncode, RuntimeError)(why)
    return Path(done.stdout.strip())


@dataclass(frozen=True)
class Told:
    """An event as python-ESL gave it: its headers in order, and its body."""

    headers: list[tuple[str, str]]
    body: str

    @classmethod
    def read(cls, said: Any) -> Told:
        assert isinstance(said, dict), f"no event: {said!r}"
        return cls([(name, value) for name, value in said["headers"]], said["body"] or "")


class Peer:
    """A running session; ``port`` is where it listens when it accepts."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    async def results(self) -> list[Any]:
        """What its steps returned."""
        out, err = await self._process.communicate()
        assert self._process.returncode == 0, err.decode()
        results: list[Any] = json.loads(out)
        return results


@asynccontextmanager
async def peer(site: Path, script: dict[str, Any], steps: Iterable[Step]) -> AsyncIterator[Peer]:
    """python-ESL with that to do."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "peer.py"),
        env=os.environ | {"PYTHONPATH": str(site)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            process.stdin.write(json.dumps(script | {"steps": list(steps)}).encode() + b"\n")
            await process.stdin.drain()
            port = int(await process.stdout.readline()) if "accept" in script else 0
            yield Peer(process, port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
