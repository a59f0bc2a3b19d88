"""How many processes answer calls: a count, or one for each CPU."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from gateway.yamlmodel import from_text, parse_count

MOST_WORKERS = 64


def _parse(text: str) -> int:
    if text == "auto":
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return parse_count(text)


def _check(count: int) -> int:
    if not 1 <= count <= MOST_WORKERS:
        raise ValueError(f"must lie between 1 and {MOST_WORKERS}, or be auto")
    return count


_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": MOST_WORKERS},
        {"type": "string", "enum": ["auto"]},
    ]
}
Workers = Annotated[int, from_text(_parse), AfterValidator(_check), WithJsonSchema(_SCHEMA)]
