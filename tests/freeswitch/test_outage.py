"""No verdict: the outage branch of the direction, whatever ails the gateway, and never a wait.

When a test is over FreeSWITCH has no channel left (fixture ``pbx``): none was parked for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import free_port
from tests.asterisk.sip import Caller
from tests.asterisk.standin import Behaviour, StandIn
from tests.freeswitch.conftest import Place, Placed
from tests.freeswitch.pbx import FreeSwitch
from tests.freeswitch.standin import (
    answering,
    bogus,
    closing,
    closing_at_once,
    garbage,
    half_an_answer,
    mute,
    resetting,
    silent,
)

pytestmark = pytest.mark.usefixtures("hurried")

OwnGateway = Callable[..., Gateway]
DID = "+33140000000"
DIRECTIONS = ["inbound", "outbound"]
ILL = [
    closing_at_once,
    mute,
    silent,
    closing,
    resetting,
    garbage,
    half_an_answer,
    bogus,
]


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
def notices(pbx: FreeSwitch) -> Callable[[], str]:
    since = len(pbx.log)
    # As it stands in the log, and not the execution of the application that writes it.
    return lambda: pbx.wait_for_log(re.compile(r"\[WARNING\] \S+ Callgate gave no verdict"), since)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_gateway_that_is_down(
    place: Place, pbx: FreeSwitch, notices: Callable[[], str], direction: str
) -> None:
    pbx.ask(f"127.0.0.1:{free_port()}")
    check_branch(call(place, direction), direction)
    assert direction in notices()


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("behaviour", ILL)
def test_a_gateway_that_is_ill(
    place: Place,
    pbx: FreeSwitch,
    notices: Callable[[], str],
    behaviour: Behaviour,
    direction: str,
) -> None:
    with StandIn(behaviour) as gateway:
        pbx.ask(gateway.address)
        check_branch(call(place, direction), direction)
        assert direction in notices()


def test_calls_in_numbers_go_on_when_the_gateway_leaves_early(
    caller: Caller, pbx: FreeSwitch
) -> None:
    senders = [f"+336120{index:05}" for index in range(60)]
    with StandIn(closing) as gateway:
        pbx.ask(gateway.address)
        outcomes = caller.calls("carrier", DID, senders, rate=30)
    assert {outcome.final for outcome in outcomes.values()} == {200}
    assert len(outcomes) == len(senders)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_gateway_that_is_stopped_does_not_hold_the_call(
    place: Place, own_gateway: OwnGateway, notices: Callable[[], str], direction: str
) -> None:
    gateway = own_gateway()
    gateway.freeze()
    check_branch(call(place, direction), direction)
    assert direction in notices()
    gateway.thaw()
    # It never asked for the channel, so it knows nothing of this call; it decides the next one.
    assert place("carrier", DID, "+33612999001").outcome.final == 603
    gateway.new_attempts(1)


def test_a_gateway_that_wakes_up_does_not_touch_the_call_that_went_on_without_it(
    place: Place, own_gateway: OwnGateway, pbx: FreeSwitch
) -> None:
    gateway = own_gateway()
    gateway.freeze()
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(place, "carrier", DID, "+33612999001", scenario="held")
        try:
            pbx.wait_for_channels(2, "ACTIVE")
            gateway.thaw()
            (attempt,) = gateway.new_attempts(1)
            assert (attempt.list, attempt.delivery) == ("nuisance", "lost")
            # By the time that it has decided another call it has let go of this one.
            assert place("carrier", DID, "+33612999001").outcome.final == 603
            gateway.new_attempts(1)
            pbx.wait_for_channels(2, "ACTIVE")
            assert not any("CS_RESET" in line for line in pbx.channels)
        finally:
            pbx.api("hupall")
        assert held.result().outcome.answered


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_gateway_that_is_killed_while_it_is_asked(
    place: Place, own_gateway: OwnGateway, pbx: FreeSwitch, direction: str
) -> None:
    gateway = own_gateway()
    gateway.freeze()
    since = len(pbx.log)

    def kill_when_asked() -> None:
        pbx.wait_for_log(f"socket({gateway.address} async)", since)
        gateway.kill()

    with ThreadPoolExecutor(1) as threads:
        killed = threads.submit(kill_when_asked)
        check_branch(call(place, direction), direction)
        killed.result()


@pytest.fixture
def turned_round(pbx: FreeSwitch) -> Iterator[None]:
    pbx.set_global("callgate_outage_inbound", "block")
    pbx.set_global("callgate_outage_outbound", "allow")
    yield
    pbx.set_global("callgate_outage_inbound", "allow")
    pbx.set_global("callgate_outage_outbound", "block")


@pytest.mark.usefixtures("turned_round")
@pytest.mark.parametrize("behaviour", [closing, silent])
def test_the_variables_say_which_branch(
    place: Place, pbx: FreeSwitch, behaviour: Behaviour
) -> None:
    with StandIn(behaviour) as gateway:
        pbx.ask(gateway.address)
        assert call(place, "inbound").outcome.statuses == [100, 603]
        assert call(place, "outbound").reached == ["0612000001"]


def test_a_number_that_would_choose_its_context_goes_nowhere(place: Place, pbx: FreeSwitch) -> None:
    with StandIn(silent) as gateway:
        pbx.ask(gateway.address)
        placed = place("carrier", "0612000001%20XML%20default")
    assert placed.outcome.final == 404
    assert placed.reached == []


def test_the_call_goes_on_once_in_its_own_dialplan(place: Place, pbx: FreeSwitch) -> None:
    since = len(pbx.log)
    with StandIn(answering({"CALLGATE_VERDICT": "allow"})) as gateway:
        pbx.ask(gateway.address)
        assert place("carrier", DID).reached == [DID]
    assert pbx.log[since:].count("Processing +33612000000 <+33612000000>->" + DID) == 1


def test_a_caller_who_hangs_up_meanwhile_leaves_no_channel_behind(
    place: Place, pbx: FreeSwitch
) -> None:
    with StandIn(silent) as gateway:
        pbx.ask(gateway.address)
        placed = place("carrier", DID, scenario="cancel")
        assert placed.outcome.statuses == [100, 487]
        assert placed.reached == []
        pbx.wait_until_idle()


def test_a_caller_who_hangs_up_before_the_gateway_asks_is_none_of_its_business(
    place: Place, own_gateway: OwnGateway
) -> None:
    gateway = own_gateway()
    gateway.freeze()
    placed = place("carrier", DID, "+33612999001", scenario="cancel")
    assert placed.outcome.final == 487
    gateway.thaw()
    gateway.new_attempts(0)
