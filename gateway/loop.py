"""Which event loop a process that answers calls runs on."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Final

YOUNG: Final = 5_000
"""Objects that are more than before, when the collector looks at them (700 by itself). To look
at four times as many took up to 34 ms of the loop, where peers left them in cycles."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's where it is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def spare_collections() -> None:
    """Keep the collector of cycles out of the calls' way, once a process has all it needs.

    What is there stays for good and is not looked at again: a look at all of it would stop every
    call for tens of milliseconds. A call leaves no cycles, so that the rest is looked at seldom.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)
