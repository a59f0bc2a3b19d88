"""The one table of verdicts through a lead list: labels and ``callgate scrub``."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.policy.model import Policy
from gateway.review.labels import Label, Labels
from gateway.review.scrub import scrub
from tests.support.policies import NOON
from tests.support.verdicts import POLICY, Row, rows

OUTBOUND = [row for row in rows() if row.direction == "outbound"]
NAMED = [row for row in OUTBOUND if "typo" not in (row.trunk, row.campaign)]


NO_NUMBER = {"0162000000<112>"}
"""Callees that nothing blocks, and that are no number either."""


def meant(row: Row) -> str:
    """The label that a verdict of the table has."""
    if row.callee in NO_NUMBER:
        assert (row.verdict, row.reason) == ("allow", "default")
        return Label.INVALID
    if row.verdict == "block":
        return Label.BLACKLISTED
    return Label.EXCEPTION if row.list else Label.CLEAR


def leads(*numbers: str) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("phone", "note"), *((number, "x") for number in numbers)])
    return out.getvalue()


@pytest.mark.parametrize("row", OUTBOUND, ids=str)
def test_a_label_agrees_with_the_verdict_of_the_table(row: Row, policy: Policy) -> None:
    labels = Labels(policy, row.campaign, NOON, trunk=row.trunk, caller=row.caller)
    found = labels.of(row.callee)
    assert found.label == meant(row)
    assert found.outbound.blocked == (row.verdict == "block")
    assert (found.list, found.entry) == (row.list, row.entry)
    assert found.reason == ("invalid" if row.callee in NO_NUMBER else row.reason)
    assert (found.would.blocked if found.would else False) == (row.shadow == "block")
    out: list[bytes] = []
    scrub(io.BytesIO(leads(row.callee).encode()), out.append, labels)
    _, (*_, label, name, entry, reason, _) = csv.reader(b"".join(out).decode().splitlines())
    assert (label, name, entry) == (meant(row), row.list, row.entry)
    assert reason.partition(":")[0] == found.reason


@pytest.mark.parametrize("row", NAMED, ids=str)
def test_scrub_agrees_with_the_verdict_of_the_table(row: Row, policy: Policy) -> None:
    campaign = row.campaign or policy.dids.get(row.caller.lstrip("+"), "")
    options = {
        "campaign": campaign,
        "trunk": row.trunk,
        "at": datetime.fromtimestamp(NOON, UTC).isoformat(),
        "policy": str(POLICY),
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    result = CliRunner().invoke(main, ["scrub", *arguments, "-"], input=leads(row.callee))
    assert result.exit_code == 0, result.output
    _, (number, _, label, name, entry, *_) = csv.reader(result.stdout.splitlines())
    assert (number, label, name, entry) == (row.callee, meant(row), row.list, row.entry)


def test_the_table_has_every_label() -> None:
    assert {meant(row) for row in OUTBOUND} == set(Label)
