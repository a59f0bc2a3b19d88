"""Lists and callers to measure with: French numbers by chance, the same in every run.

A list of N entries is half numbers and half prefixes of two to three digits less. Of the callers
one half is covered, by a number or by a prefix in turn, and the other is not; each line says which.
Written once into bench/.cache.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.build import CACHE

CALLERS = 200_000
COUNTRY = "33"


def _by_chance(chance: random.Random, count: int, least: int, most: int) -> Iterator[str]:
    return (f"{COUNTRY}{chance.randrange(least, most)}" for _ in range(count))


def corpus(entries: int) -> Path:
    """A folder with ``block.txt`` of so many entries and ``callers.txt`` for ``load``."""
    folder = CACHE / f"corpus-{entries}"
    if not (folder / "callers.txt").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, entries)
    return folder


def _write(folder: Path, entries: int) -> None:
    chance = random.Random(entries)
    exact = list(_by_chance(chance, entries - entries // 2, 10**8, 10**9))
    prefixes = list(_by_chance(chance, entries // 2, 10**6, 10**8))
    with (folder / "block.txt").open("w") as file:
        file.writelines(f"+{digits}\n" for digits in exact)
        file.writelines(f"+{digits}*\n" for digits in prefixes)
    covered = _covered(set(exact), set(prefixes))
    hits = [
        chance.choice(exact) if place % 2 else _below(chance, chance.choice(prefixes or exact))
        for place in range(CALLERS // 2)
    ]
    misses = [
        digits for digits in _by_chance(chance, CALLERS, 10**8, 10**9) if not covered(digits)
    ][: CALLERS // 2]
    asked = [f"{digits} b\n" for digits in hits] + [f"{digits} a\n" for digits in misses]
    chance.shuffle(asked)
    (folder / "callers.txt").write_text("".join(asked))


def _below(chance: random.Random, prefix: str) -> str:
    """A whole number that begins so."""
    missing = len(COUNTRY) + 9 - len(prefix)
    return f"{prefix}{chance.randrange(10**missing):0{missing}}" if missing else prefix


def _covered(exact: set[str], prefixes: set[str]) -> Callable[[str], bool]:
    lengths = {len(prefix) for prefix in prefixes}
    return lambda digits: digits in exact or any(digits[:end] in prefixes for end in lengths)
