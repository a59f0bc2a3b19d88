"""Charts of growth.json as SVG into docs/charts: run by bench/.venv, which has matplotlib.

The same figures give the same bytes: no dates, no random ids, texts as texts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {
    "svg.hashsalt": "callgate",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "axes.edgecolor": "#8a939c",
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "lines.marker": "o",
}

from matplotlib import pyplot  # noqa: E402

HERE = Path(__file__).parent
CHARTS = HERE.parent / "docs" / "charts"
COLOURS = ("#0b5cad", "#c2410c", "#15803d", "#6d28d9")
Rows = list[dict[str, float]]
LATENCY = {"p50": "p50", "p99": "p99", "p999": "p99.9"}


def chart(
    name: str,
    rows: Rows,
    across: tuple[str, str],
    up: str,
    lines: dict[str, str],
    *,
    logarithmic: bool = False,
) -> None:
    """``across`` is the key of the axis and its label, ``lines`` are keys and their labels."""
    figure, axes = pyplot.subplots(figsize=(6.4, 3.4), layout="constrained")
    for colour, (key, label) in zip(COLOURS, lines.items(), strict=False):
        found = [row for row in rows if key in row]
        axes.plot(
            [row[across[0]] for row in found],
            [row[key] for row in found],
            color=colour,
            label=label,
        )
    axes.set_xscale("log" if across[0] != "stored" else "linear")
    if logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(across[1])
    axes.set_ylabel(up)
    if len(lines) > 1:
        axes.legend(frameon=False)
    CHARTS.mkdir(exist_ok=True)
    path = CHARTS / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    path.write_text(path.read_text().replace("'DejaVu Sans'", "Helvetica, Arial, sans-serif"))


def draw(kept: dict[str, Rows]) -> Sequence[str]:
    if rows := kept.get("entries"):
        entries = ("entries", "entries")
        chart("entries-cpu", rows, entries, "CPU of a call, µs", {"cpu": ""})
        chart("entries-latency", rows, entries, "ms, 2,000 calls/s", LATENCY, logarithmic=True)
        chart("entries-memory", rows, entries, "MB", {"rss": "RSS", "pss": "PSS"})
        times = {"reload": "reload", "start": "start"}
        chart("entries-reload", rows, entries, "seconds", times, logarithmic=True)
    if rows := kept.get("connections"):
        connections = ("connections", "connections in flight")
        chart("connections-cpu", rows, connections, "CPU of a call, µs", {"cpu": ""})
        chart("connections-latency", rows, connections, "ms", LATENCY, logarithmic=True)
    if rows := kept.get("ingest"):
        rates = {"gateway": "gateway, at its peak", "by_cpu": "ingester, on a backlog"}
        chart("ingest", rows, ("stored", "attempts in the store"), "a second", rates)
    return sorted(path.name for path in CHARTS.glob("*.svg"))


if __name__ == "__main__":
    print("drawn:", *draw(json.loads((HERE / "results" / "growth.json").read_text())))
