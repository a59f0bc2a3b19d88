"""What is answered when more calls come than can be: goodput at 1, 2 and 5 times the peak.

The peak is that of a closed loop in the same round. Then calls begin at a multiple of it, whatever
the gateway does, which runs with the default cap and deadline. Goodput is calls answered within the
deadline in a second, until the last call is over; what was refused is told with its time, so that
it can be seen to be refused at once. The load has a processor of its own, and can place no more
than that allows: what it did place in a second is told too.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.fastagi import load_for
from bench.measure import (
    LIMITS,
    OURS,
    Load,
    Server,
    arguments,
    callgate,
    free_port,
    parsed,
    running,
)
from bench.result import Result
from gateway.settings import Settings

FACTORS = (1, 2, 5)
SECONDS = 5.0
"""Of calls at each multiple."""


def with_defaults(folder: Path, port: int, entries: int) -> tuple[Server, float]:
    """A gateway with the cap and the deadline that it comes with; that deadline in seconds."""
    command = callgate(folder, "agi", port, entries)
    config = folder / "callgate.yaml"
    config.write_text(config.read_text().replace(LIMITS, ""))
    return Server(port, command), Settings.load(config).agi.deadline


def good(told: dict[str, Any]) -> float:
    """Calls a second that were answered in time."""
    return float((told["calls"] - told["failures"] - told["late"]) / told["seconds"])


class Rounds:
    """The figures by name, a value for each round."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], list[float]] = {}

    def add(self, name: str, value: float, unit: str) -> None:
        self.found.setdefault((name, unit), []).append(value)

    def of(self, name: str) -> list[float]:
        return next(values for (known, _), values in self.found.items() if known == name)

    def one(self, load: Load, port: int, calls: int, deadline: float, *, counts: bool) -> None:
        """The peak, then each multiple of it."""
        peak = load.run(port, calls, within=deadline)
        rate = good(peak)
        if counts:
            self.add("peak", rate, "calls/s")
        for factor in FACTORS:
            due = rate * factor
            told = load.run(port, int(due * SECONDS), strict=False, rate=due, within=deadline)
            if counts:
                self.told(f"{factor}x", told)

    def told(self, name: str, told: dict[str, Any]) -> None:
        calls = told["calls"]
        self.add(f"{name}, goodput", good(told), "calls/s")
        self.add(f"{name}, placed", calls / told["seconds"], "calls/s")
        self.add(f"{name}, refused", told["refused"] / calls * 100, "%")
        self.add(f"{name}, neither answered in time nor refused", _else(told) / calls * 100, "%")
        for key in ("p50", "p99"):
            self.add(f"{name}, {key} of the answered", told[key] / 1e3, "ms")
        for key in ("refused_p50", "refused_p99"):
            self.add(f"{name}, {key[8:]} of the refused", told[key] / 1e3, "ms")


def _else(told: dict[str, Any]) -> int:
    return int(told["failures"] - told["refused"] + told["late"])


def main() -> None:
    options = parsed(arguments(__doc__, calls=40_000, rounds=5))
    rounds, port = Rounds(), free_port()
    with tempfile.TemporaryDirectory() as name:
        server, deadline = with_defaults(Path(name), port, options.entries)
        load = load_for(OURS, options.entries)
        with running(server):
            for number in range(options.rounds + 1):
                rounds.one(load, port, options.calls, deadline, counts=bool(number))
    result = Result("overload", quick=options.quick)
    result.setting = (
        f"{options.entries:,} entries, default cap and deadline ({deadline:g} s), "
        f"{options.rounds} rounds of {SECONDS:g} s at each rate"
    )
    for (what, unit), values in rounds.found.items():
        result.row(what, values, unit)
    for factor in FACTORS:
        goodput = rounds.of(f"{factor}x, goodput")
        result.ratio(f"peak / goodput at {factor}x", rounds.of("peak"), goodput)
    result.finish()


if __name__ == "__main__":
    main()
