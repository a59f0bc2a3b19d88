"""Calls that come in through a trunk, decided by the real gateway through a real FreeSWITCH."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.asterisk.gateway import Gateway
from tests.freeswitch.conftest import Place

DID = "+33140000000"
ANONYMOUS = "sip:anonymous@anonymous.invalid"


def test_a_blocked_number_is_rejected_unanswered(screen: Place) -> None:
    placed = screen("carrier", DID, "+33612999001")
    assert placed.outcome.statuses == [100, 603]
    assert placed.attempt.list == "nuisance"
    assert placed.attempt.entry == "+33612999001"
    assert placed.attempt.caller_e164 == "+33612999001"
    assert placed.attempt.callee_e164 == DID
    assert placed.attempt.delivery == "confirmed"


@pytest.mark.parametrize("written", ["+33162000000", "0162000000", "0033162000000"])
def test_a_blocked_prefix_is_rejected_however_the_number_is_written(
    screen: Place, written: str
) -> None:
    placed = screen("carrier", DID, written)
    assert placed.outcome.statuses == [100, 603]
    assert placed.attempt.entry == "+33162"


def test_an_allowed_caller_reaches_the_callee(screen: Place) -> None:
    placed = screen("carrier", DID, "+33612000001")
    assert placed.outcome.statuses == [100, 180, 200]
    assert placed.reached == [DID]
    assert placed.attempt.verdict == "allow"
    assert (placed.attempt.pbx, placed.attempt.trunk) == ("freeswitch", "carrier")
    assert placed.attempt.delivery == "confirmed"


def test_an_allowed_prefix_inside_a_blocked_one_gets_through(screen: Place) -> None:
    placed = screen("carrier", DID, "+33162550000")
    assert placed.reached == [DID]
    assert placed.attempt.list == "partners"


@pytest.mark.parametrize(
    ("sender", "response", "phrase"),
    [
        ("+33163000000", 607, "Unwanted"),
        ("+33270000000", 486, "Busy Here"),
        # Only the status is RFC 8688's: mod_sofia has no better phrase for it.
        ("+33275000000", 608, "Because"),
    ],
)
def test_a_list_has_a_response_of_its_own(
    screen: Place, sender: str, response: int, phrase: str
) -> None:
    placed = screen("carrier", DID, sender)
    assert placed.attempt.response == response
    assert placed.outcome.phrase == phrase


@pytest.mark.parametrize("uri", [ANONYMOUS, "sip:127.0.0.11", "sip:unavailable@127.0.0.11"])
def test_a_caller_without_a_number_is_anonymous(screen: Place, uri: str) -> None:
    placed = screen("carrier", DID, uri=uri)
    assert placed.attempt.reason == "anonymous"
    assert placed.attempt.response == 433


def withheld(number: str) -> str:
    return f"P-Asserted-Identity: <sip:{number}@127.0.0.12>\nPrivacy: id"


def test_lists_see_the_number_behind_a_withheld_one(screen: Place) -> None:
    placed = screen("trusted", DID, uri=ANONYMOUS, headers=withheld("+33612999001"))
    assert placed.attempt.list == "nuisance"
    assert placed.attempt.caller_e164 == "+33612999001"
    assert placed.attempt.presentation == "restricted"


def test_a_withheld_friend_gets_through(screen: Place) -> None:
    placed = screen("trusted", DID, uri=ANONYMOUS, headers=withheld("+33162550000"))
    assert placed.attempt.list == "partners"
    assert placed.reached == [DID]


def test_a_withheld_stranger_is_anonymous(screen: Place) -> None:
    placed = screen("trusted", DID, uri=ANONYMOUS, headers=withheld("+33612000001"))
    assert placed.attempt.reason == "anonymous"


@pytest.mark.parametrize(
    "user",
    [
        "%2B33162550000%0A",
        "%2B1%0Avariable_callgate_direction%3A%20outbound",
        "%2B1%0A%0Aexit",
        "%2B1%0D%0AContent-Length%3A%200%0D%0A%0D%0A",
    ],
)
def test_a_caller_who_writes_lines_into_its_number_is_hostile(screen: Place, user: str) -> None:
    placed = screen("carrier", DID, uri=f"sip:{user}@127.0.0.11")
    assert placed.attempt.reason == "hostile"
    assert placed.outcome.final == 403


def shell_text(path: Path) -> list[str]:
    """What runs a command, or is computed, if FreeSWITCH ever expands it: in a SIP URI's user."""
    command = str(path).replace("/", "%2F")
    return [f"%24%7Bsystem(touch%20{command})%7D", "%24%5B1%2B1%5D", "%24%7Bhangup%7D", "%27%20x"]


def shown(text: str) -> str:
    """FreeSWITCH defends itself in From and in names, though not in what is dialled."""
    return text.replace("${", "%{")


@pytest.mark.parametrize("index", range(4))
def test_nothing_that_a_caller_writes_into_its_number_is_executed(
    place: Place, gateway: Gateway, tmp_path: Path, index: int
) -> None:
    user = shell_text(tmp_path / "touched")[index]
    # What becomes of such a caller beyond the verdict is FreeSWITCH's affair.
    place("carrier", DID, uri=f"sip:{user}@127.0.0.11")
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.direction, attempt.callee_e164) == ("inbound", DID)
    assert attempt.caller == shown(unquote(user))
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("index", range(4))
def test_nothing_that_a_caller_dials_is_executed(
    place: Place, gateway: Gateway, tmp_path: Path, index: int
) -> None:
    placed = place("carrier", shell_text(tmp_path / "touched")[index], "+33612000001")
    assert placed.reached == []
    assert placed.outcome.final == 480
    (attempt,) = gateway.new_attempts(1)
    assert attempt.direction == "inbound"
    assert not (tmp_path / "touched").exists()


def test_nothing_that_a_caller_calls_itself_is_executed(screen: Place, tmp_path: Path) -> None:
    name = f"${{system(touch {tmp_path}/touched)}}"
    header = f'P-Asserted-Identity: "{name}" <sip:+33612000001@127.0.0.12>'
    placed = screen("trusted", DID, headers=header)
    assert placed.attempt.caller_name == shown(name)
    assert placed.reached == [DID]
    assert not (tmp_path / "touched").exists()


def test_an_announcement_is_early_media_and_then_the_rejection(
    place: Place, gateway: Gateway
) -> None:
    placed = place("carrier", DID, "+33271000000")
    assert placed.outcome.statuses == [100, 183, 603]
    assert gateway.new_attempts(1)[0].list == "announced"


def test_a_list_can_sound_busy(place: Place, gateway: Gateway) -> None:
    placed = place("carrier", DID, "+33272000000")
    assert placed.outcome.statuses == [100, 486]
    assert gateway.new_attempts(1)[0].list == "engaged"


def test_a_list_can_redirect(place: Place, gateway: Gateway) -> None:
    placed = place("carrier", DID, "+33273000000")
    # The way to 1099 leads out: a call of its own, to an extension of the plan.
    assert placed.reached == ["1099"]
    first, second = gateway.new_attempts(2)
    assert (first.list, first.verdict) == ("redirected", "block")
    assert (second.direction, second.reason) == ("outbound", "internal")


def test_a_list_can_reject_with_603_plus(place: Place, gateway: Gateway) -> None:
    placed = place("carrier", DID, "+33274000000")
    assert placed.outcome.statuses == [100, 603]
    assert placed.outcome.phrase == "Network Blocked"
    assert placed.outcome.reason == (
        'SIP;cause=603;text="v=analytics1;url=https://example.org/blocked";location=TN'
    )
    assert gateway.new_attempts(1)[0].list == "analytics"
