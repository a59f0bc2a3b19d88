"""The HTTP process: ``python -m gateway.web OPTIONS``, started by the gateway and ended with it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time

import msgspec
import uvicorn

from gateway import logs
from gateway.control.server import program_version
from gateway.web.app import create_app
from gateway.web.connections import cut_off, limit_log, overdue, protocol
from gateway.web.context import Web
from gateway.web.options import Options

log = logging.getLogger("callgate.http")

LOOK = 1.0
"""Seconds between two looks for a parent that is gone and connections that say nothing."""
LAST = 3
"""Seconds that requests under way may take at the end."""


class _Server(uvicorn.Server):
    """Ends the streams before it waits for what is under way: they would never end themselves."""

    def __init__(self, config: uvicorn.Config, web: Web) -> None:
        super().__init__(config)
        self._web = web

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._web.live.close()
        await super().shutdown(sockets)


def main(argument: str) -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    os.umask(0o077)
    options = msgspec.json.decode(argument, type=Options)
    wanted = options.log
    with logs.background(wanted["level"], wanted["format"], mask=wanted["mask"]):
        web = Web(options)
        config = uvicorn.Config(
            create_app(web, version=program_version()),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            http=protocol(web.http.allow),
            limit_concurrency=web.http.max_connections + 1,
            timeout_graceful_shutdown=LAST,
            lifespan="on",
            ws="none",
        )
        limit_log(logging.getLogger("uvicorn.error"))
        listening = socket.socket(fileno=options.descriptor)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(_Server(config, web), listening, options.parent))


async def _serve(server: uvicorn.Server, listening: socket.socket, parent: int) -> None:
    watching = asyncio.create_task(_watch(server, parent))
    try:
        await server.serve(sockets=[listening])
    finally:
        watching.cancel()


async def _watch(server: uvicorn.Server, parent: int) -> None:
    """End with the parent, and cut off whoever holds a connection without asking anything."""
    while os.getppid() == parent:
        for connection in overdue(server.server_state.connections, time.monotonic()):
            cut_off(connection)
        await asyncio.sleep(LOOK)
    server.should_exit = True


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(sys.argv[1])
