"""What screening costs a real Asterisk: every call is rejected at once, by several ways in one run.

Rule 1: the ways take turns within a round, every other round in the opposite order; what is told is
the median of the rounds, and the median of what a way adds within a round: a neighbour that is busy
burdens all alike. The first round warms up and is not counted.
Rule 2: where there are two processors Asterisk has one for itself; the load and the servers share
the other. CPU is that of all threads of Asterisk, and of the processes of a server that calls wait
for. The ingester is told beside.
Rule 3: so many calls are in flight at any time, each begun when another has ended. Calls per second
are therefore what the processors can do, not what the load happens to ask of them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from bench.measure import arguments, cpu_seconds, family, is_serving, parsed
from bench.pbx.stand import FLOOR, HERE, KNOWN, NOTHING, OURS, PANORAMISK, asterisk, callers
from bench.result import Result
from tests.asterisk.pbx import Pbx, Programs, Unavailable, set_up

CARRIER = "127.0.0.11"
IN_FLIGHT = 16
REST = 0.1
RESTING = 0.03
"""Below this share of a processor a server is at rest."""
PATIENCE = 120.0


@dataclass(frozen=True)
class Way:
    """A way to screen: the number that is called to have it, and the server that it asks."""

    name: str
    number: str
    server: str = ""


NONE = Way("no screening", "+33140000001")
BY_PANORAMISK = Way("FastAGI to panoramisk, deciding nothing", "+33140000005", PANORAMISK)
SMALLEST = Way("FastAGI to Callgate, smallest dialplan", "+33140000006", OURS)
SHIPPED = Way("FastAGI to Callgate, shipped dialplan", "+33140000007", OURS)
WAYS = (
    NONE,
    Way("AstDB", "+33140000002"),
    Way("CURL() to a server deciding nothing", "+33140000003", NOTHING),
    Way("CURL() to Callgate", "+33140000004", OURS),
    Way("FastAGI to a C server deciding nothing", "+33140000008", FLOOR),
    BY_PANORAMISK,
    SMALLEST,
    SHIPPED,
)


@dataclass
class Found:
    """Of one way, a value per round: microseconds of CPU per call, and calls per second."""

    pbx: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    ingester: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)


class Load:
    """Calls of sipp, every one of which must be rejected with 603."""

    def __init__(self, programs: Programs, pbx: Pbx, folder: Path) -> None:
        self._pbx, self._folder = pbx, folder
        (folder / "callers.csv").write_text("SEQUENTIAL\n" + "\n".join(callers()) + "\n")
        self._command = [programs.sipp, f"127.0.0.1:{pbx.port}", "-i", CARRIER, "-nostdin"]
        self._command += ["-inf", "callers.csv", "-l", str(IN_FLIGHT), "-r", "20000"]
        self._command += ["-recv_timeout", "10000", "-timer_resol", "1"]

    def calls(self, number: str, calls: int) -> float:
        """Place them; how many seconds they took."""
        script = self._folder / f"{number}.xml"
        script.write_text(Template((HERE / "call.xml").read_text()).substitute(to=number))
        began = time.monotonic()
        done = subprocess.run(
            [*self._command, "-sf", str(script), "-m", str(calls)],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if done.returncode:
            sys.exit(f"a call was not rejected with 603: {done.stderr}\n{self._pbx.log[-2000:]}")
        return time.monotonic() - began


def rest(pids: list[int]) -> None:
    """Until those processes do next to nothing, or do something without end."""
    for _ in range(30):
        before = cpu_seconds(*pids)
        time.sleep(REST)
        if cpu_seconds(*pids) - before < RESTING * REST:
            return


def measure(
    load: Load, pbx: Pbx, servers: Mapping[str, int], *, calls: int, rounds: int
) -> dict[Way, Found]:
    ways = [way for way in WAYS if not way.server or way.server in servers]
    found = {way: Found() for way in ways}
    for place in range(rounds + 1):
        for way in reversed(ways) if place % 2 else ways:
            told = one_load(load, pbx, servers.get(way.server), way.number, calls)
            if place:
                found[way].pbx.append(told["pbx"])
                found[way].server.append(told["server"])
                found[way].ingester.append(told["ingester"])
                found[way].rate.append(told["rate"])
    return found


def one_load(load: Load, pbx: Pbx, server: int | None, number: str, calls: int) -> dict[str, float]:
    pids = family(server) if server else []
    groups = {
        "pbx": [pbx.pid],
        "server": [pid for pid in pids if is_serving(pid)],
        "ingester": [pid for pid in pids if not is_serving(pid)],
    }
    before = {name: cpu_seconds(*group) for name, group in groups.items()}
    seconds = load.calls(number, calls)
    pbx_cpu = cpu_seconds(pbx.pid)
    rest(pids)
    after = {name: cpu_seconds(*group) for name, group in groups.items()} | {"pbx": pbx_cpu}
    told = {name: (after[name] - before[name]) / calls * 1e6 for name in groups}
    return told | {"rate": calls / seconds}


def report(result: Result, found: Mapping[Way, Found]) -> None:
    for way, figures in found.items():
        result.row(f"{way.name}: Asterisk", figures.pbx, "us")
    for way, figures in found.items():
        if way is not NONE:
            pairs = zip(figures.pbx, found[NONE].pbx, strict=True)
            result.row(f"{way.name}: added", [one - none for one, none in pairs], "us")
    for way, figures in found.items():
        if way.server:
            result.row(f"{way.name}: server", figures.server, "us")
    result.row(f"{SHIPPED.name}: ingester", found[SHIPPED].ingester, "us")
    for way, figures in found.items():
        result.row(f"{way.name}: rate", figures.rate, "calls/s")
    for way, figures in found.items():
        if way is not NONE:
            result.ratio(f"{way.name} / {NONE.name}", figures.pbx, found[NONE].pbx)
    for other in (SMALLEST, BY_PANORAMISK):
        if other in found:
            result.ratio(f"{SHIPPED.name} / {other.name}", found[SHIPPED].pbx, found[other].pbx)


def main() -> None:
    options = parsed(arguments(__doc__, calls=800, rounds=6))
    try:
        programs = set_up()
    except Unavailable as missing:
        sys.exit(f"no Asterisk to measure: {missing}")
    with (
        tempfile.TemporaryDirectory(prefix="cg") as name,
        asterisk(programs, Path(name), options.peer_python) as (pbx, servers),
    ):
        load = Load(programs, pbx, Path(name))
        found = measure(load, pbx, servers, calls=options.calls, rounds=options.rounds)
    version = (programs.root / "version").read_text().split()[1].partition("+")[0]
    result = Result(
        "asterisk",
        f"Asterisk {version}, CPU per rejected call; {KNOWN:,} callers blocked, {IN_FLIGHT} calls "
        f"in flight, {options.rounds} rounds of {options.calls:,} calls by each way",
        quick=options.quick,
    )
    result.note(
        "Asterisk has one processor, the load and the servers the other, where there are two."
    )
    for peer in (FLOOR, PANORAMISK):
        if peer not in servers:
            result.note(f"Left out, because it is not to be had here: {peer}.")
    report(result, found)
    result.finish()


if __name__ == "__main__":
    main()
