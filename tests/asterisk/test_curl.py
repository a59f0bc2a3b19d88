"""The shipped dialplan over HTTP: a real Asterisk asks with ``CURL()``, a real gateway answers.

FastAGI's address is that of nobody: a verdict can only have come over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.attempts.model import Delivery
from tests.asterisk.conftest import Place, Placed, check_agreement
from tests.asterisk.pbx import PATIENCE, Pbx, free_port
from tests.asterisk.standin import Behaviour, StandIn, closing, garbage, silent
from tests.support.http import HttpGateway

DID = "+33140000000"
PATH = "/v1/screen/asterisk"


@pytest.fixture(scope="module")
def web_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpGateway]:
    gateway = HttpGateway(tmp_path_factory.mktemp("gateway"))
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture
def over_http(pbx: Pbx, web_gateway: HttpGateway) -> Iterator[HttpGateway]:
    pbx.ask(f"127.0.0.1:{free_port()}")
    pbx.set_global("CALLGATE_HTTP", web_gateway.url + PATH)
    pbx.set_global("CALLGATE_TOKEN", web_gateway.token)
    yield web_gateway
    pbx.set_global("CALLGATE_HTTP", "")


@pytest.fixture
def screen(place: Place, over_http: HttpGateway) -> Place:
    def screen(*call: str, **options: str) -> Placed:
        placed = place(*call, **options)
        (placed.attempt,) = over_http.new_attempts(1)
        assert placed.attempt.frontend == "http"
        assert placed.attempt.pbx == "asterisk"
        check_agreement(placed)
        return placed

    return screen


def test_a_blocked_caller_is_rejected_unanswered(screen: Place) -> None:
    placed = screen("carrier", DID, "+33612999001")
    assert placed.outcome.statuses == [100, 603]
    assert (placed.attempt.list, placed.attempt.trunk) == ("nuisance", "carrier")
    assert placed.attempt.delivery == Delivery.SENT
    assert placed.attempt.channel_id


def test_an_allowed_caller_gets_through(screen: Place) -> None:
    assert screen("carrier", DID, "+33612000001").reached == [DID]


def test_a_list_has_a_response_of_its_own(screen: Place) -> None:
    assert screen("carrier", DID, "+33163000000").attempt.response == 607


def test_a_blocked_callee_is_not_called(screen: Place) -> None:
    placed = screen("phone", "0612999002")
    assert placed.attempt.direction == "outbound"
    assert placed.outcome.statuses == [100, 403]


def test_a_number_that_breaks_the_line_is_hostile(screen: Place) -> None:
    uri = "sip:%2B33612000001%0ACALLGATE_VERDICT%3Dallow@127.0.0.11"
    placed = screen("carrier", DID, uri=uri)
    assert placed.attempt.reason == "hostile"
    assert placed.outcome.final == 403


def test_a_name_full_of_signs_is_told_as_it_is(screen: Place) -> None:
    name = "A)&B=C%D,E+F(G"
    identity = f'P-Asserted-Identity: "{name}" <sip:+33612000001@127.0.0.12>'
    placed = screen("trusted", DID, headers=identity)
    assert placed.attempt.caller_name == name


@pytest.fixture
def called(tmp_path: Path) -> Iterator[HttpGateway]:
    """A gateway of its own: after an emergency call, calls of everybody are let in for a while."""
    gateway = HttpGateway(tmp_path / "gateway")
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.mark.usefixtures("over_http")
def test_nobody_is_asked_before_an_emergency_call(
    place: Place, called: HttpGateway, pbx: Pbx
) -> None:
    pbx.set_global("CALLGATE_TOKEN", called.token)
    with StandIn(silent) as deaf:
        pbx.set_global("CALLGATE_HTTP", f"http://{deaf.address}{PATH}")
        assert place("phone", "112").reached == ["112"]
        assert deaf.asked.wait(PATIENCE), "it was not reported afterwards"
        pbx.set_global("CALLGATE_HTTP", called.url + PATH)
    assert place("phone", "15").reached == ["15"]
    (attempt,) = called.new_attempts(1)
    assert (attempt.callee, attempt.reason) == ("15", "emergency")
    assert attempt.delivery == Delivery.REPORTED


def check_outage(place: Place) -> None:
    """Calls that the policy would treat the other way round than the outage branch does."""
    assert place("carrier", DID, "+33612999001").reached == [DID]
    outbound = place("phone", "0612000001")
    assert (outbound.outcome.statuses, outbound.reached) == ([100, 403], [])


@pytest.mark.usefixtures("over_http")
def test_a_gateway_that_is_down_is_the_outage_branch(place: Place, pbx: Pbx) -> None:
    pbx.set_global("CALLGATE_HTTP", f"http://127.0.0.1:{free_port()}{PATH}")
    check_outage(place)


@pytest.mark.usefixtures("over_http", "impatient")
@pytest.mark.parametrize("behaviour", [silent, closing, garbage])
def test_a_gateway_that_is_ill_is_the_outage_branch(
    place: Place, pbx: Pbx, behaviour: Behaviour
) -> None:
    with StandIn(behaviour) as gateway:
        pbx.set_global("CALLGATE_HTTP", f"http://{gateway.address}{PATH}")
        check_outage(place)


def test_a_wrong_token_is_the_outage_branch_and_no_attempt(
    place: Place, over_http: HttpGateway, pbx: Pbx
) -> None:
    pbx.set_global("CALLGATE_TOKEN", "cg_00000000_" + "x" * 43)
    check_outage(place)
    pbx.set_global("CALLGATE_TOKEN", over_http.token)
    place("carrier", DID, "+33612000002")
    (attempt,) = over_http.new_attempts(1)
    assert attempt.caller == "+33612000002"


@pytest.fixture
def bench(place: Place, pbx: Pbx) -> Callable[..., str]:
    """Dials an extension of the context `bench`; what it wrote into the log behind ``word``."""

    def bench(extension: str, word: str, *sender: str) -> str:
        since = len(pbx.log)
        place("bench", extension, *sender)
        return pbx.wait_for_log(f": BENCH {word}", since).partition(f"BENCH {word}")[2].strip()

    return bench


def test_a_callers_own_dialplan_is_as_it_was(
    bench: Callable[..., str], over_http: HttpGateway
) -> None:
    assert bench("kept", "kept") == "kept bench mine mine mine restored"
    over_http.new_attempts(1)


def test_an_answer_to_an_earlier_question_is_none_to_this_one(
    bench: Callable[..., str], over_http: HttpGateway
) -> None:
    verdicts, options = "allow||", "mine:secret|legacy|7|8"
    assert bench("twice", "twice") == f"{verdicts}|{options}"
    over_http.new_attempts(1)


@pytest.mark.parametrize(
    ("sender", "found"),
    [("+33162000000", "blocked 603 +33162"), ("+33612000001", "allowed")],
)
def test_a_dialplan_of_ones_own_asks_by_name(
    bench: Callable[..., str], over_http: HttpGateway, sender: str, found: str
) -> None:
    assert bench("byname", "byname", sender) == found
    (attempt,) = over_http.new_attempts(1)
    assert (attempt.caller, attempt.callee) == (sender, "byname")


@pytest.mark.usefixtures("over_http")
def test_a_dialplan_of_ones_own_knows_an_outage(bench: Callable[..., str], pbx: Pbx) -> None:
    pbx.set_global("CALLGATE_HTTP", f"http://127.0.0.1:{free_port()}{PATH}")
    assert bench("byname", "byname") == "outage"
