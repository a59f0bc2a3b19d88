"""How cost grows: with the entries of the lists, with the connections in flight, and how fast
attempts are ingested. Keeps bench/results/growth.json, from which charts and tables are made.

    python -m bench.growth [--quick] [entries|connections|ingest …]

CPU of a call is measured in a closed loop at 32 connections, latency in an open loop at a rate
that leaves the server mostly idle, so that it is not the queue that is measured. The ingester is
measured on a backlog: it is stopped while calls arrive at the gateway's peak, then let go.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.corpus import corpus
from bench.fastagi import load_for
from bench.measure import (
    HERE,
    OURS,
    Load,
    Server,
    callgate,
    cpu_seconds,
    family,
    free_port,
    is_serving,
    one_load,
    running,
    stopped,
)
from bench.result import GROWTH, RESULTS
from bench.tables import write

ENTRIES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
CONNECTIONS = (1, 4, 32, 128, 512, 2_048, 10_000)
RATE = 2_000
PATIENCE = 300.0
Row = dict[str, float]


@dataclass
class Site:
    """A gateway with a list of its own, and the load that it is asked with."""

    folder: Path
    port: int
    pid: int
    load: Load
    start: float

    @property
    def serving(self) -> list[int]:
        return [pid for pid in family(self.pid) if is_serving(pid)]

    @property
    def beside(self) -> list[int]:
        return [pid for pid in family(self.pid) if not is_serving(pid)]

    def memory(self, what: str) -> float:
        """MB of ``Rss`` or ``Pss``, over all processes that serve."""
        return sum(_rollup(pid, what) for pid in self.serving)

    def cost(self, calls: int, rounds: int, **more: object) -> list[Any]:
        """The runs of some rounds; one before them warms up."""
        work = [lambda: self.load.run(self.port, calls, **more)] * (rounds + 1)
        return [one_load(self.pid, each) for each in work][1:]

    def reload(self) -> float:
        """Add one number to the list; the seconds until the gateway has taken it."""
        with (self.folder / "block.txt").open("a") as file:
            file.write(f"+331{time.time_ns() % 10**8:08}\n")
        began = time.monotonic()
        command = [sys.executable, "-m", "gateway", "--config"]
        command += [str(self.folder / "callgate.yaml"), "reload"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - began


def _rollup(pid: int, what: str) -> float:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(text.partition(f"\n{what}:")[2].split()[0]) / 1024
    return 0.0


@contextlib.contextmanager
def site(entries: int, settings: str = "") -> Iterator[Site]:
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = callgate(folder, "agi", port, entries, "reload: {watch: false}\n" + settings)
        shutil.copy(corpus(entries) / "block.txt", folder / "block.txt")
        policy = (folder / "policy.yaml").read_text()
        own = policy.replace(str(corpus(entries) / "block.txt"), "block.txt")
        (folder / "policy.yaml").write_text(own)
        began = time.monotonic()
        with running(Server(port, command)) as pid:
            yield Site(folder, port, pid, load_for(OURS, entries), time.monotonic() - began)


def latencies(told: dict[str, Any]) -> Row:
    """Milliseconds."""
    return {key: told[key] / 1e3 for key in ("p50", "p99", "p999")}


def by_entries(quick: bool) -> list[Row]:
    calls, rounds = (3_000, 2) if quick else (20_000, 3)
    return [
        _with_entries(entries, calls, rounds) for entries in (ENTRIES[:4] if quick else ENTRIES)
    ]


def _with_entries(entries: int, calls: int, rounds: int) -> Row:
    with site(entries) as here:
        row: Row = {"entries": entries, "start": here.start}
        runs = here.cost(calls, rounds)
        row["cpu"] = statistics.median(run.cpu for run in runs)
        row |= latencies(here.load.run(here.port, calls, rate=RATE))
        row |= {"rss": here.memory("Rss"), "pss": here.memory("Pss")}
        row |= _reloading(here)
    print(row, flush=True)
    return row


def _reloading(here: Site) -> Row:
    """How long a reload takes while calls arrive, and what it does to them.

    A load is begun before it and ends after it: it is asked for as many calls as the last reload
    took, and a little more.
    """
    before = here.reload()
    calls = int(RATE / 2 * (2 * before + 2))
    with tempfile.TemporaryFile("w+") as kept:
        process = subprocess.Popen(
            here.load.command(here.port, calls, rate=RATE / 2), stdout=kept, text=True
        )
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
        time.sleep(0.5)
        seconds = here.reload()
        process.wait(PATIENCE)
        kept.seek(0)
        told = json.load(kept)
    if told["failures"]:
        sys.exit(f"calls failed during a reload: {told}")
    found = {f"reload_{key}": value for key, value in latencies(told).items()}
    return {"reload": seconds, "reload_max": told["max"] / 1e3} | found


def by_connections(quick: bool) -> list[Row]:
    rows = []
    with site(1_000_000) as here:
        for count in CONNECTIONS:
            calls = max(2_000 if quick else 10_000, 3 * count)
            ramp = count / 2_500
            runs = here.cost(calls, 1 if quick else 3, connections=count, ramp=ramp, strict=False)
            row: Row = {"connections": count}
            row["cpu"] = statistics.median(run.cpu for run in runs)
            for key in ("p50", "p99", "p999"):
                row[key] = statistics.median(run.load[key] / 1e3 for run in runs)
            row["rate"] = statistics.median(calls / run.load["seconds"] for run in runs)
            row["failed"] = sum(run.load["failures"] for run in runs) / len(runs) / calls
            row["rss"] = here.memory("Rss")
            rows.append(row)
            print(row, flush=True)
    return rows


def ingested(quick: bool) -> list[Row]:
    """Rounds of calls at the gateway's peak, each followed by the ingester on its backlog."""
    calls, rounds = (10_000, 2) if quick else (150_000, 4)
    rows = []
    with site(1_000_000) as here:
        (ingester,) = here.beside
        for _ in range(rounds):
            with stopped(ingester):
                run = one_load(here.pid, lambda: here.load.run(here.port, calls))
            began, spent = time.monotonic(), cpu_seconds(ingester)
            wait_for(here, calls * (len(rows) + 1))
            seconds, cpu = time.monotonic() - began, cpu_seconds(ingester) - spent
            row: Row = {"stored": calls * (len(rows) + 1), "gateway": 1e6 / run.cpu}
            row |= {"ingested": calls / seconds, "by_cpu": calls / cpu}
            rows.append(row)
            print(row, flush=True)
    return rows


def wait_for(here: Site, attempts: int) -> None:
    """Until the ingester has that many and nothing is left."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            told = json.loads((here.folder / "state/ingest.json").read_text())
            if told["attempts"] >= attempts:
                return
        time.sleep(0.02)
    sys.exit("the ingester does not come to an end")


PARTS = {"entries": by_entries, "connections": by_connections, "ingest": ingested}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls, at most 1,000,000")
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART")
    options = parser.parse_args()
    kept = json.loads(GROWTH.read_text()) if GROWTH.exists() else {}
    for part in options.parts:
        kept[part] = PARTS[part](options.quick)
        RESULTS.mkdir(exist_ok=True)
        GROWTH.write_text(json.dumps(kept, indent=1) + "\n")
    write()
    print(f"kept: {GROWTH.relative_to(HERE.parent)}, and the tables in docs/performance.md")


if __name__ == "__main__":
    main()
