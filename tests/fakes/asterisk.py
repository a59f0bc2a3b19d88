"""A fake Asterisk: one channel that runs ``AGI(url)`` against a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.protocols.agi_client import AgiClient, Channel, environment


async def agi_call(
    host: str,
    port: int,
    url: str,
    *,
    channel: Channel | None = None,
    args: Sequence[str] = (),
    data: bytes | None = None,
    chunk: int = 0,
) -> tuple[dict[str, str], list[str]]:
    """Run one AGI session to its end; the variables that were set and the commands that came.

    ``url`` may be a whole URL or its path. ``data`` replaces the environment; ``chunk`` sends it
    in pieces of that many bytes. Asserts that no half line was left.
    """
    whole = url if "://" in url else f"agi://{host}:{port}/{url}"
    sent = environment(whole, channel or Channel(), args) if data is None else data
    client = AgiClient()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for start in range(0, len(sent), chunk or max(1, len(sent))):
            writer.write(sent[start : start + (chunk or len(sent))])
            await writer.drain()
            await asyncio.sleep(0)
        while read := await reader.read(4096):
            writer.write(client.receive(read))
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert not client.half
    return client.variables, client.commands
