"""Numbers that people block and unblock from a telephone, and what that does to the next call."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.asterisk.conftest import Place
from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import Pbx, free_port

DID = "+33140000000"
CALLER = "+33612777001"


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


@pytest.mark.usefixtures("quiet")
def test_32_blocks_the_last_caller(place: Place, pbx: Pbx) -> None:
    pbx.command(f"database put callgate-last 1001 {CALLER}")
    assert place("phone", "*32").outcome.answered
    assert place("carrier", DID, CALLER).outcome.statuses == [100, 603]


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
