"""The one table of verdicts through ``callgate check``."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests.support.policies import NOON
from tests.support.verdicts import POLICY, Row, rows


@pytest.mark.parametrize("row", rows(), ids=str)
def test_the_command_line_gives_the_verdict_of_the_table(row: Row) -> None:
    options = {
        "direction": row.direction,
        "caller": row.caller,
        "callee": row.callee,
        "trunk": row.trunk,
        "campaign": row.campaign,
        "presentation": row.presentation or "allowed",
        "at": datetime.fromtimestamp(NOON, UTC).isoformat(),
        "policy": str(POLICY),
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    result = CliRunner().invoke(main, ["check", "--json", *arguments])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    found = (said["verdict"], said["reason"], said["list"], said["entry"], said["response"])
    assert found == (row.verdict, row.reason, row.list, row.entry, int(row.response))
    assert (said["shadow"] or {}).get("verdict", "") == row.shadow
