"""The one table of verdicts through the decision itself."""

from __future__ import annotations

import pytest

from gateway.policy.decide import decide
from gateway.policy.explain import explain
from gateway.policy.model import Policy
from tests.support.verdicts import Row, rows


@pytest.mark.parametrize("row", rows(), ids=str)
def test_the_decision_gives_the_verdict_of_the_table(row: Row, policy: Policy) -> None:
    verdict = decide(row.call, policy)
    said = (verdict.action, verdict.reason, verdict.list, verdict.entry, str(verdict.response))
    assert said == (row.verdict, row.reason, row.list, row.entry, row.response)
    assert (verdict.shadow.action.value if verdict.shadow else "") == row.shadow
    assert explain(row.call, policy).verdict == verdict


def test_the_table_has_every_reason_that_a_policy_can_give() -> None:
    reasons = {row.reason for row in rows()}
    assert reasons >= {
        *("emergency", "binding", "list", "anonymous", "invalid", "type", "internal"),
        *("default", "config"),
    }
