"""Requests of one peer of the control socket do not hold up the loop, however many come at once."""

from __future__ import annotations

import asyncio

from tests.support.control import running

MANY = 1000


async def test_between_two_requests_that_came_at_once_everybody_else_has_a_turn() -> None:
    async with running(None) as path, asyncio.timeout(60):
        reader, writer = await asyncio.open_unix_connection(path)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        writer.write(b'{"op":"ping"}\n' * MANY)
        await reader.readline()
        counting = asyncio.create_task(count())
        for _ in range(MANY - 1):
            await reader.readline()
        counting.cancel()
        writer.close()
        await writer.wait_closed()
    assert turns >= MANY // 2
