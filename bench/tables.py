"""The tables of docs/performance.md, put between its marks from the kept results.

A table stands between ``<!-- NAME -->`` and ``<!-- end -->``; the rest is left alone. NAME is
``growth: PART`` for a part of growth.json, ``index: N`` for the structures at so many entries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from bench.result import GROWTH, HERE, Result, number, read

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
STRUCTURE = {
    "hit": "hit, us",
    "miss": "miss, us",
    "memory": "bytes an entry",
    "build": "build, s",
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
        text = between(text, f"growth: {name}", table(COLUMNS[name], rows))
    return text


def between(text: str, name: str, made: str) -> str:
    mark = f"<!-- {name} -->"
    put_in = f"{mark}\n\n{made}\n\n<!-- end -->"
    return re.sub(f"{re.escape(mark)}.*?<!-- end -->", lambda _: put_in, text, flags=re.S)


def structures(result: Result, entries: int) -> str:
    """What each structure of the index program costs at that size, the cheapest hit first."""
    told: dict[str, dict[str, float]] = {}
    for row in result.rows:
        if found := re.fullmatch(rf"(.+), {entries:,} entries: (\w+)", row.name):
            told.setdefault(found[1], {})[found[2]] = row.median
    lines = [["structure", *STRUCTURE.values()], ["---", *["---:"] * len(STRUCTURE)]]
    asked = {name: row for name, row in told.items() if "hit" in row}
    for name, figures in sorted(asked.items(), key=lambda pair: pair[1]["hit"]):
        lines.append([name, *(_cell(key, figures.get(key)) for key in STRUCTURE)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write() -> None:
    """The document anew, from what is kept."""
    text = put(DOCUMENT.read_text(), json.loads(GROWTH.read_text()) if GROWTH.exists() else {})
    if result := read("index"):
        for entries in map(int, re.findall(r"<!-- index: (\d+) -->", text)):
            text = between(text, f"index: {entries}", structures(result, entries))
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    write()
