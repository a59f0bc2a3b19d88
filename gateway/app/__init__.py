"""The gateway as a process: state directory, signals, start, reload, drain and stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping

from gateway import logs
from gateway.app.gateway import Gateway
from gateway.app.limits import allow_files, needed_files
from gateway.app.notify import Notifier
from gateway.app.state import owned
from gateway.errors import ConfigError, Fault
from gateway.loop import loop_factory, spare_collections
from gateway.settings import Settings
from gateway.workers.leftovers import LOCK, end_leftovers

__all__ = ["Gateway", "run", "serve"]

log = logging.getLogger(__name__)


async def run(
    settings: Settings,
    stop: asyncio.Event,
    *,
    reload: asyncio.Event | None = None,
    ready: Callable[[Gateway], None] | None = None,
) -> None:
    """Run a gateway until ``stop`` is set; each time ``reload`` is set, load the policy anew.

    ``ready`` is called once every listener is open; a reload asked for before that waits until
    then. ConfigError when there is no policy to run,
    a listener cannot be opened, or another gateway holds the state directory.
    """
    notifier = Notifier()
    with owned(settings.state_dir):
        allow_files(needed_files(settings))
        await _alone(settings)
        gateway = Gateway(settings, notifier)
        try:
            if await _started(gateway, stop):
                notifier.ready(gateway.summary())
                if ready:
                    ready(gateway)
                await _reloads(gateway, reload or asyncio.Event(), stop)
            log.info("stopping; live calls may end")
        finally:
            await gateway.stop()


async def _alone(settings: Settings) -> None:
    """Nothing is left of a gateway that was killed. ConfigError when something cannot be ended."""
    patience = max(settings.agi.deadline, settings.esl.deadline) + 1
    try:
        await asyncio.to_thread(end_leftovers, settings.state_dir / LOCK, patience)
    except OSError as error:
        raise ConfigError([Fault(str(settings.state_dir), 0, 0, "", str(error))]) from error


async def _started(gateway: Gateway, stop: asyncio.Event) -> bool:
    """Whether it has started; a start that is not wanted any more is broken off."""
    starting = asyncio.ensure_future(gateway.start())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        return starting.done()
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.wait({starting, stopping})


async def _reloads(gateway: Gateway, wanted: asyncio.Event, stop: asyncio.Event) -> None:
    """Reload when it is asked for, until the end; what was asked for during the start comes first.

    Requests that come while one is under way become one more, not many.
    """
    reloads = asyncio.create_task(_reload_always(gateway, wanted))
    try:
        await stop.wait()
    finally:
        reloads.cancel()
        await asyncio.wait([reloads])


async def _reload_always(gateway: Gateway, wanted: asyncio.Event) -> None:
    while True:
        await wanted.wait()
        wanted.clear()
        try:
            await gateway.reload()
        except Exception:
            log.exception("the reload failed")


def serve(settings: Settings, *, try_next: str = "callgate probe") -> None:
    """Run a gateway in this process until SIGTERM or SIGINT; SIGHUP reloads the policy.

    ``try_next`` is the command that the banner proposes. Raises what ``run`` raises.
    """
    os.umask(0o077)
    log = settings.log
    with (
        logs.background(log.level.value, log.format.value, mask=log.mask),
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        runner.run(_served(settings, lambda gateway: _ready(gateway, try_next)))


def _ready(gateway: Gateway, try_next: str) -> None:
    spare_collections()
    banner(gateway, try_next)


async def _served(settings: Settings, ready: Callable[[Gateway], None]) -> None:
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop, reload=reload, ready=ready)


def banner(gateway: Gateway, try_next: str) -> None:
    """What a person who starts it wants to know."""
    places = gateway.listeners()
    print(f"callgate is ready: {gateway.summary()}")
    print(f"  FastAGI   {places.get('agi', 'off')}")
    print(f"  ESL       {places.get('esl', 'off')}")
    print(f"  HTTP      {_page(places)}")
    print(f"  control   {places['control']}")
    print(f"  policy    {gateway.settings.policy_path}")
    if gateway.web.first_token:
        print(f"  token     {gateway.web.first_token} (shown this once: log in with it)")
    if gateway.web.lacks_token:
        print(
            "  token     not made, since this is logged: callgate token create NAME --scope admin"
        )
    print(f"  try next  {try_next}", flush=True)


def _page(places: Mapping[str, str]) -> str:
    return f"http://{places['http']}/" if "http" in places else "off"
