"""mod_xml_curl: a real FreeSWITCH asks over HTTP before it looks into its own dialplan.

Its contexts ``public`` and ``default`` are outage branches; allowed calls go on in ``screened``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template

import pytest

from gateway.attempts.model import Delivery
from tests.asterisk.callee import Callee
from tests.asterisk.pbx import Programs
from tests.asterisk.sip import Caller
from tests.asterisk.standin import StandIn, closing, garbage, silent
from tests.freeswitch.conftest import SOURCE, Placed, check_agreement
from tests.freeswitch.pbx import HERE, FreeSwitch
from tests.support.http import HttpGateway

CONFIG = HERE / "config/xml_curl/freeswitch.xml"
DID = "+33140000000"


class Asking(FreeSwitch):
    """A FreeSWITCH whose lookups ask ``url``, for ``timeout`` seconds at most."""

    def __init__(
        self, program: str, directory: Path, callee: Callee, url: str, token: str, timeout: int
    ) -> None:
        super().__init__(program, directory, callee.port, gateway_port=9)
        self._values |= {"url": url, "token": token, "timeout": timeout}

    def _install(self) -> None:
        text = Template(CONFIG.read_text()).substitute(self._values)
        (self._directory / "conf/freeswitch.xml").write_text(text)

    def start(self) -> None:
        super().start()
        if self.api("module_exists mod_xml_curl") != "true":
            self.stop()
            pytest.skip("this FreeSWITCH was built without mod_xml_curl")


@pytest.fixture(scope="module")
def web_gateway(
    freeswitch_program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HttpGateway]:
    assert freeswitch_program
    gateway = HttpGateway(tmp_path_factory.mktemp("gateway"), source=SOURCE)
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def asking(
    freeswitch_program: str,
    callee: Callee,
    web_gateway: HttpGateway,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Asking]:
    url, token = web_gateway.url, web_gateway.token
    pbx = Asking(
        freeswitch_program, tmp_path_factory.mktemp("asking"), callee, url, token, timeout=10
    )
    pbx.start()
    yield pbx
    pbx.stop()


def placing(programs: Programs, pbx: FreeSwitch, directory: Path, callee: Callee) -> Place:
    caller = Caller(programs, pbx, directory)

    def place(*call: str, **options: str) -> Placed:
        before = len(callee.invites)
        outcome = caller.call(*call, **options)
        return Placed(outcome, callee.invites[before:])

    return place


Place = Callable[..., Placed]


@pytest.fixture
def screen(
    programs: Programs, asking: Asking, web_gateway: HttpGateway, callee: Callee, tmp_path: Path
) -> Place:
    place = placing(programs, asking, tmp_path, callee)

    def screen(*call: str, **options: str) -> Placed:
        placed = place(*call, **options)
        (placed.attempt,) = web_gateway.new_attempts(1)
        assert (placed.attempt.frontend, placed.attempt.pbx) == ("http", "freeswitch")
        check_agreement(placed)
        return placed

    return screen


def test_a_blocked_caller_is_rejected_unanswered(screen: Place) -> None:
    placed = screen("carrier", DID, "+33612999001")
    assert placed.outcome.statuses == [100, 603]
    assert (placed.attempt.list, placed.attempt.trunk) == ("nuisance", "carrier")
    assert placed.attempt.delivery == Delivery.SENT


def test_a_list_has_a_response_of_its_own(screen: Place) -> None:
    assert screen("carrier", DID, "+33163000000").outcome.final == 607


def test_an_answer_for_analytics_says_where_to_complain(screen: Place) -> None:
    outcome = screen("carrier", DID, "+33274000000").outcome
    assert (outcome.final, outcome.phrase) == (603, "Network Blocked")
    assert outcome.reason.startswith("SIP;cause=603")


def test_an_allowed_call_goes_on_once_and_knows_its_verdict(screen: Place, asking: Asking) -> None:
    since = len(asking.log)
    assert screen("carrier", DID, "+33612000001").reached == [DID]
    asking.wait_for_log("log(NOTICE SEEN allow|default||)", since)
    assert asking.log[since:].count("log(NOTICE SEEN allow") == 1


def test_a_call_going_out_is_marked_with_whom_it_is_for(screen: Place, asking: Asking) -> None:
    since = len(asking.log)
    placed = screen("phone", "0612000001")
    assert placed.attempt.direction == "outbound"
    asking.wait_for_log("log(NOTICE SEEN allow|default|+33612000001|)", since)


def test_a_blocked_callee_is_not_called(screen: Place) -> None:
    assert screen("phone", "0612999002").outcome.statuses == [100, 403]


def test_a_number_with_a_line_end_in_it_is_hostile(screen: Place) -> None:
    placed = screen("carrier", DID, uri="sip:%2B336%0A12@127.0.0.11")
    assert (placed.attempt.reason, placed.outcome.final) == ("hostile", 403)


# The last one that asks this gateway: it lets everybody in for a while after it.
def test_an_emergency_call_gets_through(screen: Place) -> None:
    assert screen("phone", "112").attempt.reason == "emergency"


class Moody:
    """A stand-in whose behaviour can be changed."""

    def __init__(self) -> None:
        self.server = StandIn(lambda peer: self.behaviour(peer))
        self.behaviour = silent


@pytest.fixture(scope="module")
def moody() -> Iterator[Moody]:
    moody = Moody()
    with moody.server:
        yield moody


@pytest.fixture(scope="module")
def doubting(
    freeswitch_program: str,
    callee: Callee,
    moody: Moody,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Asking]:
    url = f"http://{moody.server.address}"
    directory = tmp_path_factory.mktemp("doubting")
    pbx = Asking(freeswitch_program, directory, callee, url, "unused", timeout=1)
    pbx.start()
    yield pbx
    pbx.stop()


def check_outage(place: Place) -> None:
    """Calls that the policy would treat the other way round than the outage branch does."""
    assert place("carrier", DID, "+33612999001").reached == [DID]
    outbound = place("phone", "0612000001")
    assert (outbound.outcome.statuses, outbound.reached) == ([100, 403], [])
    assert place("phone", "112").reached == ["112"]


@pytest.mark.parametrize("behaviour", [silent, closing, garbage])
def test_no_verdict_is_the_outage_branch(
    programs: Programs,
    doubting: Asking,
    moody: Moody,
    callee: Callee,
    tmp_path: Path,
    behaviour: Callable[..., None],
) -> None:
    moody.behaviour = behaviour
    check_outage(placing(programs, doubting, tmp_path, callee))
    doubting.wait_until_idle()
