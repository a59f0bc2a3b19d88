"""What is answered when more calls come than can be: goodput at 1, 2 and 5 times the peak.

The peak is that of a closed loop in the same round. Then calls begin at a multiple of it, whatever
the gateway does (an open loop), which runs with the default cap and deadline; a time counts from
when its call was due. Goodput is the calls answered within the deadline for each second in which
calls began. A refused call is one that was closed unheard; its time tells whether it was at once.

One processor cannot place five times what another one answers. So the gateway has SHARE of its own
(a quota of a cgroup, which needs root), and the load the other one, whole; "late by the load" tells
whether it kept up.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.esl import load_for as esl_load_for
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
    throttled,
)
from bench.result import Result
from gateway.settings import Settings

FACTORS = (1, 2, 5)
SHARE = 0.25
"""Of a processor."""
SECONDS, QUICK = 4.0, 2.0
"""Of calls at each multiple."""


def with_defaults(folder: Path, frontend: str, port: int, entries: int) -> tuple[Server, float]:
    """A gateway with the cap and the deadline that it comes with; that deadline in seconds."""
    command = callgate(folder, frontend, port, entries)
    config = folder / "callgate.yaml"
    config.write_text(config.read_text().replace(LIMITS, ""))
    return Server(port, command), Settings.load(config).agi.deadline


def good(told: dict[str, Any]) -> float:
    """Calls a second that were answered in time, while calls began."""
    return float(told["in_window"] / told["placing"])


class Rounds:
    """The figures by name, a value for each round."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], list[float]] = {}

    def add(self, name: str, value: float, unit: str) -> None:
        self.found.setdefault((name, unit), []).append(value)

    def of(self, name: str) -> list[float]:
        return next((found for (known, _), found in self.found.items() if known == name), [])

    def told(self, name: str, told: dict[str, Any]) -> None:
        calls = told["calls"]
        other = told["failures"] - told["refused"]
        self.add(f"{name}, goodput", good(told), "calls/s")
        self.add(f"{name}, placed", calls / told["placing"], "calls/s")
        self.add(f"{name}, late by the load, most", told["lag"] / 1e3, "ms")
        self.add(f"{name}, refused", told["refused"] / calls * 100, "%")
        self.add(f"{name}, answered late", told["late"] / calls * 100, "%")
        self.add(f"{name}, neither answered nor refused", other / calls * 100, "%")
        for key in ("p50", "p99"):
            self.add(f"{name}, {key} of the answered", told[key] / 1e3, "ms")
        for key in ("refused_p50", "refused_p99"):
            self.add(f"{name}, {key[8:]} of the refused", told[key] / 1e3, "ms")


class Loads:
    """What loads one gateway: at its peak, and openly.

    Each waits for the deadline first, and so meets nothing that is left of the one before.
    """

    def __init__(self, load: Load, port: int, deadline: float, seconds: float) -> None:
        self._load, self._port, self._deadline = load, port, deadline
        self._seconds = seconds

    def peak(self, calls: int) -> float:
        time.sleep(self._deadline)
        told = self._load.run(self._port, calls, within=self._deadline)
        return float((told["calls"] - told["late"]) / told["seconds"])

    def open(self, rate: float) -> dict[str, Any]:
        calls = int(rate * self._seconds)
        time.sleep(self._deadline)
        return self._load.run(self._port, calls, strict=False, rate=rate, within=self._deadline)

    def at_multiples(self, found: Rounds, label: str, calls: int, *, most: float = 1e9) -> None:
        """The peak, then each multiple of it, the last no faster than ``most``."""
        peak = self.peak(calls)
        found.add(f"{label}peak", peak, "calls/s")
        for factor in FACTORS:
            found.told(f"{label}{factor}x", self.open(min(peak * factor, most)))


def main() -> None:
    options = parsed(arguments(__doc__, calls=8_000, rounds=5))
    seconds = QUICK if options.quick else SECONDS
    rounds = 2 if options.quick else options.rounds
    found, result = Rounds(), Result("overload", quick=options.quick)
    for frontend, load in (("agi", load_for), ("esl", esl_load_for)):
        if frontend == "esl" and options.quick:
            continue
        with tempfile.TemporaryDirectory() as name:
            server, deadline = with_defaults(Path(name), frontend, free_port(), options.entries)
            loads = Loads(load(OURS, options.entries), server.port, deadline, seconds)
            label = "" if frontend == "agi" else "ESL, "
            with running(server) as pid:
                loads.peak(options.calls)
                with throttled(pid, SHARE) as less:
                    for _ in range(rounds):
                        loads.at_multiples(found, label, options.calls)
                if not less:
                    result.note("no quota could be set (not root?): all figures are without one")
    result.setting = (
        f"{options.entries:,} entries, default cap and deadline ({deadline:g} s), "
        f"{SHARE * 100:g} % of a processor, {rounds} rounds of {seconds:g} s at each rate"
    )
    for (what, unit), values in found.found.items():
        result.row(what, values, unit)
    for label in ("", "ESL, ") if less else ():
        if peaks := found.of(f"{label}peak"):
            for factor in FACTORS:
                goodput = found.of(f"{label}{factor}x, goodput")
                result.ratio(f"{label}peak / goodput at {factor}x", peaks, goodput)
    result.finish()


if __name__ == "__main__":
    main()
