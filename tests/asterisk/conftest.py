"""One Asterisk and one gateway for all tests here; what a test breaks, it has for itself."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.attempts.model import Attempt
from gateway.pbx.asterisk import CAUSES
from tests.asterisk.callee import Callee, Invite
from tests.asterisk.gateway import START, Gateway
from tests.asterisk.pbx import SECRET, Pbx, Programs, Unavailable, set_up
from tests.asterisk.sip import Caller, Outcome

SUITE = os.environ.get("CALLGATE_ASTERISK_SUITE", "")
"""Another Debian suite to take Asterisk from; ``bullseye`` has 16."""
EXACT = SUITE != "bullseye"
"""Whether this Asterisk has PJSIPHangup, which sends any status."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.asterisk)


@pytest.fixture(scope="session")
def programs() -> Programs:
    try:
        return set_up(SUITE)
    except Unavailable as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Asterisk to test with: {missing}")
        pytest.skip(f"no Asterisk to test with: {missing}")


@pytest.fixture(scope="session")
def callee() -> Iterator[Callee]:
    callee = Callee()
    yield callee
    callee.close()


@pytest.fixture(scope="session")
def pbx(
    programs: Programs, callee: Callee, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pbx]:
    pbx = Pbx(programs, tmp_path_factory.mktemp("asterisk"), callee.port)
    pbx.start()
    yield pbx
    pbx.stop()


@pytest.fixture(scope="session")
def caller(programs: Programs, pbx: Pbx, tmp_path_factory: pytest.TempPathFactory) -> Caller:
    return Caller(programs, pbx, tmp_path_factory.mktemp("calls"))


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture
def gateway(shared_gateway: Gateway, pbx: Pbx) -> Gateway:
    """The gateway that all share, asked by Asterisk."""
    pbx.ask(shared_gateway.address)
    shared_gateway.forget()
    return shared_gateway


@pytest.fixture
def own_gateway(tmp_path: Path, pbx: Pbx) -> Iterator[Callable[..., Gateway]]:
    """Starts a gateway of the test's own; its policy is a file of config/gateway."""
    started: list[Gateway] = []

    def start(policy: str = "policy.yaml") -> Gateway:
        gateway = Gateway(tmp_path / "gateway", policy)
        gateway.start()
        started.append(gateway)
        pbx.ask(gateway.address)
        return gateway

    yield start
    for gateway in started:
        gateway.stop()


GUARDS = """
guards:
  asterisk: {{connect: "127.0.0.1:{port}", secret: {secret}, audit: 500ms, deadline: 10s}}
"""
LISTS = "lists:\n  dropping: {action: block, drop_active: true, may_be_empty: true}\n"


@pytest.fixture
def guarded(tmp_path: Path, pbx: Pbx) -> Iterator[Gateway]:
    """A gateway whose guard has its link to Asterisk."""
    gateway = Gateway(tmp_path / "gateway")
    with gateway.config.open("a") as config:
        config.write(GUARDS.format(port=pbx.manager_port, secret=SECRET))
    gateway.policy.write_text(gateway.policy.read_text().replace("lists:\n", LISTS, 1))
    gateway.start()
    pbx.ask(gateway.address)
    deadline = time.monotonic() + START
    while not json.loads(gateway.run("status", "--json"))["guards"]["ami"]:
        assert time.monotonic() < deadline, gateway.output
        time.sleep(0.05)
    yield gateway
    pbx.command("channel request hangup all")
    pbx.wait_until_gone("PJSIP/")
    gateway.stop()


NO_ATTEMPT = Attempt(id="", at=0.0, direction="", verdict="", reason="", revision="")


@pytest.fixture
def impatient(pbx: Pbx) -> Iterator[None]:
    """A deadline that is worth waiting for."""
    pbx.set_global("CALLGATE_DEADLINE_MS", "500")
    yield
    pbx.set_global("CALLGATE_DEADLINE_MS", "10000")


@dataclass
class Placed:
    """One call: what it got on the wire, and the INVITEs that the callee saw meanwhile."""

    outcome: Outcome
    invites: list[Invite]
    attempt: Attempt = NO_ATTEMPT

    @property
    def reached(self) -> list[str]:
        return [invite.number for invite in self.invites]


Place = Callable[..., Placed]


@pytest.fixture
def place(caller: Caller, callee: Callee) -> Place:
    """Places a call (see ``Caller.call``), whoever is asked about it."""

    def place(*call: str, **options: str) -> Placed:
        before = len(callee.invites)
        outcome = caller.call(*call, **options)
        return Placed(outcome, callee.invites[before:])

    return place


@pytest.fixture
def screen(place: Place, gateway: Gateway) -> Place:
    """Places a call that the shared gateway decides; wire and attempt must agree."""

    def screen(*call: str, **options: str) -> Placed:
        placed = place(*call, **options)
        (placed.attempt,) = gateway.new_attempts(1)
        check_agreement(placed)
        return placed

    return screen


def check_agreement(placed: Placed) -> None:
    """What a call got is what its attempt says: rejected unanswered, or put through."""
    attempt, outcome = placed.attempt, placed.outcome
    if attempt.verdict == "block":
        assert outcome.final == on_the_wire(attempt.response), placed
        assert outcome.provisional <= {100}, placed
        assert placed.reached == [], placed
    else:
        assert outcome.answered, placed
        assert len(placed.reached) == 1, placed


def on_the_wire(response: int) -> int:
    """The status that this Asterisk can send for a response: without PJSIPHangup, few are exact."""
    return response if EXACT or response in CAUSES else 603
