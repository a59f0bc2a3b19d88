"""One FreeSWITCH and one gateway for all tests here; what a test breaks, it has for itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.attempts.model import Attempt
from tests.asterisk.callee import Callee, Invite
from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import Programs, Unavailable, set_up
from tests.asterisk.sip import Caller, Outcome
from tests.freeswitch.pbx import UNHURRIED, VARIABLE, FreeSwitch

HERE = Path(__file__).parent
SOURCE = HERE / "config/gateway"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.freeswitch)


@pytest.fixture(scope="session")
def freeswitch_program() -> str:
    program = os.environ.get(VARIABLE, "")
    if not program:
        pytest.skip(f"no FreeSWITCH to test with: {VARIABLE} names none")
    return program


@pytest.fixture(scope="session")
def programs(freeswitch_program: str) -> Programs:
    """sipp, which the tests of Asterisk set up."""
    assert freeswitch_program
    try:
        return set_up()
    except Unavailable as missing:
        pytest.skip(f"no sipp to test with: {missing}")


@pytest.fixture(scope="session")
def callee() -> Iterator[Callee]:
    callee = Callee()
    yield callee
    callee.close()


@pytest.fixture(scope="session")
def shared_gateway(
    freeswitch_program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    assert freeswitch_program
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), source=SOURCE)
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture(scope="session")
def freeswitch(
    freeswitch_program: str,
    programs: Programs,
    callee: Callee,
    shared_gateway: Gateway,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[FreeSwitch]:
    assert programs
    directory = tmp_path_factory.mktemp("freeswitch")
    pbx = FreeSwitch(freeswitch_program, directory, callee.port, shared_gateway.port)
    pbx.start()
    yield pbx
    pbx.stop()


@pytest.fixture
def pbx(freeswitch: FreeSwitch) -> Iterator[FreeSwitch]:
    """FreeSWITCH, which must have no channel left when the test is over."""
    yield freeswitch
    freeswitch.set_global("callgate_deadline", UNHURRIED)
    freeswitch.wait_until_idle()


@pytest.fixture(scope="session")
def caller(
    programs: Programs, freeswitch: FreeSwitch, tmp_path_factory: pytest.TempPathFactory
) -> Caller:
    return Caller(programs, freeswitch, tmp_path_factory.mktemp("calls"))


@pytest.fixture
def gateway(shared_gateway: Gateway, pbx: FreeSwitch) -> Gateway:
    """The gateway that all share, asked by FreeSWITCH."""
    pbx.ask(shared_gateway.address)
    return shared_gateway


@pytest.fixture
def own_gateway(tmp_path: Path, pbx: FreeSwitch) -> Iterator[Callable[..., Gateway]]:
    """Starts a gateway of the test's own; its policy is a file of config/gateway."""
    started: list[Gateway] = []

    def start(policy: str = "policy.yaml") -> Gateway:
        gateway = Gateway(tmp_path / "gateway", policy, source=SOURCE)
        gateway.start()
        started.append(gateway)
        pbx.ask(gateway.address)
        return gateway

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture
def hurried(pbx: FreeSwitch) -> None:
    """Calls wait for a verdict as long as they do out of the box."""
    pbx.set_global("callgate_deadline", 2)


NO_ATTEMPT = Attempt(id="", at=0.0, direction="", verdict="", reason="", revision="")


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
def place(caller: Caller, callee: Callee, pbx: FreeSwitch) -> Place:
    """Places a call (see ``Caller.call``), whoever is asked about it."""
    assert pbx

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
        assert outcome.final == attempt.response, placed
        assert outcome.provisional <= {100}, placed
        assert placed.reached == [], placed
    else:
        assert outcome.answered, placed
        assert len(placed.reached) == 1, placed
