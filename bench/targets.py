"""What the suite has to reach: one table, read by the report and by ``make bench-check``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.result import Figures, Result


@dataclass(frozen=True)
class Target:
    """The ratio that a program reports under that name is at most ``most``, by its median."""

    program: str
    ratio: str
    most: float
    says: str


TARGETS = (
    Target("fastagi", "callgate / C floor", 2.0, "FastAGI, all included / C server, no decision"),
    Target("fastagi", "callgate / panoramisk", 0.333, "FastAGI, all included / panoramisk"),
    Target("esl", "callgate / genesis", 0.1, "outbound ESL, all included / genesis"),
    Target("esl", "callgate / python-ESL", 0.125, "outbound ESL, all included / python-ESL"),
    Target("decision", "1,000,000 / 1,000 entries", 1.5, "the decision, by size of the list"),
    Target("decision", "national / E.164, warm", 3.0, "reading a national number / E.164, warm"),
    Target("index", "10,000,000 / 1,000 entries", 1.5, "the decision, at ten million entries"),
    Target("index", "load / sort -u", 3.0, "loading 10,000,000 entries / GNU sort -u"),
    Target("index", "bytes an entry / 40", 1.0, "memory of an entry, shared / 40 bytes"),
    Target("reload", "turn during a reload / 20 ms", 1.0, "CPU between turns, p99.9 / 20 ms"),
    Target("workers", "2 workers / 1", 1.15, "CPU of a call, 2 workers / 1"),
    Target("overload", "peak / goodput at 2x", 1.25, "answers at the peak / at 2 times its rate"),
    Target("overload", "peak / goodput at 5x", 1.25, "answers at the peak / at 5 times its rate"),
    Target("overload", "ESL, peak / goodput at 2x", 1.25, "the same of outbound ESL, at 2 times"),
    Target("overload", "ESL, peak / goodput at 5x", 1.25, "the same of outbound ESL, at 5 times"),
)


@dataclass(frozen=True)
class Judged:
    """A target and what was measured for it; None when nothing was."""

    target: Target
    found: Figures | None

    @property
    def word(self) -> str:
        if not self.found:
            return "not measured"
        return "met" if self.found.median <= self.target.most else "missed"


def judged(read: Callable[[str], Result | None]) -> Iterator[Judged]:
    """Every target; ``read`` gives what a program found."""
    for target in TARGETS:
        result = read(target.program)
        ratios = result.ratios if result else []
        yield Judged(target, next((one for one in ratios if one.name == target.ratio), None))
