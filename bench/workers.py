"""Processors: the CPU of a call at two workers beside one.

Each worker has SHARE of a processor (a quota of a cgroup, which needs root), so that the load keeps
two of them as busy as one: a worker with little to do reads fewer calls in a turn, and each is
dearer. The CPU of a call is that of all processes that serve; what two pay for is company.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from bench.fastagi import load_for
from bench.measure import (
    CONCURRENCY,
    OURS,
    Run,
    Server,
    arguments,
    beside,
    callgate,
    free_port,
    one_load,
    parsed,
    running,
    stopped,
    throttled,
    unpin,
)
from bench.result import Result

COUNTS = (1, 2)
WARM_UP = 2
SHARE = 0.25
"""Of a processor, for each worker."""


def main() -> None:
    options = parsed(arguments(__doc__, calls=15_000, rounds=7))
    load = load_for(OURS, options.entries)
    runs: dict[int, list[Run]] = {count: [] for count in COUNTS}
    with contextlib.ExitStack() as stack:
        sites, less = {}, True
        for count in COUNTS:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            port = free_port()
            settings = f"workers: {count}\n"
            command = callgate(folder, "agi", port, options.entries, settings)
            pid = stack.enter_context(running(Server(port, command)))
            unpin(pid)
            less = stack.enter_context(throttled(pid, SHARE * count)) and less
            stack.enter_context(stopped(*beside(pid)))
            sites[count] = pid, port
        for counts in range(options.rounds + WARM_UP):
            for count, (pid, port) in sites.items():
                run = one_load(
                    pid,
                    lambda port=port, count=count: load.run(
                        port, options.calls, connections=CONCURRENCY * count
                    ),
                )
                if counts >= WARM_UP:
                    runs[count].append(run)
    result = Result("workers", quick=options.quick)
    result.setting = (
        f"{options.entries:,} entries, {CONCURRENCY} connections and "
        f"{SHARE * 100:g} % of a processor a worker, "
        f"{options.rounds} rounds of {options.calls:,} calls on each"
    )
    cost = {count: [run.cpu for run in found] for count, found in runs.items()}
    for count, found in runs.items():
        name = f"{count} worker{'s' * (count > 1)}"
        result.row(f"{name}, CPU of a call", cost[count], "us")
        result.row(f"{name}, calls a second", [_rate(run) for run in found], "")
    result.ratio("2 workers / 1", cost[2], cost[1])
    if not less:
        result.note("no quota could be set (not root?): the load has to share with the workers")
    result.finish()


def _rate(run: Run) -> float:
    return float(run.load["calls"] / run.load["seconds"])


if __name__ == "__main__":
    main()
