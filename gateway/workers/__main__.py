"""A worker process: ``python -m gateway.workers OPTIONS``, started and kept by the gateway."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec

from gateway import logs
from gateway.loop import loop_factory
from gateway.workers.leftovers import hold
from gateway.workers.messages import Options
from gateway.workers.worker import Worker


def main(argument: str) -> None:
    """Serve until the parent says stop, is gone, or SIGTERM."""
    os.umask(0o077)
    options = msgspec.json.decode(argument, type=Options)
    held = hold(Path(options.lock), options.number)
    told = options.log
    with (
        logs.background(told["level"], told["format"], mask=told["mask"], worker=options.number),
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        runner.run(_run(options))
    os.close(held)


async def _run(options: Options) -> None:
    await Worker(options).run()


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    main(sys.argv[1])
