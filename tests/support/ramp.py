"""Calls that sipp places at a rising rate through a real Asterisk with the shipped dialplan.

Rule: nothing is sampled. Every call comes from a number of its own, and sipp writes when it begins,
what its INVITE was answered and when it is over; so each can be found in the store afterwards.
"""

from __future__ import annotations

import asyncio
import csv
import itertools
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from string import Template

from tests.asterisk.pbx import CONFIG, Pbx, Programs, free_port
from tests.asterisk.sip import ADDRESSES
from tests.support.load import BLOCKED, CALLEE
from tests.support.served import LONG

ROOT = Path(__file__).parents[2]
RAMP = ROOT / "tests/faults/ramp"
SOURCES = (
    ROOT / "bench/pbx/asterisk.conf",
    *(CONFIG / name for name in ("modules.conf", "pjsip.conf", "rtp.conf")),
    RAMP / "extensions.conf",
    RAMP / "logger.conf",
)
ALLOWED = "+33611"
REJECTED, OUTAGE, NOBODY = 607, 603, 480
"""Statuses: the policy's, the outage branch's, and that of a callee who did not answer."""
REFUSALS = (488, 500, 503)
"""What Asterisk says before it asks anybody. A status that is not here leaves its call not over."""
IGNORED, HUNG = 40_000, 60_000
"""Milliseconds until a call is told so. An INVITE is repeated for 32,000, Dial waits 20,000."""
NOTICE = "Callgate gave no verdict"
ALL_OVER = 150
"""Seconds after which something is left: more than any call takes that is not taken, or hangs."""


class RampPbx(Pbx):
    """``outage`` is what the outage branch does with inbound calls: allow or block."""

    def __init__(self, programs: Programs, folder: Path, callee: int, outage: str) -> None:
        super().__init__(programs, folder, callee)
        self._values["outage"] = outage

    def sources(self) -> list[Path]:
        return list(SOURCES)

    def channels(self) -> int:
        """Of `core show channels`; -1 when it is too busy to tell."""
        with suppress(subprocess.TimeoutExpired, ValueError):
            shown = self.command("core show channels count").split()
            return int(shown[shown.index("active") - 1])
        return -1

    def files(self) -> int:
        """Descriptors that its process has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def outages(self) -> int:
        """Calls that got no verdict."""
        return self.log.count(NOTICE)

    async def until_set(self, name: str, value: str) -> None:
        """As ``set_global``, while it may be too busy to obey at once."""
        async with asyncio.timeout(LONG):
            while True:
                with suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(self.set_global, name, value)
                    shown = await asyncio.to_thread(self.command, "dialplan show globals")
                    if f"{name}={value}\n" in shown:
                        return


@dataclass
class Told:
    """What sipp wrote, by the number of the caller."""

    began: set[str] = field(default_factory=set)
    status: dict[str, int] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)
    """Asterisk never said anything, not even 100: it did not take the call."""
    hung: set[str] = field(default_factory=set)
    """Asterisk took the call and did not end it."""
    over: set[str] = field(default_factory=set)

    def counts(self) -> Counter[int]:
        """Of calls, by status."""
        return Counter(self.status.values())

    def by(self, *statuses: int) -> set[str]:
        return {caller for caller, status in self.status.items() if status in statuses}


def read(log: str) -> Told:
    told = Told()
    sets = {"began": told.began, "ignored": told.ignored, "hung": told.hung, "over": told.over}
    for line in log.splitlines():
        what, caller = line.split()
        if what in sets:
            sets[what].add(caller)
        else:
            told.status.setdefault(caller, int(what))
    return told


class Ramp:
    """Calls to one Asterisk; ``folder`` takes what sipp reads and writes."""

    def __init__(self, programs: Programs, folder: Path, pbx: RampPbx) -> None:
        self._programs = programs
        self._folder = folder
        self._pbx = pbx

    @property
    def told(self) -> Told:
        """By now."""
        return read(whole_lines(self._folder / "caller.log"))

    @property
    def reached(self) -> list[str]:
        """Callers who were put through, by now."""
        return whole_lines(self._folder / "callee.log").split()

    def highest(self, column: str, *, unrepeated: bool = False) -> float:
        """Of what sipp counts each second; ``unrepeated``: until it first repeated a message."""
        lines = whole_lines(self._folder / "caller.stat").splitlines()
        rows: Iterable[dict[str, str]] = csv.DictReader(lines, delimiter=";")
        if unrepeated:
            rows = itertools.takewhile(lambda row: int(row["Retransmissions(C)"]) == 0, rows)
        return max((float(row[column]) for row in rows), default=0)

    @asynccontextmanager
    async def calling(self, step: int, most: int) -> AsyncIterator[None]:
        """``step`` calls a second more each second, up to ``most``, while the block runs.

        It ends when the last of them has ended.
        """
        numbers = (f"{prefix}{n:06}" for n in itertools.count() for prefix in (BLOCKED, ALLOWED))
        table = self._folder / "callers.csv"
        table.write_text("SEQUENTIAL\n" + "\n".join(itertools.islice(numbers, 200_000)) + "\n")
        process = await start(
            *(self._programs, self._folder, "caller", f"127.0.0.1:{self._pbx.port}"),
            *("-i", ADDRESSES["carrier"], "-inf", table),
            *("-r", step, "-rate_increase", step, "-rate_interval", 1, "-rate_max", most),
            *("-no_rate_quit", "-l", 100_000, "-max_invite_retrans", 20),
        )
        try:
            yield
            process.send_signal(signal.SIGUSR1)  # begin no more
            async with asyncio.timeout(ALL_OVER):
                await process.wait()
        finally:
            await end(process)


@asynccontextmanager
async def answering(programs: Programs, folder: Path) -> AsyncIterator[int]:
    """Who answers every call; the UDP port of 127.0.0.1 that it has."""
    while True:
        port = free_port(socket.SOCK_DGRAM)
        process = await start(programs, folder, "callee", "-i", "127.0.0.1", "-p", port)
        try:
            await until(partial(ended_or_bound, process, port), "somebody who is called")
            if process.returncode is None:
                yield port
                return
        finally:
            await end(process)


def ended_or_bound(process: asyncio.subprocess.Process, port: int) -> bool:
    """Whether it has this UDP port of 127.0.0.1, or never will: a port may not stay free."""
    rows = (line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:])
    inodes = {row[9] for row in rows if row[1] == f"0100007F:{port:04X}"}
    with suppress(OSError):  # what is open changes meanwhile
        files = [file.readlink().name for file in Path(f"/proc/{process.pid}/fd").iterdir()]
        if any(f"socket:[{inode}]" in files for inode in inodes):
            return True
    return process.returncode is not None


async def start(
    programs: Programs, folder: Path, what: str, *options: object
) -> asyncio.subprocess.Process:
    """A sipp, which never ends by itself because the machine is slow."""
    script, log, stat = (folder / f"{what}.{kind}" for kind in ("xml", "log", "stat"))
    values = {"to": CALLEE, "ignored": IGNORED, "hung": HUNG, "rejections": rejections()}
    script.write_text(Template((RAMP / script.name).read_text()).substitute(values))
    command = [programs.sipp, "-sf", script, "-trace_logs", "-log_file", log, *options]
    command += ["-nostdin", "-trace_stat", "-stf", stat, "-fd", 1]
    for trip in ("minor", "major"):
        command += [f"-watchdog_{trip}_maxtriggers", 10**6]
    with (folder / f"{what}.out").open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )


def rejections() -> str:
    line = (
        '<recv response="{0}" optional="true" next="rejected">'
        '<action><log message="{0} [field0]"/></action></recv>'
    )
    statuses = (REJECTED, OUTAGE, NOBODY, *REFUSALS)
    return "\n  ".join(map(line.format, statuses))


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def whole_lines(file: Path) -> str:
    text = file.read_text() if file.exists() else ""
    return text[: text.rfind("\n") + 1]


async def until(condition: Callable[[], bool], what: str, seconds: float = LONG) -> None:
    """Wait for other processes, which have no event for it."""
    try:
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{what}: not after {seconds} s") from None
