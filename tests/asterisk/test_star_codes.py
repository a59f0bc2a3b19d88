"""Numbers that people block and unblock from a telephone, and what that does to the next call."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.asterisk.conftest import Place
from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import Pbx, free_port

DID = "+33140000000"
CALLER = "+33612777001"
GERMAN = "+49301234567"


@pytest.fixture
def quiet(own_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway whose entries no other test sees."""
    return own_gateway()


@pytest.mark.usefixtures("quiet")
def test_30_blocks_a_number_and_31_unblocks_it(place: Place) -> None:
    assert place("phone", "*300612777001").outcome.answered
    assert place("carrier", DID, CALLER).outcome.statuses == [100, 603]
    assert place("phone", "*310612777001").outcome.answered
    assert place("carrier", DID, CALLER).reached == [DID]


def test_32_blocks_the_last_caller_as_its_trunk_wrote_it(place: Place, quiet: Gateway) -> None:
    place("bench", "german", "0301234567")
    assert place("phone", "*32").outcome.answered
    assert [entry["text"] for entry in json.loads(quiet.run("list", "--json"))] == [GERMAN]
    assert place("carrier", DID, GERMAN).outcome.statuses == [100, 603]


def test_32_after_a_call_from_inside_blocks_nobody(place: Place, pbx: Pbx, quiet: Gateway) -> None:
    place("bench", "german", "0301234567")
    place("bench", "inside", "1002")
    since = len(pbx.log)
    place("phone", "*32")
    assert 'status "refused"' in pbx.wait_for_log("did not block", since)
    assert json.loads(quiet.run("list", "--json")) == []


@pytest.mark.usefixtures("quiet")
def test_31_does_not_thank_for_a_number_that_stays_blocked(place: Place, pbx: Pbx) -> None:
    since = len(pbx.log)
    place("phone", "*310612999001")
    assert 'status "refused"' in pbx.wait_for_log("did not unblock", since)


def test_a_code_is_told_apart_by_who_dialled_it(place: Place, quiet: Gateway) -> None:
    place("phone", "*300612777001")
    assert "1001" in quiet.run("list", "--json")


@pytest.mark.usefixtures("quiet")
def test_without_the_secret_nothing_changes(place: Place, pbx: Pbx) -> None:
    since = len(pbx.log)
    pbx.set_global("CALLGATE_SECRET", "wrong")
    try:
        place("phone", "*300612777001")
    finally:
        pbx.set_global("CALLGATE_SECRET", "s3cret")
    assert 'status "refused"' in pbx.wait_for_log("did not block", since)
    assert place("carrier", DID, CALLER).reached == [DID]


def test_a_gateway_that_is_down_is_said_so(place: Place, pbx: Pbx) -> None:
    since = len(pbx.log)
    pbx.ask(f"127.0.0.1:{free_port()}")
    place("phone", "*300612777001")
    assert 'status ""' in pbx.wait_for_log("did not block", since)
