"""The one table of verdicts over FastAGI, on a real socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.frontends.fastagi import FastAgi
from gateway.pbx.asterisk import screen_path
from gateway.policy.model import Policy
from tests.fakes.asterisk import agi_call
from tests.support.table import check, journaled, listening
from tests.support.verdicts import Row, rows

PRESENTATIONS = {"": "allowed", "restricted": "prohib", "unavailable": "unavailable"}


@pytest.mark.parametrize("row", rows(), ids=str)
async def test_asterisk_is_told_the_verdict_of_the_table(
    row: Row, policy: Policy, tmp_path: Path
) -> None:
    presentation = PRESENTATIONS[row.presentation]
    path = screen_path(row.direction, row.trunk, row.campaign, row.caller, row.callee, presentation)
    async with listening(FastAgi, policy, tmp_path) as server:
        told, _ = await agi_call(*server.address, path)
    check(row, told, journaled(tmp_path))
