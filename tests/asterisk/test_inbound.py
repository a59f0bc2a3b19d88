"""Calls that come in through a trunk, decided by the real gateway through a real Asterisk."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from tests.asterisk.conftest import Place

DID = "+33140000000"


def test_a_blocked_number_is_rejected_unanswered(screen: Place) -> None:
    placed = screen("carrier", DID, "+33612999001")
    assert placed.outcome.statuses == [100, 603]
    assert placed.attempt.list == "nuisance"
    assert placed.attempt.entry == "+33612999001"
    assert placed.attempt.caller_e164 == "+33612999001"
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
    assert placed.attempt.trunk == "carrier"
    assert placed.attempt.delivery == "confirmed"


def test_an_allowed_prefix_inside_a_blocked_one_gets_through(screen: Place) -> None:
    placed = screen("carrier", DID, "+33162550000")
    assert placed.reached == [DID]
    assert placed.attempt.list == "partners"


@pytest.mark.parametrize(("sender", "response"), [("+33163000000", 607), ("+33270000000", 486)])
def test_a_list_has_a_response_of_its_own(screen: Place, sender: str, response: int) -> None:
    placed = screen("carrier", DID, sender)
    assert placed.attempt.verdict == "block"
    assert placed.attempt.response == response


@pytest.mark.parametrize(
    "uri", ["sip:anonymous@anonymous.invalid", "sip:127.0.0.11", "sip:unavailable@127.0.0.11"]
)
def test_a_caller_without_a_number_is_anonymous(screen: Place, uri: str) -> None:
    placed = screen("carrier", DID, uri=uri)
    assert placed.attempt.reason == "anonymous"
    assert placed.attempt.response == 433


def withheld(number: str) -> str:
    return f"P-Asserted-Identity: <sip:{number}@127.0.0.12>\nPrivacy: id"


ANONYMOUS = "sip:anonymous@anonymous.invalid"


def test_a_trusted_carrier_shows_the_number_behind_a_withheld_one(screen: Place) -> None:
    placed = screen("trusted", DID, uri=ANONYMOUS, headers=withheld("+33612999001"))
    assert placed.attempt.list == "nuisance"
    assert placed.attempt.caller_e164 == "+33612999001"
    assert placed.attempt.presentation == "restricted"


def test_a_withheld_friend_gets_through_a_trusted_carrier(screen: Place) -> None:
    placed = screen("trusted", DID, uri=ANONYMOUS, headers=withheld("+33162550000"))
    assert placed.attempt.list == "partners"
    assert placed.reached == [DID]


def test_a_withheld_stranger_is_anonymous_on_a_trusted_carrier_too(screen: Place) -> None:
    placed = screen("trusted", DID, uri=ANONYMOUS, headers=withheld("+33612000001"))
    assert placed.attempt.reason == "anonymous"


def test_an_untrusted_carrier_cannot_vouch_for_a_number(screen: Place) -> None:
    placed = screen("carrier", DID, uri=ANONYMOUS, headers=withheld("+33162550000"))
    assert placed.attempt.reason == "anonymous"


def test_an_untrusted_identity_does_not_hide_a_blocked_caller(screen: Place) -> None:
    header = "P-Asserted-Identity: <sip:+33162550000@127.0.0.11>"
    placed = screen("carrier", DID, "+33612999001", headers=header)
    assert placed.attempt.list == "nuisance"


@pytest.mark.parametrize(
    "user",
    [
        "%2B33162550000%0A",
        "%2B1%0Aagi_callerid%3A%20%2B33162550000",
        "%2B1%0Aagi_threadid%3A%201%0Aagi_arg_1%3A%20inbound%0Aagi_arg_2%3A%20%2B336%0A%0A",
        "%2B1%0A%0A200%20result%3D1%20evil",
        "%2B1%0D%0AHANGUP%0D%0A",
    ],
)
def test_a_caller_who_writes_lines_into_its_number_is_hostile(screen: Place, user: str) -> None:
    placed = screen("carrier", DID, uri=f"sip:{user}@127.0.0.11")
    assert placed.attempt.reason == "hostile"
    assert placed.outcome.final == 403


@pytest.mark.parametrize(
    "user",
    [
        "%22)%26PJSIP%2F1",
        "a%2Cb%3Bc%5D",
        "%24%7BEXTEN%7D",
        "%24%5B1%2B1%5D",
        "x/key=evil",
        "%C3%A9",
    ],
)
def test_punctuation_in_a_number_changes_nothing(screen: Place, user: str) -> None:
    placed = screen("carrier", DID, uri=f"sip:{user}@127.0.0.11")
    assert placed.attempt.direction == "inbound"
    assert placed.attempt.callee_e164 == DID
    assert placed.attempt.reason != "hostile"


@pytest.mark.parametrize(
    "dialled",
    ["+331(4", "+331)4", "+331'(4)", "+331%3F4%3A5", "+331%2C4", "+331%22%5C4", "+331%7B%24%5B4"],
)
def test_a_called_number_full_of_signs_is_told_as_it_was_dialled(
    screen: Place, dialled: str
) -> None:
    assert screen("carrier", dialled, "+33612999001").attempt.callee == unquote(dialled)


def test_a_name_in_any_encoding_is_only_recorded(screen: Place) -> None:
    header = "P-Asserted-Identity: \"Zo\u00eb, (home); 'x'\" <sip:+33612000001@127.0.0.12>"
    placed = screen("trusted", DID, headers=header)
    assert placed.attempt.verdict == "allow"
    assert placed.attempt.caller_name == "Zo\u00eb, (home); 'x'"


def test_an_attestation_that_the_dialplan_passes_is_recorded(screen: Place) -> None:
    placed = screen("bench", "attested", "+33612000001")
    assert placed.attempt.attestation == "A"
    assert placed.attempt.callee_e164 == DID


def test_the_way_in_of_freepbx_is_screened(screen: Place) -> None:
    assert screen("freepbx", DID, "+33162000000").attempt.list == "nuisance"
    assert screen("freepbx", DID, "+33612000001").reached == [DID]
