"""What a program of the suite found: figures and ratios by round, kept as JSON in bench/results.

A ratio is told by the median of its rounds; smallest and largest are its spread.
"""

from __future__ import annotations

import datetime
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.measure import Run

HERE = Path(__file__).parent
RESULTS = HERE / "results"
GROWTH = RESULTS / "growth.json"


@dataclass(frozen=True)
class Figures:
    """One thing that was measured in several rounds."""

    name: str
    values: Sequence[float]
    unit: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        return f"{number(min(self.values))} to {number(max(self.values))}"

    def __str__(self) -> str:
        return f"{number(self.median)} {self.unit} ({self.spread})".replace("  ", " ")


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass
class Result:
    """One program's; ``rows`` are figures with a unit, ``ratios`` are named as targets.py does."""

    program: str
    setting: str = ""
    rows: list[Figures] = field(default_factory=list)
    ratios: list[Figures] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    quick: bool = False
    date: str = ""

    def row(self, name: str, values: Sequence[float], unit: str) -> None:
        self.rows.append(Figures(name, list(values), unit))

    def ratio(self, name: str, ours: Sequence[float], theirs: Sequence[float]) -> None:
        """Ours to theirs, round by round."""
        pairs = zip(ours, theirs, strict=True)
        self.ratios.append(Figures(name, [one / other for one, other in pairs]))

    def compare(
        self, runs: Mapping[str, Sequence[Run]], memory: Mapping[str, int], ours: str
    ) -> None:
        """What servers cost side by side, and ours to each of the others."""
        cost = {name: [run.cpu for run in found] for name, found in runs.items()}
        for name, found in runs.items():
            self.row(f"{name}, CPU of a call", cost[name], "us")
            for key in ("p50", "p99"):
                self.row(f"{name}, {key}", [run.load[key] / 1e3 for run in found], "ms")
            self.row(f"{name}, peak of memory", [memory[name]], "MB")
        for name in runs:
            if name != ours:
                self.ratio(f"{ours} / {name}", cost[ours], cost[name])

    def note(self, text: str) -> None:
        self.notes.append(text)

    def finish(self) -> None:
        """Print it, and keep it for the report."""
        self.date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        print(self)
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), indent=1)
        (RESULTS / f"{self.program}.json").write_text(text + "\n")

    def __str__(self) -> str:
        lines = [f"{self.program}: {self.setting}"]
        lines += [f"  {row.name:<44} {row}" for row in self.rows]
        lines += [f"  {ratio.name:<44} {ratio} as a ratio" for ratio in self.ratios]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)


def read(program: str) -> Result | None:
    """What that program last found; None if it never ran."""
    try:
        told: dict[str, Any] = json.loads((RESULTS / f"{program}.json").read_text())
    except FileNotFoundError:
        return None
    for part in ("rows", "ratios"):
        told[part] = [Figures(**figures) for figures in told[part]]
    return Result(**told)
