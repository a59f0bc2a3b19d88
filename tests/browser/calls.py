"""A real Asterisk between sipp and a callee: what a page changes is heard on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.asterisk.callee import Callee
from tests.asterisk.pbx import Pbx, Programs
from tests.asterisk.sip import Caller, Outcome

DID = "+33140000000"


class Trunk:
    """The carrier's trunk of an Asterisk that asks one gateway about each call."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def call(self, sender: str) -> Outcome:
        """A call from a number to its end: what it got on the wire."""
        return await asyncio.to_thread(self._caller.call, "carrier", DID, sender)


@contextmanager
def trunk_of(programs: Programs, gateway: str, directory: Path) -> Iterator[Trunk]:
    """An Asterisk that asks ``gateway`` (host:port), for as long as this lasts."""
    callee = Callee()
    pbx = Pbx(programs, directory / "asterisk", callee.port)
    (calls := directory / "calls").mkdir(parents=True)
    try:
        pbx.start()
        pbx.ask(gateway)
        yield Trunk(Caller(programs, pbx, calls))
    finally:
        pbx.stop()
        callee.close()
