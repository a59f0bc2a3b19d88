"""Structures that could be the index instead, each giving every matching entry, longest first.

Built from the same list and asked the same way: a row, and whether it is of the number itself or of
a prefix. What is not installed (bench/requirements.txt) is left out.
"""

from __future__ import annotations

import importlib
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.build import HERE

Lookup = Callable[[str], Sequence[Any]]
MOST_DIGITS = 15
Made = tuple[Lookup, int]
"""What is asked, and its bytes in memory; 0 for what lies in files, or cannot be told."""


def bytes_of(*containers: dict[Any, int] | set[int]) -> int:
    """Of containers with their keys, and of rows, which are integers."""
    keys = sum(sum(map(sys.getsizeof, one)) + sys.getsizeof(one) for one in containers)
    rows = sum(len(one) for one in containers if isinstance(one, dict))
    return keys + rows * sys.getsizeof(2**20)


def entries_of(path: Path) -> tuple[list[str], list[str]]:
    """The digits of the numbers and of the prefixes of a list."""
    lines = path.read_text().split()
    numbers = [line[1:] for line in lines if line[-1] != "*"]
    return numbers, [line[1:-1] for line in lines if line[-1] == "*"]


def optional(name: str) -> Any:
    """A module of the peers' own environment; None where it is not installed."""
    for folder in (HERE / ".venv" / "lib").glob("python*/site-packages"):
        if folder.parent.name == f"python{sys.version_info[0]}.{sys.version_info[1]}":
            sys.path.append(str(folder))
            try:
                return importlib.import_module(name)
            except ImportError:
                return None
            finally:
                sys.path.remove(str(folder))
    return None


def dicts(numbers: Sequence[str], prefixes: Sequence[str], _: Path) -> Made:
    """A dict of numbers and one of prefixes, asked for each length that there is."""
    exact = {digits: row for row, digits in enumerate(numbers)}
    begins = {digits: row for row, digits in enumerate(prefixes, len(numbers))}
    lengths = sorted({len(digits) for digits in prefixes}, reverse=True)

    def lookup(digits: str) -> list[int]:
        row = exact.get(digits)
        found = [] if row is None else [row]
        for length in lengths:
            if length <= len(digits) and (row := begins.get(digits[:length])) is not None:
                found.append(row)
        return found

    return lookup, bytes_of(exact, begins)


def sets(numbers: Sequence[str], prefixes: Sequence[str], _: Path) -> Made:
    """A set of whole numbers as integers for each length: no row, only that it is there."""
    exact = set(map(int, numbers))
    by_length: dict[int, set[int]] = {}
    for digits in prefixes:
        by_length.setdefault(len(digits), set()).add(int(digits))
    lengths = sorted(by_length.items(), reverse=True)

    def lookup(digits: str) -> list[int]:
        found = [len(digits)] if int(digits) in exact else []
        for length, known in lengths:
            if length <= len(digits) and int(digits[:length]) in known:
                found.append(length)
        return found

    return lookup, bytes_of(exact, *by_length.values())


def marisa(numbers: Sequence[str], prefixes: Sequence[str], folder: Path) -> Made:
    """Two marisa-tries, mapped; a key's id stands for its row, whose data would lie beside it."""
    module = optional("marisa_trie")
    for name, keys in (("exact", numbers), ("begins", prefixes)):
        module.Trie(keys).save(str(folder / name))
    exact, begins = (module.Trie().mmap(str(folder / name)) for name in ("exact", "begins"))

    def lookup(digits: str) -> list[int]:
        row = exact.get(digits)
        found = [] if row is None else [row]
        if keys := begins.prefixes(digits):
            found += [begins[key] for key in reversed(keys)]
        return found

    return lookup, 0


def records(numbers: Sequence[str], prefixes: Sequence[str], folder: Path) -> Made:
    """One marisa RecordTrie, mapped: the row is in it. A number's key ends in a mark."""
    module = optional("marisa_trie")
    pairs = [(f"{digits}.", (row,)) for row, digits in enumerate(numbers)]
    pairs += [(digits, (row,)) for row, digits in enumerate(prefixes, len(numbers))]
    module.RecordTrie("<I", pairs).save(str(folder / "records"))
    trie = module.RecordTrie("<I").mmap(str(folder / "records"))

    def lookup(digits: str) -> list[tuple[int]]:
        return [trie[key][0] for key in reversed(trie.prefixes(f"{digits}."))]

    return lookup, 0


def patricia(numbers: Sequence[str], prefixes: Sequence[str], _: Path) -> Made:
    """pytricia, made for IP networks: a digit is four bits of an IPv6 address."""
    trie = optional("pytricia").PyTricia(128)
    exact = {digits: row for row, digits in enumerate(numbers)}
    for row, digits in enumerate(prefixes, len(numbers)):
        trie[_address(digits), len(digits) * 4] = row

    def lookup(digits: str) -> list[int]:
        row = exact.get(digits)
        found = [] if row is None else [row]
        key = trie.get_key((_address(digits), len(digits) * 4))
        while key is not None:
            found.append(trie[key])
            key = trie.parent(key)
        return found

    return lookup, 0


def _address(digits: str) -> bytes:
    padded = bytes.fromhex(digits.ljust(MOST_DIGITS + 1, "0"))
    return struct.pack("8s8x", padded)


PEERS: dict[str, tuple[Callable[..., Made], str, int]] = {
    "dicts by length": (dicts, "", 10**7),
    "sets by length": (sets, "", 10**6),
    "marisa-trie, mapped": (marisa, "marisa_trie", 10**7),
    "marisa RecordTrie, mapped": (records, "marisa_trie", 10**6),
    "pytricia and a dict": (patricia, "pytricia", 10**6),
}
"""By name: how it is built, the package that it needs, the largest list that it is tried on."""
