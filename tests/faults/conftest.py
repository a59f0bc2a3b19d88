"""The longest of the long forms begin first: none still runs when all others are done.

``pytest.mark.soak(minutes=31)`` says that one takes more than a few minutes. A worker of xdist
always has one more test in hand, so after the longest comes one of the short.
"""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=minutes, reverse=True)
    if items and minutes(items[0]):
        items.insert(1, items.pop())


def minutes(item: pytest.Item) -> float:
    mark = item.get_closest_marker("soak")
    return float(mark.kwargs.get("minutes", 0)) if mark else 0.0
