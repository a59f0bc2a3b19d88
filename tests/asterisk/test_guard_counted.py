"""The guard on a real Asterisk finds the legs of the time before it had its link."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.asterisk.callee import Callee
from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import PATIENCE, SECRET, Pbx

BLOCKED = "0612999002"
GUARDS = """
guards:
  asterisk: {{connect: "127.0.0.1:{port}", secret: {secret}, deadline: 10s}}
"""


@pytest.fixture
def unstarted(tmp_path: Path, pbx: Pbx) -> Iterator[Gateway]:
    """A gateway with a guard, for the test to start."""
    gateway = Gateway(tmp_path / "gateway")
    with gateway.config.open("a") as config:
        config.write(GUARDS.format(port=pbx.manager_port, secret=SECRET))
    yield gateway
    pbx.command("channel request hangup all")
    pbx.wait_until_gone("PJSIP/")
    gateway.stop()


def wait_until_up(pbx: Pbx, count: int) -> None:
    """Until so many legs to the trunk are up."""
    deadline = time.monotonic() + PATIENCE
    while True:
        shown = pbx.command("core show channels concise").splitlines()
        if sum(line.startswith("PJSIP/carrier") and "!Up!" in line for line in shown) == count:
            return
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)


def test_legs_that_are_older_than_the_link_are_decided(
    unstarted: Gateway, pbx: Pbx, callee: Callee
) -> None:
    """One that was originated, which only its To tells, and one that Dial made."""
    before = len(callee.invites)
    for channel in (f"PJSIP/{BLOCKED}@carrier", "Local/unasked@bench"):
        pbx.command(f"channel originate {channel} application Wait 600")
    wait_until_up(pbx, 2)
    assert len(callee.invites) == before + 2
    unstarted.start()
    attempts = {attempt.callee: attempt for attempt in unstarted.new_attempts(2)}
    assert {attempt.frontend for attempt in attempts.values()} == {"ami"}
    found = {callee: (attempt.verdict, attempt.delivery) for callee, attempt in attempts.items()}
    assert found == {BLOCKED: ("block", "confirmed"), "0612000009": ("allow", "reported")}
    wait_until_up(pbx, 1)


def test_of_calls_that_are_older_than_the_link_those_that_were_asked_about_are_left_alone(
    unstarted: Gateway, gateway: Gateway, pbx: Pbx
) -> None:
    pbx.command("channel originate Local/0612000003@from-internal application Wait 600")
    gateway.new_attempts(1)
    pbx.command(f"channel originate PJSIP/{BLOCKED}@carrier application Wait 600")
    wait_until_up(pbx, 2)
    unstarted.start()
    (attempt,) = unstarted.new_attempts(1)
    assert attempt.callee == BLOCKED
    wait_until_up(pbx, 1)
