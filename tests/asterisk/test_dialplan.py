"""The subroutines themselves, with a stand-in that answers as told: what they keep and set."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gateway.pbx.asterisk import CAUSES, OTHER_CAUSE
from tests.asterisk.conftest import Place, on_the_wire
from tests.asterisk.pbx import Pbx, free_port
from tests.asterisk.standin import StandIn, answering, silent

DID = "+33140000000"
NUMBER = "+33612000009"
ALLOW = {"CALLGATE_VERDICT": "allow", "CALLGATE_NUMBER": NUMBER, "CALLGATE_ATTEMPT": "abc"}
BLOCK = {"CALLGATE_VERDICT": "block", "CALLGATE_RESPONSE": "403", "CALLGATE_CAUSE": "21"}


@pytest.fixture
def allowing(pbx: Pbx) -> Iterator[StandIn]:
    with StandIn(answering(ALLOW)) as gateway:
        pbx.ask(gateway.address)
        yield gateway


@pytest.fixture
def bench(place: Place, pbx: Pbx) -> Callable[[str, str], str]:
    """Dials an extension of the context `bench`; what it wrote into the log behind ``word``."""

    def bench(extension: str, word: str) -> str:
        since = len(pbx.log)
        place("bench", extension)
        return pbx.wait_for_log(f": BENCH {word}", since).partition(f"BENCH {word}")[2].strip()

    return bench


Bench = Callable[[str, str], str]


@pytest.mark.usefixtures("allowing")
def test_a_callers_own_dialplan_is_as_it_was(bench: Bench) -> None:
    assert bench("kept", "kept") == "kept bench mine mine mine restored"


@pytest.mark.usefixtures("allowing")
def test_no_limit_is_left_behind(bench: Bench) -> None:
    assert bench("unlimited", "unlimited") == "0 allow"


@pytest.mark.usefixtures("impatient")
def test_an_own_limit_is_restored_after_the_deadline_too(bench: Bench, turned: Pbx) -> None:
    with StandIn(silent) as gateway:
        turned.ask(gateway.address)
        assert bench("kept", "kept").endswith("restored")
        assert bench("unlimited", "unlimited") == "0"


@pytest.mark.parametrize("extension", ["short", "bare"])
def test_an_own_limit_before_the_deadline_ends_the_call_as_it_would_without(
    bench: Bench, turned: Pbx, extension: str
) -> None:
    with StandIn(silent) as gateway:
        turned.ask(gateway.address)
        found = bench(extension, "T" if extension == "short" else "bare")
        assert found == {"short": "T in bench", "bare": "ended"}[extension]


@pytest.mark.usefixtures("allowing")
def test_an_own_limit_before_the_deadline_is_kept(bench: Bench) -> None:
    assert bench("near", "near") == "allow kept"


@pytest.mark.usefixtures("allowing")
def test_what_is_dialled_inherits_the_attempt_and_whom_it_was_for(bench: Bench) -> None:
    assert bench("marks-0612000009", "marks") == f"{NUMBER} abc"


def test_an_inbound_call_is_for_nobody_it_dials(pbx: Pbx, bench: Bench) -> None:
    with StandIn(answering(ALLOW)) as gateway:
        pbx.ask(gateway.address)
        assert bench("forwarded", "marks") == "abc"


def test_a_call_that_ends_in_the_subroutine_runs_the_h_of_its_context(
    pbx: Pbx, bench: Bench
) -> None:
    with StandIn(answering(BLOCK)) as gateway:
        pbx.ask(gateway.address)
        assert bench("kept", "h") == "block"


def test_a_local_channel_is_rejected_by_its_cause(place: Place, pbx: Pbx, bench: Bench) -> None:
    with StandIn(answering(BLOCK)) as gateway:
        pbx.ask(gateway.address)
        placed = place("bench", "local-0612000009")
        assert placed.outcome.statuses == [100, 403]
        assert placed.outcome.reason == "Q.850;cause=21"
        assert placed.reached == []
        assert bench("local-0612000009", "local") == "local-0612000009 21"


@pytest.mark.usefixtures("allowing")
def test_a_local_channel_that_is_allowed_goes_on(place: Place) -> None:
    assert place("bench", "local-0612000009").reached == ["0612000009"]


def test_the_predial_hook_of_freepbx_screens_what_is_dialled(place: Place, pbx: Pbx) -> None:
    with StandIn(answering(ALLOW)) as gateway:
        pbx.ask(gateway.address)
        assert place("bench", "hook-0612000009").reached == ["0612000009"]
    with StandIn(answering(BLOCK)) as gateway:
        pbx.ask(gateway.address)
        placed = place("bench", "hook-0612000009")
        assert placed.outcome.statuses == [100, 403]
        assert placed.reached == []


@pytest.mark.parametrize("response", [400, 403, 433, 486, 600, 603, 606, 607, 608, 699])
def test_the_exact_code_is_sent(place: Place, pbx: Pbx, response: int) -> None:
    cause = str(CAUSES.get(response, OTHER_CAUSE))
    answer = BLOCK | {"CALLGATE_RESPONSE": str(response), "CALLGATE_CAUSE": cause}
    with StandIn(answering(answer)) as gateway:
        pbx.ask(gateway.address)
        assert place("carrier", DID).outcome.statuses == [100, on_the_wire(response)]


@pytest.mark.parametrize(
    ("name", "statuses"), [("announced", [100, 183, 603]), ("engaged", [100, 486])]
)
def test_a_list_may_have_a_branch_of_its_own(
    place: Place, pbx: Pbx, name: str, statuses: list[int]
) -> None:
    answer = BLOCK | {"CALLGATE_RESPONSE": "603", "CALLGATE_CAUSE": "16", "CALLGATE_LIST": name}
    with StandIn(answering(answer)) as gateway:
        pbx.ask(gateway.address)
        assert place("carrier", DID).outcome.statuses == statuses


def test_an_emergency_number_behind_codes_goes_out_without_a_gateway(
    bench: Bench, pbx: Pbx
) -> None:
    pbx.ask(f"127.0.0.1:{free_port()}")
    assert bench("coded", "coded") == "emergency"


def test_a_branch_may_redirect_the_call(place: Place, pbx: Pbx) -> None:
    with StandIn(answering(BLOCK | {"CALLGATE_LIST": "redirected"})) as gateway:
        pbx.ask(gateway.address)
        since = len(pbx.log)
        place("carrier", DID)
        pbx.wait_for_log("[1099@from-internal:1] Dial", since)


def test_the_outcome_of_an_earlier_call_is_not_taken_for_this_one(
    bench: Bench, turned: Pbx
) -> None:
    turned.ask(f"127.0.0.1:{free_port()}")
    assert bench("stale", "stale") == "||||||"


@pytest.fixture
def turned(pbx: Pbx) -> Iterator[Pbx]:
    """Outbound calls go on without a verdict, so that one sees what they come back to."""
    pbx.set_global("CALLGATE_OUTAGE_OUTBOUND", "allow")
    yield pbx
    pbx.set_global("CALLGATE_OUTAGE_OUTBOUND", "block")
