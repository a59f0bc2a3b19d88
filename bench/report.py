"""bench/RESULTS.md from the results: the machine, every target, and a section for each program."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.result import Result, number
from bench.targets import Judged, judged

HEAD = """\
# Results of the benchmarks

Written by `make bench`; what each program measures is in [README.md](README.md), what the figures
mean and how they grow in [docs/performance.md](../docs/performance.md). All figures are medians of
interleaved rounds, with the smallest and the largest round in brackets.
"""
PACKAGES = ("uvloop", "msgspec", "phonenumberslite")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def machine() -> str:
    """Whatever decides how fast this is, and has no name of its own."""
    told = [f"{os.cpu_count()} processors, {processor()}"]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    told.append(f"{memory:.0f} GiB of memory")
    told.append(f"Linux {platform.release()}")
    told.append(f"{platform.python_implementation()} {sys.version.split()[0]}")
    for package in PACKAGES:
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            told.append(f"no {package}")
    return ", ".join(told) + "."


def target_row(one: Judged) -> str:
    cells = [one.target.says, f"`{one.target.program}`", f"≤ {one.target.most:g}"]
    cells += [number(one.found.median), one.found.spread] if one.found else ["", ""]
    return f"| {' | '.join([*cells, one.word])} |"


def section(result: Result) -> Iterator[str]:
    yield f"## {result.program}"
    yield ""
    yield f"{result.setting}. {result.date}{', quick' if result.quick else ''}."
    yield ""
    yield "| figure | median | spread |"
    yield "| --- | ---: | --- |"
    for row in result.rows:
        yield f"| {row.name} | {number(row.median)} {row.unit} | {row.spread} |"
    for ratio in result.ratios:
        yield f"| **{ratio.name}** | **{number(ratio.median)}** | {ratio.spread} |"
    yield ""
    for note in result.notes:
        yield f"- {note}"
    if result.notes:
        yield ""


def report(programs: Iterable[str], read: Callable[[str], Result | None], machine: str) -> str:
    """The whole document."""
    lines = [HEAD, "## Machine", "", machine, "", "## Targets", ""]
    lines.append("| ratio | program | target | median | spread | |")
    lines.append("| --- | --- | --- | ---: | --- | --- |")
    lines += map(target_row, judged(read))
    lines.append("")
    for program in programs:
        if result := read(program):
            lines += section(result)
    return "\n".join(lines)
