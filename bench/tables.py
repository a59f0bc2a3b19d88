"""The tables of docs/performance.md, put between its marks from growth.json.

A table stands between ``<!-- growth: NAME -->`` and ``<!-- end -->``; the rest is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bench.result import HERE, number

DOCUMENT = HERE.parent / "docs" / "performance.md"
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "entries": {
        "entries": "entries",
        "cpu": "CPU of a call, us",
        "p50": "p50, ms",
        "p99": "p99, ms",
        "p999": "p99.9, ms",
        "rss": "RSS, MB",
        "pss": "PSS, MB",
        "start": "start, s",
        "reload": "reload, s",
        "reload_p99": "p99 meanwhile, ms",
        "reload_p999": "p99.9 meanwhile, ms",
    },
    "connections": {
        "connections": "in flight",
        "cpu": "CPU of a call, us",
        "rate": "calls a second",
        "p50": "p50, ms",
        "p99": "p99, ms",
        "p999": "p99.9, ms",
        "failed": "failed",
        "rss": "RSS, MB",
    },
    "ingest": {
        "stored": "attempts in the store",
        "gateway": "calls a second at the peak",
        "by_cpu": "attempts ingested in a second of CPU",
        "ingested": "in a second of the clock",
    },
}
WHOLE = {"entries", "connections", "stored", "gateway", "by_cpu", "ingested", "rate"}


def table(columns: Mapping[str, str], rows: Sequence[Mapping[str, float]]) -> str:
    lines = [columns.values(), ["---:"] * len(columns)]
    lines += [[_cell(key, row.get(key)) for key in columns] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if key in WHOLE else number(value)


def put(text: str, kept: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """The document with every table that there are rows for."""
    for name, rows in kept.items():
        mark = f"<!-- growth: {name} -->"
        made = f"{mark}\n\n{table(COLUMNS[name], rows)}\n\n<!-- end -->"
        text = re.sub(
            f"{re.escape(mark)}.*?<!-- end -->", lambda _, made=made: made, text, flags=re.S
        )
    return text


def write(kept: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    DOCUMENT.write_text(put(DOCUMENT.read_text(), kept))
