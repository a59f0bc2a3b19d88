"""The one table of verdicts: every road from a call to a verdict must give these."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from gateway.calls import Call, Direction, Presentation
from tests.support.policies import NOON

VECTORS = Path(__file__).parent.parent / "vectors"
POLICY = VECTORS / "verdicts.yaml"


@dataclass(frozen=True, slots=True)
class Row:
    """One call, and what must be said of it. ``shadow`` is the action that would have been."""

    direction: str
    caller: str
    callee: str
    trunk: str
    campaign: str
    presentation: str
    verdict: str
    reason: str
    list: str
    entry: str
    response: str
    shadow: str

    def __str__(self) -> str:
        where = "/".join(part for part in (self.trunk, self.campaign, self.presentation) if part)
        return f"{self.direction} {self.caller or 'nobody'} to {self.callee} {where}".strip()

    @property
    def call(self) -> Call:
        return Call(
            direction=Direction(self.direction),
            caller=self.caller,
            callee=self.callee,
            at=NOON,
            trunk=self.trunk,
            campaign=self.campaign,
            presentation=Presentation(self.presentation or "allowed"),
        )


def rows() -> list[Row]:
    """Every row of ``tests/vectors/verdicts.tsv``."""
    with (VECTORS / "verdicts.tsv").open(newline="", encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    return [Row(*fields) for fields in csv.reader(lines, delimiter="\t") if fields]
