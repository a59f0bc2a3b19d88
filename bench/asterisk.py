"""What screening costs a real Asterisk: every call is rejected at once, by several ways in one run.

Rule 1: the ways take turns within a round, every other round in the opposite order; what is told is
the median of the rounds, and the median of what a way adds within a round: a neighbour that is busy
burdens all alike. The first round warms up and is not counted.
Rule 2: where there are two processors Asterisk has one for itself; the load and the servers share
another. CPU is the kernel's count for all threads of the process, and of all processes of a server
until they have come to rest.
Rule 3: so many calls are in flight at any time, each begun when another has ended. Calls per second
are therefore what Asterisk's one processor can do, not what the load happens to ask of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from bench.pbx.stand import CORES, HERE, KNOWN, asterisk, callers, cpu_seconds, family
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
SMALLEST = Way("FastAGI, Callgate, smallest dialplan", "+33140000006", "callgate")
SHIPPED = Way("FastAGI, Callgate, shipped dialplan", "+33140000007", "callgate")
PANORAMISK = Way("FastAGI, panoramisk deciding nothing", "+33140000005", "panoramisk")
WAYS = (
    NONE,
    Way("AstDB", "+33140000002"),
    Way("CURL(), a server deciding nothing", "+33140000003", "nothing"),
    Way("CURL(), Callgate", "+33140000004", "callgate"),
    PANORAMISK,
    SMALLEST,
    SHIPPED,
)


@dataclass
class Figures:
    """Of one way, a value per round: microseconds of CPU per call, and calls per second."""

    pbx: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
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
        before = cpu_seconds(pids)
        time.sleep(REST)
        if cpu_seconds(pids) - before < RESTING * REST:
            return


def measure(
    load: Load, pbx: Pbx, servers: Mapping[str, int], *, calls: int, rounds: int
) -> dict[Way, Figures]:
    ways = [way for way in WAYS if not way.server or way.server in servers]
    figures = {way: Figures() for way in ways}
    for place in range(rounds + 1):
        for way in reversed(ways) if place % 2 else ways:
            pids = family(servers[way.server]) if way.server else []
            pbx_before, server_before = cpu_seconds([pbx.pid]), cpu_seconds(pids)
            seconds = load.calls(way.number, calls)
            pbx_cpu = cpu_seconds([pbx.pid]) - pbx_before
            rest(pids)
            if place:
                figures[way].pbx.append(pbx_cpu / calls * 1e6)
                figures[way].server.append((cpu_seconds(pids) - server_before) / calls * 1e6)
                figures[way].rate.append(calls / seconds)
    return figures


def figure(name: str, unit: str, values: list[float]) -> dict[str, object]:
    told = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {"name": name, "unit": unit} | {key: round(value, 3) for key, value in told.items()}


def results(figures: Mapping[Way, Figures]) -> dict[str, object]:
    """Everything that is told, as JSON. A ratio is that of Asterisk's CPU to no screening's."""
    told, ratios = [], []
    for way, found in figures.items():
        told.append(figure(f"{way.name}: Asterisk", "us CPU/call", found.pbx))
        if way.server:
            told.append(figure(f"{way.name}: server", "us CPU/call", found.server))
        told.append(figure(f"{way.name}: rate", "calls/s", found.rate))
        if way is not NONE:
            pairs = list(zip(found.pbx, figures[NONE].pbx, strict=True))
            added = [one - none for one, none in pairs]
            told.append(figure(f"{way.name}: added to Asterisk", "us CPU/call", added))
            share = [one / none for one, none in pairs]
            ratios.append(figure(f"Asterisk, {way.name} / {NONE.name}", "", share))
    for other in (SMALLEST, PANORAMISK):
        if other in figures:
            pairs = list(zip(figures[SHIPPED].pbx, figures[other].pbx, strict=True))
            share = [one / theirs for one, theirs in pairs]
            ratios.append(figure(f"Asterisk, {SHIPPED.name} / {other.name}", "", share))
    return {"program": "asterisk", "figures": told, "ratios": ratios}


def report(figures: Mapping[Way, Figures]) -> None:
    print(f"{'CPU per rejected call, in us; medians':<40} Asterisk     added   server  calls/s")
    for way, found in figures.items():
        pairs = zip(found.pbx, figures[NONE].pbx, strict=True)
        added = statistics.median(one - none for one, none in pairs)
        spread = f"({min(found.pbx):.0f} to {max(found.pbx):.0f})"
        server = f"{statistics.median(found.server):8.0f}" if way.server else " " * 8
        print(
            f"{way.name:<40} {statistics.median(found.pbx):8.0f} {added:+9.0f} {server} "
            f"{statistics.median(found.rate):8.0f}  {spread}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", default=str(HERE.parent / ".venv/bin/python"))
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fewer calls and rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    calls, rounds = (400, 3) if options.quick else (options.calls, options.rounds)
    try:
        programs = set_up()
    except Unavailable as missing:
        sys.exit(f"no Asterisk to measure: {missing}")
    with tempfile.TemporaryDirectory(prefix="cg") as name:
        folder = Path(name)
        with asterisk(programs, folder, options.peer_python) as (pbx, servers):
            load = Load(programs, pbx, folder)
            figures = measure(load, pbx, servers, calls=calls, rounds=rounds)
    apart = "Asterisk on one, load and servers on the other" if len(CORES) > 1 else "shared by all"
    print(f"{(programs.root / 'version').read_text().splitlines()[0]}; processors: {apart}")
    print(f"{IN_FLIGHT} calls in flight, {rounds} rounds of {calls}, {KNOWN} callers blocked")
    if PANORAMISK not in figures:
        print(f"left out, not installed: panoramisk ({options.peer_python})")
    report(figures)
    if options.json:
        options.json.write_text(json.dumps(results(figures), indent=2) + "\n")


if __name__ == "__main__":
    main()
