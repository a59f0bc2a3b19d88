"""The table of metrics, the code that counts and the documentation agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.metrics import METRICS, Metric

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "gateway" / "metrics.py"
CODE = "\n".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py") if path != TABLE)
DOCS = (ROOT / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_documented_with_its_type_labels_and_help(metric: Metric) -> None:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    assert f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |" in DOCS


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_counted_somewhere(metric: Metric) -> None:
    assert f'"{metric.name}"' in CODE


def test_every_metric_that_is_counted_or_documented_is_in_the_table() -> None:
    named = set(re.findall(r'"(callgate_[a-z_]+)"', CODE))
    named |= set(re.findall(r"`(callgate_[a-z_]+)`", DOCS))
    assert named <= {metric.name for metric in METRICS}
