"""Broken requests, which need no token: the HTTP side refuses each of them and tells of a few."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

from tests.service.test_app import Place, launch, place

__all__ = ["place"]

SENT = 40
LONG = 60.0


async def answer(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(LONG):
            return await reader.read()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def test_broken_requests_are_each_refused_and_seldom_logged(place: Place) -> None:
    settings, others = re.subn(
        r"(?m)^http:.*$", "http: {listen: 127.0.0.1:0}", place.config.read_text()
    )
    assert others == 1
    place.config.write_text(settings)
    gateway = await launch(place)
    try:
        await gateway.ready()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", gateway.banner)
        assert found
        for _ in range(SENT):
            assert (await answer(int(found[1]), b"?\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        gateway.process.terminate()
        code, log = await gateway.ended()
        assert code == 0
        assert 1 <= log.count("Invalid HTTP request") < SENT
    finally:
        if gateway.process.returncode is None:
            gateway.process.kill()
            await gateway.process.communicate()
