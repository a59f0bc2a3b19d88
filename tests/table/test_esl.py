"""The one table of verdicts over FreeSWITCH's outbound socket, on a real socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.frontends.esl_outbound import EslOutbound
from gateway.policy.model import Policy
from tests.fakes.freeswitch import channel_data, esl_call
from tests.support.table import check, journaled, listening
from tests.support.verdicts import Row, rows


@pytest.mark.parametrize("row", rows(), ids=str)
async def test_freeswitch_is_told_the_verdict_of_the_table(
    row: Row, policy: Policy, tmp_path: Path
) -> None:
    data = channel_data(
        "normal",
        headers={
            "Caller-Caller-ID-Number": row.caller,
            "Caller-Destination-Number": row.callee,
            "Caller-Privacy-Hide-Number": "true" if row.presentation == "restricted" else "false",
        },
        callgate_direction=row.direction,
        callgate_trunk=row.trunk,
        callgate_campaign=row.campaign,
    )
    async with listening(EslOutbound, policy, tmp_path) as server:
        channel = await esl_call(*server.address, data=data)
    assert channel.goes_on
    check(row, channel.variables, journaled(tmp_path))
