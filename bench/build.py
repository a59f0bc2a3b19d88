"""The programs in C: built once into bench/.cache, again when their source is newer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


def binary(name: str) -> Path:
    """The program whose source is ``bench/c/<name>.c``. Exits with a sentence if it cannot be."""
    source, built = HERE / "c" / f"{name}.c", CACHE / name
    if built.exists() and built.stat().st_mtime_ns > source.stat().st_mtime_ns:
        return built
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        sys.exit("The benchmarks need a C compiler (cc), such as the system package gcc gives.")
    CACHE.mkdir(exist_ok=True)
    half = built.with_suffix(".new")
    done = subprocess.run([compiler, *FLAGS, "-o", str(half), str(source)], check=False)
    if done.returncode:
        sys.exit(f"{source} does not compile here.")
    half.replace(built)
    return built
