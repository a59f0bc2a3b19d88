"""No verdict: the outage branch of the direction, whatever ails the gateway, and never a wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.asterisk.conftest import Place, Placed
from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import Pbx, free_port
from tests.asterisk.standin import (
    Behaviour,
    StandIn,
    bogus,
    closing,
    garbage,
    half_a_line,
    silent,
)

OwnGateway = Callable[..., Gateway]
DID = "+33140000000"
DIRECTIONS = ["inbound", "outbound"]


def call(place: Place, direction: str) -> Placed:
    """A call that the policy would treat the other way round than the outage branch does."""
    if direction == "inbound":
        return place("carrier", DID, "+33612999001")
    return place("phone", "0612000001")


def check_branch(placed: Placed, direction: str) -> None:
    if direction == "inbound":
        assert placed.reached == [DID]
    else:
        assert placed.outcome.statuses == [100, 403]
        assert placed.reached == []


@pytest.fixture
def notices(pbx: Pbx) -> Callable[[], str]:
    since = len(pbx.log)
    return lambda: pbx.wait_for_log("Callgate gave no verdict", since)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_gateway_that_is_down(
    place: Place, pbx: Pbx, notices: Callable[[], str], direction: str
) -> None:
    pbx.ask(f"127.0.0.1:{free_port()}")
    check_branch(call(place, direction), direction)
    assert 'AGISTATUS "FAILURE"' in notices()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("behaviour", [silent, closing, garbage, half_a_line, bogus])
def test_a_gateway_that_is_ill(
    place: Place, pbx: Pbx, notices: Callable[[], str], behaviour: Behaviour, direction: str
) -> None:
    with StandIn(behaviour) as gateway:
        pbx.ask(gateway.address)
        check_branch(call(place, direction), direction)
    assert direction in notices()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_gateway_that_is_stopped_does_not_hold_the_call(
    place: Place, own_gateway: OwnGateway, notices: Callable[[], str], direction: str
) -> None:
    gateway = own_gateway()
    gateway.freeze()
    check_branch(call(place, direction), direction)
    notices()
    gateway.thaw()
    # It reads late what it was asked, and says that nobody heard its answer.
    (attempt,) = gateway.new_attempts(1)
    assert attempt.delivery != "confirmed"


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_gateway_that_is_killed_while_it_is_asked(
    place: Place,
    own_gateway: OwnGateway,
    pbx: Pbx,
    notices: Callable[[], str],
    direction: str,
) -> None:
    gateway = own_gateway()
    gateway.freeze()
    since = len(pbx.log)

    def kill_when_asked() -> None:
        pbx.wait_for_log(f"agi://{gateway.address}/", since)
        gateway.kill()

    with ThreadPoolExecutor(1) as threads:
        killed = threads.submit(kill_when_asked)
        check_branch(call(place, direction), direction)
        killed.result()
    assert 'AGISTATUS "HANGUP"' not in notices(), "the deadline ended it, not the death"


@pytest.fixture
def turned_round(pbx: Pbx) -> Iterator[None]:
    pbx.set_global("CALLGATE_OUTAGE_INBOUND", "block")
    pbx.set_global("CALLGATE_OUTAGE_OUTBOUND", "allow")
    yield
    pbx.set_global("CALLGATE_OUTAGE_INBOUND", "allow")
    pbx.set_global("CALLGATE_OUTAGE_OUTBOUND", "block")


@pytest.mark.usefixtures("turned_round")
def test_the_globals_say_which_branch(place: Place, pbx: Pbx) -> None:
    pbx.ask(f"127.0.0.1:{free_port()}")
    assert call(place, "inbound").outcome.statuses == [100, 603]
    assert call(place, "outbound").reached == ["0612000001"]


def test_a_caller_who_hangs_up_meanwhile_leaves_no_channel_behind(place: Place, pbx: Pbx) -> None:
    with StandIn(silent) as gateway:
        pbx.ask(gateway.address)
        placed = place("carrier", DID, scenario="cancel")
        assert placed.outcome.statuses == [100, 487]
        assert placed.reached == []
        pbx.wait_until_gone("PJSIP/carrier")


def test_a_caller_who_hangs_up_meanwhile_is_an_attempt(
    place: Place, own_gateway: OwnGateway
) -> None:
    gateway = own_gateway()
    gateway.freeze()
    placed = place("carrier", DID, "+33612999001", scenario="cancel")
    assert placed.outcome.final == 487
    gateway.thaw()
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.verdict, attempt.list) == ("block", "nuisance")
    assert attempt.delivery != "confirmed"
