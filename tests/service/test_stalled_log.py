"""Nobody reads the log: calls are answered all the same, and the gateway stops when it is told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.asterisk import agi_call
from tests.service.test_app import Place, Process, place, verdict

__all__ = ["place"]

HOSTILE = b"agi_network: yes\nagi_request: agi://x/screen\n\n"


@pytest.fixture
def stalled() -> Iterator[int]:
    """The writing end of a pipe that is full, and stays so."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    os.close(reading)


async def test_hostile_requests_and_an_unread_log_stop_no_call(place: Place, stalled: int) -> None:
    gateway = Process(
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "--config", str(place.config), "serve"),
            stdout=asyncio.subprocess.PIPE,
            stderr=stalled,
            cwd=Path(__file__).parents[2],
        )
    )
    try:
        await gateway.ready()
        for _ in range(50):
            variables, _ = await agi_call("127.0.0.1", gateway.port, "", data=HOSTILE)
            assert variables["CALLGATE_REASON"] == "hostile"
        assert await verdict(gateway.port, "+33162000000") == "block"
        assert await verdict(gateway.port, "+33199000000") == "allow"
        gateway.process.terminate()
        async with asyncio.timeout(60):
            assert await gateway.process.wait() == 0
    finally:
        if gateway.process.returncode is None:
            gateway.process.kill()
        await gateway.process.communicate()
