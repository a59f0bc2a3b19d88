"""A compiled policy as a directory: ``policy.json`` and the index that processes map.

One process compiles and writes it, others open it; the last good one is kept this way. It is JSON,
not pickle: what a state directory holds is data and never runs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from gateway.calls import Call, Direction
from gateway.errors import BadEntry, Fault, StoreError
from gateway.files import sync_directory
from gateway.numbers import NumberPlan, emergency_numbers
from gateway.policy.decide import decide
from gateway.policy.index import Index
from gateway.policy.model import Policy, Reason
from gateway.policy.stamps import Stamp

FORMAT = 2
SAMPLE = 500
"""How many entries the self-test looks up."""

REPORT = "report.json"
REPORT_BYTES = 4 * 2**20
"""Of a report, at most: more is no report of ours, and is not read."""
_FACTS, _INDEX = "policy.json", "index"
_PLANS = frozenset({"plan", "trunks"})
_PLAN_KEYS = (
    *("region", "format", "international_prefixes", "strip", "extensions", "emergency_region"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A compiled policy and what its compiler knew about it.

    ``written`` counts the entries of each list that people wrote, ``totals`` the managed ones
    too. The last managed change that is compiled in stands in the policy's revision.
    """

    policy: Policy
    written: Mapping[str, int]
    totals: Mapping[str, int]


class Report(msgspec.Struct, kw_only=True):
    """What a compilation found, as ``report.json`` beside the generation.

    ``stamps`` are of the files as they were before they were read.
    """

    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
    stamps: tuple[Stamp, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    policy: dict[str, Any]
    plans: list[dict[str, Any]]
    written: dict[str, int]
    totals: dict[str, int]
    index_sha256: str


def save_generation(generation: Generation, directory: Path) -> None:
    """Write it to an existing, empty directory; on the disk when this returns."""
    policy = generation.policy
    policy.index.save(directory / _INDEX)
    names = [name for name in _hints() if name not in _PLANS]
    plans = {id(plan): plan for plan in (policy.plan, *policy.trunks.values())}
    places = {key: place for place, key in enumerate(plans)}
    values = {name: getattr(policy, name) for name in names}
    values["plan"] = places[id(policy.plan)]
    values["trunks"] = {name: places[id(plan)] for name, plan in policy.trunks.items()}
    file = _File(
        format=FORMAT,
        policy=values,
        plans=[{key: getattr(plan, key) for key in _PLAN_KEYS} for plan in plans.values()],
        written=dict(generation.written),
        totals=dict(generation.totals),
        index_sha256=_digest(directory / _INDEX),
    )
    with (directory / _FACTS).open("wb") as out:
        out.write(msgspec.json.encode(file))
        out.flush()
        os.fsync(out.fileno())
    sync_directory(directory)


def open_generation(directory: Path, *, verify: bool = False) -> Generation:
    """Map a generation. StoreError when it is missing, torn, or of another version.

    ``verify`` reads the whole index once to compare its hash: for one that lay on the disk.
    """
    try:
        file = msgspec.json.decode((directory / _FACTS).read_bytes(), type=_File)
        if file.format != FORMAT:
            raise StoreError(f"{directory}: written by another version of this program")
        if verify and _digest(directory / _INDEX) != file.index_sha256:
            raise StoreError(f"{directory}: its index is damaged")
        return Generation(
            policy=_policy(file, directory / _INDEX),
            written=file.written,
            totals=file.totals,
        )
    except (OSError, msgspec.MsgspecError, BadEntry, LookupError, TypeError) as error:
        raise StoreError(f"{directory}: no usable compiled policy: {error}") from error


def _policy(file: _File, index: Path) -> Policy:
    plans = [NumberPlan.build(**options) for options in file.plans]
    values = {
        name: msgspec.convert(file.policy[name], hint)
        for name, hint in _hints().items()
        if name not in _PLANS
    }
    trunks = {name: plans[place] for name, place in file.policy["trunks"].items()}
    plan = plans[file.policy["plan"]]
    opened = Index.open(index, values["lists"])
    return Policy(plan=plan, trunks=trunks, index=opened, **values)


def _hints() -> dict[str, Any]:
    """What a policy is made from, without the index: a field added to Policy is kept by itself."""
    hints = get_type_hints(Policy, localns={"Index": Index})
    return {
        item.name: hints[item.name] for item in fields(Policy) if item.init and item.name != "index"
    }


def self_test(opened: Policy, compiled: Index) -> Iterator[str]:
    """What is wrong with a generation that was opened again, in words; nothing when it is sound."""
    yield from _emergencies(opened)
    yield from _entries(opened.index, compiled)


def _emergencies(policy: Policy) -> Iterator[str]:
    """Every emergency number must be let out of every trunk, whatever the lists say."""
    for trunk, plan in {"": policy.plan, **policy.trunks}.items():
        for number in emergency_numbers(plan.emergency_region, policy.emergency.extra):
            call = Call(direction=Direction.OUTBOUND, caller="", callee=number, at=0.0, trunk=trunk)
            verdict = decide(call, policy)
            if verdict.blocked or verdict.reason is not Reason.EMERGENCY:
                yield f"emergency number {number} would not be let out of trunk {trunk or '-'}"


def _entries(opened: Index, compiled: Index) -> Iterator[str]:
    """A sample of entries, spread over the table, is found under its own digits."""
    size = len(compiled)
    if len(opened) != size:
        yield f"{size} entries were compiled, {len(opened)} are there"
        return
    for row in range(0, size, max(1, size // SAMPLE)):
        entry = compiled.entry(row)
        rows = {hit.row for hit in opened.matches(entry.digits, entry.kind.short)}
        if opened.entry(row) != entry or row not in rows:
            yield f"entry {entry.text} of {entry.list} does not answer as compiled"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
