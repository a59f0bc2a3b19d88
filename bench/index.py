"""The index beside what it could be, by the size of the list: building, memory, look-ups.

Every structure is asked for the same callers by turns, and gives every matching entry, longest
first; how many must agree. Then ten million entries from text, by the compiler as the gateway runs
it, beside GNU ``sort -u`` of the same file: both on one processor, their CPU from the kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.build import binary
from bench.corpus import corpus
from bench.decision import calls_of, cost
from bench.index_peers import PEERS, Lookup, entries_of, optional
from bench.result import Result
from gateway.policy.decide import decide
from gateway.policy.generation import open_generation
from gateway.policy.model import Policy
from gateway.reload.generations import child_environment

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
OURS = "callgate"
LIMIT = 40


@dataclass
class Built:
    """One structure over one list: seconds of CPU to build, bytes an entry if they can be told."""

    lookup: Lookup
    seconds: float
    size: float


def compile_command(entries: int, folder: Path) -> list[str]:
    """The compiler as the gateway starts it."""
    policy, out = folder / "policy.yaml", folder / "out"
    out.mkdir(exist_ok=True)
    block = corpus(entries) / "block.txt"
    policy.write_text(
        f"numbering: {{region: FR}}\nlists: {{nuisance: {{action: block, files: [{block}]}}}}\n"
    )
    module = ["-P", "-m", "gateway.policy.compile"]
    return [
        *(sys.executable, *module, str(policy), str(folder / "none.db"), str(out)),
        "--without-managed",
    ]


def used(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float, int]:
    """Seconds of CPU and of the clock, and megabytes at most, of a command on one processor."""
    core = min(os.sched_getaffinity(0))
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    wall = time.monotonic() - began
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss // 1024


def ours(entries: int, folder: Path) -> tuple[Policy, Built]:
    seconds, _, _ = used(compile_command(entries, folder), child_environment())
    policy = open_generation(folder / "out").policy
    size = (folder / "out" / "index").stat().st_size / entries
    return policy, Built(policy.index.matches, seconds, size)


def peer(name: str, path: Path, folder: Path) -> Built | None:
    """None where its package is not installed."""
    build, package, _ = PEERS[name]
    if package and optional(package) is None:
        return None
    numbers, prefixes = entries_of(path)
    began = time.process_time()
    lookup, size = build(numbers, prefixes, folder)
    seconds = time.process_time() - began
    mapped = sum(item.stat().st_size for item in folder.iterdir())
    return Built(lookup, seconds, (mapped or size) / (len(numbers) + len(prefixes)))


def structures(entries: int, folder: Path) -> tuple[Policy, dict[str, Built]]:
    policy, built = ours(entries, folder)
    found = {OURS: built}
    for name, (_, _, most) in PEERS.items():
        place = folder / name.replace(" ", "-")
        place.mkdir()
        if entries <= most and (one := peer(name, corpus(entries) / "block.txt", place)):
            found[name] = one
    return policy, found


def agree(found: dict[str, Built], asked: Sequence[str]) -> None:
    """Duplicates of a key are one entry to a dict and two to us: so whether there are any."""
    for digits in asked:
        told = {name: bool(built.lookup(digits)) for name, built in found.items()}
        if len(set(told.values())) != 1:
            sys.exit(f"{digits}: {told}")


def lookups(result: Result, entries: int, options: argparse.Namespace, folder: Path) -> None:
    policy, found = structures(entries, folder)
    calls = calls_of(entries, options.calls)
    texts = {
        what: [call.caller[1:] for call, letter in calls if letter == begins]
        for what, begins in (("hit", "b"), ("miss", "a"))
    }
    agree(found, texts["hit"][:2000] + texts["miss"][:2000])
    figures: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds + 1):
        for name, built in found.items():
            for what, asked in texts.items():
                value = cost(built.lookup, asked)
                if number:
                    figures.setdefault((name, what), []).append(value)
        value = cost(lambda call: decide(call, policy), [call for call, _ in calls])
        if number:
            figures.setdefault(("decide", "call"), []).append(value)
    trie(result, entries, options.rounds, figures)
    for name, built in found.items():
        result.row(f"{name}, {entries:,} entries: build", [built.seconds], "s")
        if built.size:
            result.row(f"{name}, {entries:,} entries: memory", [built.size], "bytes an entry")
    for (name, what), values in figures.items():
        result.row(f"{name}, {entries:,} entries: {what}", values, "us")


def trie(
    result: Result, entries: int, rounds: int, figures: dict[tuple[str, str], list[float]]
) -> None:
    """The same by a trie in C, and ours as a ratio to it."""
    folder = corpus(entries)
    command = [binary("trie"), folder / "block.txt", folder / "callers.txt", str(rounds)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    result.row(f"trie in C, {entries:,} entries: build", [told["build"]], "s")
    result.row(f"trie in C, {entries:,} entries: memory", [told["bytes"]], "bytes an entry")
    for what in ("hit", "miss"):
        figures["trie in C", what] = told[what]
        result.ratio(f"{what}, {entries:,} entries / trie in C", figures[OURS, what], told[what])


def loading(result: Result, entries: int, rounds: int, folder: Path) -> None:
    """The whole compiler beside ``sort -u``."""
    block, out = corpus(entries) / "block.txt", folder / "sorted"
    sort = ["sort", "-u", "-S", "2G", "-o", str(out), str(block)]
    plain = {**os.environ, "LC_ALL": "C"}
    command, kind = compile_command(entries, folder), child_environment()
    found: dict[str, list[tuple[float, float, int]]] = {"compile": [], "sort -u": []}
    for _ in range(rounds):
        found["compile"].append(used(command, kind))
        found["sort -u"].append(used(sort, plain))
    for name, runs in found.items():
        result.row(f"{name}, {entries:,} entries: CPU", [run[0] for run in runs], "s")
        result.row(f"{name}, {entries:,} entries: clock", [run[1] for run in runs], "s")
        result.row(f"{name}, {entries:,} entries: peak", [run[2] for run in runs], "MB")
    both = [[run[0] for run in runs] for runs in found.values()]
    result.ratio("load / sort -u", *both)
    size = (folder / "out" / "index").stat().st_size / entries
    result.ratio("bytes an entry / 40", [size], [LIMIT])


def within(work: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work(Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="up to a million entries")
    options = parser.parse_args()
    sizes: Sequence[int] = SIZES
    if options.quick:
        options.calls, options.rounds, sizes = 5_000, 3, (1_000, 1_000_000)
    result = Result("index", quick=options.quick)
    result.setting = (
        f"{options.rounds} rounds of {options.calls:,} callers by chance, half covered; "
        "sort -u with LC_ALL=C and -S 2G"
    )
    for entries in sizes:
        within(lambda folder, entries=entries: lookups(result, entries, options, folder))
    costs = {row.name: row.values for row in result.rows}
    for entries in sizes[1:]:
        most, least = (costs[f"decide, {size:,} entries: call"] for size in (entries, sizes[0]))
        result.ratio(f"{entries:,} / {sizes[0]:,} entries", most, least)
    within(lambda folder: loading(result, sizes[-1], min(3, options.rounds), folder))
    result.note(
        "The list's prefixes have two lengths, which suits dicts and sets: each further length is "
        "one more probe. They give no order within a key, and lie in each process anew."
    )
    result.finish()


if __name__ == "__main__":
    main()
