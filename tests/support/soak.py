"""Long forms of a test: the same test with other seeds, run by ``make soak`` alone.

Rule: each part ends within the bound that every test has (tests/conftest.py), so the whole has one.
"""

from __future__ import annotations

from typing import Any

import pytest


def quick_and(parts: int) -> list[Any]:
    """Parameters for a seed: 0 in every run, 1 to ``parts`` under ``make soak``."""
    long = [pytest.param(n, id=f"soak-{n}", marks=pytest.mark.soak) for n in range(1, parts + 1)]
    return [pytest.param(0, id="quick"), *long]
