"""The number plans of a policy: numbering's own, and one for each trunk.

A trunk takes from numbering what it leaves out; the international prefixes only if it names no
region of its own, for they are a region's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import BadEntry
from gateway.numbers import NumberPlan
from gateway.policy.assembly import Assembly
from gateway.policy.document import TrunkDocument
from gateway.yamlfile import KeyPath

_PLAN_KEYS = ("format", "international_prefixes", "strip", "extensions")


def make_plans(made: Assembly) -> None:
    """Fill in ``plan`` and ``trunks``; bad items are faults of the assembly."""
    numbering = made.policy.numbering
    path: KeyPath = ("numbering",)
    made.plan = _plan(made, path, numbering, _plan_keys(numbering))
    for name, trunk in numbering.trunks.items():
        inherited = _plan_keys(numbering) | _plan_keys(trunk)
        if trunk.region and trunk.international_prefixes is None:
            inherited.pop("international_prefixes", None)
        made.trunks[name] = _plan(made, (*path, "trunks", name), trunk, inherited)


def _plan_keys(document: TrunkDocument) -> dict[str, Any]:
    """What is written of a plan."""
    return document.model_dump(mode="json", include={"region", *_PLAN_KEYS}, exclude_none=True)


def _plan(
    made: Assembly, path: KeyPath, document: TrunkDocument, keys: Mapping[str, Any]
) -> NumberPlan:
    region = keys.get("region")
    faulty = {key for key in _PLAN_KEYS if key in keys and not _usable(region, key, keys[key])}
    for key in sorted(faulty):
        if getattr(document, key) is not None:
            _plan_fault(made, (*path, key), region, key, keys[key])
    rest = {key: value for key, value in keys.items() if key not in faulty}
    return NumberPlan.build(**rest, emergency_region=region)


def _usable(region: str | None, key: str, value: Any) -> bool:
    keys: dict[str, Any] = {key: value}
    try:
        NumberPlan.build(region=region, **keys)
    except BadEntry:
        return False
    return True


def _plan_fault(made: Assembly, path: KeyPath, region: str | None, key: str, value: Any) -> None:
    """Say which item of the key it is, if it is one."""
    items = list(enumerate(value)) if isinstance(value, list) else []
    parts = [((*path, number), [item]) for number, item in items] or [(path, value)]
    for where, part in parts:
        keys: dict[str, Any] = {key: part}
        try:
            NumberPlan.build(region=region, **keys)
        except BadEntry as error:
            made.fault(where, str(error))
