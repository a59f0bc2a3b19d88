"""Parked calls while no guard is there: ``park_timeout`` is their outage branch."""

from __future__ import annotations

from tests.asterisk.gateway import Gateway
from tests.freeswitch.conftest import Place


def test_a_parked_call_that_nobody_takes_is_rejected_when_its_time_is_up(
    place: Place, gateway: Gateway
) -> None:
    placed = place("carrier", "abandoned0612000001")
    assert placed.outcome.statuses == [100, 603]
    assert placed.reached == []
    gateway.new_attempts(0)
