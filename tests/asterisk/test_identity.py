"""Whom a real Asterisk takes for the caller when the INVITE says so in other ways than From."""

from __future__ import annotations

import pytest

from tests.asterisk.conftest import EXACT, Place

DID = "+33140000000"
ANONYMOUS = "sip:anonymous@anonymous.invalid"
BLOCKED, STRANGER, FRIEND = "+33612999001", "+33612000001", "+33162550000"


def remote_party(number: str, privacy: str = "full") -> str:
    """The header that came before P-Asserted-Identity (draft-ietf-sip-privacy-04)."""
    uri = f"sip:{number}@127.0.0.12"
    return f"Remote-Party-ID: <{uri}>;party=calling;privacy={privacy};screen=yes"


@pytest.mark.parametrize(
    ("number", "reason", "name"),
    [
        (BLOCKED, "list", "nuisance"),
        (FRIEND, "list", "partners"),
        (STRANGER, "anonymous", "withheld"),
    ],
)
def test_remote_party_id_shows_a_trusted_carrier_who_withholds_a_number(
    screen: Place, number: str, reason: str, name: str
) -> None:
    attempt = screen("trusted", DID, uri=ANONYMOUS, headers=remote_party(number)).attempt
    assert (attempt.caller_e164, attempt.presentation) == (number, "restricted")
    assert (attempt.reason, attempt.list) == (reason, name)


def test_remote_party_id_without_privacy_withholds_nothing(screen: Place) -> None:
    headers = remote_party(STRANGER, "off")
    placed = screen("trusted", DID, uri=ANONYMOUS, headers=headers)
    assert placed.attempt.caller_e164 == STRANGER
    assert placed.reached == [DID]


def test_an_untrusted_carrier_cannot_vouch_by_remote_party_id(screen: Place) -> None:
    placed = screen("carrier", DID, uri=ANONYMOUS, headers=remote_party(FRIEND))
    assert (placed.attempt.reason, placed.attempt.caller_e164) == ("anonymous", "")
    placed = screen("carrier", DID, BLOCKED, headers=remote_party(FRIEND))
    assert placed.attempt.list == "nuisance"


@pytest.mark.skipif(EXACT, reason="this Asterisk reads tel:")
def test_an_asterisk_that_cannot_read_a_tel_uri_lets_no_call_in(place: Place) -> None:
    placed = place("carrier", DID, uri=f"tel:{STRANGER}")
    assert (placed.outcome.statuses, placed.reached) == ([416], [])


@pytest.mark.skipif(not EXACT, reason="Asterisk 16 cannot read tel:")
@pytest.mark.parametrize("endpoint", ["carrier", "trusted"])
def test_a_tel_uri_is_a_number_like_any_other(screen: Place, endpoint: str) -> None:
    blocked = screen(endpoint, DID, uri=f"tel:{BLOCKED}")
    assert (blocked.attempt.list, blocked.attempt.caller_e164) == ("nuisance", BLOCKED)
    assert screen(endpoint, DID, uri=f"tel:{STRANGER}").attempt.caller_e164 == STRANGER


def diverted(number: str) -> str:
    """RFC 5806: who sent the call on here."""
    return f"Diversion: <sip:{number}@127.0.0.12>;reason=unconditional;counter=1"


@pytest.mark.parametrize("endpoint", ["carrier", "trusted"])
def test_who_diverted_a_call_is_not_its_caller(screen: Place, endpoint: str) -> None:
    placed = screen(endpoint, DID, STRANGER, headers=diverted(BLOCKED))
    assert (placed.attempt.caller_e164, placed.reached) == (STRANGER, [DID])
    placed = screen(endpoint, DID, BLOCKED, headers=diverted(FRIEND))
    assert (placed.attempt.caller_e164, placed.attempt.list) == (BLOCKED, "nuisance")
