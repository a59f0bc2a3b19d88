"""What is wrong with a gateway, out of its status: the one list for all who tell people of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARTS = ("policy", "workers", "calls", "journal", "ingester", "http")
"""Parts of the status that say as ``degraded`` what is wrong with them, the gravest first."""


def troubles(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each part that has trouble, and what it says; empty when all is well."""
    told = ((part, str((status.get(part) or {}).get("degraded") or "")) for part in PARTS)
    return [(part, text) for part, text in told if text]
