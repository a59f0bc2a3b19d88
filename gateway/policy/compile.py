"""``python -m gateway.policy.compile POLICY ENTRIES_DB OUT_DIR [OPTIONS]``: compile aside.

Calls go on being answered elsewhere while a million entries are read. What it leaves in OUT_DIR:
``report.json``, always; the generation, when there are no faults. Exit 0 for a sound policy, 1 for
faults; anything else is an accident. Options: ``--force``, ``--without-managed``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from gateway.entries import EntryStore
from gateway.errors import ConfigError, Fault, StoreError
from gateway.policy.generation import (
    REPORT,
    Generation,
    Report,
    open_generation,
    save_generation,
    self_test,
)
from gateway.policy.loader import load
from gateway.policy.model import Entry
from gateway.policy.stamps import stamps_of

MOST = 500
"""Faults or warnings of one report; the rest is counted."""
LONGEST = 400
"""Characters of one of them: whoever reads the report answers calls, too."""
NICENESS = 5
"""Calls come first where processors are few."""


def compile_policy(policy: Path, entries: Path | None, out: Path, *, force: bool = False) -> Report:
    """Read, validate, compile, write and test a policy. Never raises for a bad one.

    ``force`` accepts lists whose files turn out empty; no ``entries``, no managed entries.
    """
    report = Report(stamps=stamps_of(policy))
    try:
        report.warnings = _compile(policy, entries, out, force)
    except ConfigError as error:
        faults = [_cut(fault) for fault in error.faults[:MOST]]
        report.faults = (*faults, *_rest(len(error.faults)))
    except (StoreError, OSError) as error:
        report.faults = (Fault("", 0, 0, "", str(error)),)
    return report


def _compile(policy: Path, entries: Path | None, out: Path, force: bool) -> tuple[str, ...]:
    rev, managed = _managed(entries) if entries else (0, [])
    loaded = load(policy, managed=managed, managed_seq=rev, force=force)
    generation = Generation(
        policy=loaded.policy, written=loaded.counts, totals=loaded.policy.index.counts()
    )
    save_generation(generation, out)
    wrong = self_test(open_generation(out).policy, loaded.policy.index)
    if faults := [Fault(policy.name, 0, 0, "", f"self-test: {text}") for text in wrong]:
        raise ConfigError(faults)
    warnings = (str(_cut(fault)) for fault in loaded.warnings[:MOST])
    return (*warnings, *map(str, _rest(len(loaded.warnings))))


def _cut(fault: Fault) -> Fault:
    return replace(fault, key=_short(fault.key), message=_short(fault.message))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _rest(count: int) -> tuple[Fault, ...]:
    more = f"and {count - MOST:,} more"
    return (Fault("", 0, 0, "", more),) if count > MOST else ()


def _managed(path: Path) -> tuple[int, list[Entry]]:
    store = EntryStore(path)
    try:
        return store.read()
    finally:
        store.close()


def main(arguments: Sequence[str]) -> int:
    policy, entries, out = map(Path, arguments[:3])
    with suppress(OSError):
        os.nice(NICENESS)
    options = arguments[3:]
    known = None if "--without-managed" in options else entries
    report = compile_policy(policy, known, out, force="--force" in options)
    (out / REPORT).write_bytes(msgspec.json.encode(report))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
