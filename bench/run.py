"""The whole suite, or what it found: ``python -m bench.run [--quick] [--check] [PROGRAM…]``.

Each program is a process of its own and keeps its figures in bench/results; bench/RESULTS.md is
made from those. ``--check`` runs nothing: it names every target that was missed or not measured,
and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

from bench.report import machine, report
from bench.result import RESULTS, number, read
from bench.targets import judged

HERE = Path(__file__).parent
PROGRAMS = (
    "fastagi",
    "esl",
    "decision",
    "index",
    "reload",
    "workers",
    "overload",
    "http",
    "asterisk",
)
REPORT = HERE / "RESULTS.md"


def run(program: str, *, quick: bool) -> bool:
    """Whether it did what it should."""
    if not importlib.util.find_spec(f"bench.{program}"):
        print(f"{program}: there is no such program")
        return False
    (RESULTS / f"{program}.json").unlink(missing_ok=True)
    began = time.monotonic()
    command = [sys.executable, "-m", f"bench.{program}", *["--quick"] * quick]
    code = subprocess.run(command, cwd=HERE.parent, check=False).returncode
    print(
        f"  {program} took {time.monotonic() - began:.0f} s" + f", and failed ({code})" * bool(code)
    )
    return not code


def check() -> int:
    """The exit code; prints what was missed."""
    bad = [one for one in judged(read) if one.word != "met"]
    for one in bad:
        found = f": {number(one.found.median)}" if one.found else ""
        print(f"{one.word}: {one.target.says}{found} (at most {one.target.most:g})")
    if not bad:
        print("every target is met")
    return bool(bad)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under two minutes, wider spreads")
    parser.add_argument("--check", action="store_true", help="judge what was found; run nothing")
    parser.add_argument("programs", nargs="*", default=PROGRAMS)
    options = parser.parse_args()
    if options.check:
        return check()
    done = [run(program, quick=options.quick) for program in options.programs]
    REPORT.write_text(report(PROGRAMS, read, machine()))
    print(f"written: {REPORT.relative_to(HERE.parent)}")
    return not all(done)


if __name__ == "__main__":
    sys.exit(main())
