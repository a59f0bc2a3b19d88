"""The client that plays Asterisk is exact: byte for byte what Asterisk 22.10.1 sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import Malformed, TooLong
from gateway.protocols.agi_client import MAX_COMMAND, AgiClient, Channel, environment

VECTORS = Path(__file__).parent.parent / "vectors" / "agi"
DID = "+33140000000"


@pytest.mark.parametrize(
    ("capture", "path", "changed"),
    [
        ("url-normal", "%2B15551234567", {"caller": "+15551234567", "caller_name": "Joe"}),
        (
            "url-punctuation",
            "%2B1%2C555%22(a)%20b",
            {
                "name": "PJSIP/t5-00000004",
                "unique_id": "1795362721.4",
                "caller": '+1,555"(a) b',
            },
        ),
    ],
)
def test_the_environment_is_the_one_that_asterisk_sent(
    capture: str, path: str, changed: dict[str, str]
) -> None:
    told = {
        "name": "PJSIP/t5-00000000",
        "version": "22.10.1+dfsg+~cs6.17.60671434-1",
        "dnid": DID,
        "extension": DID,
        **changed,
    }
    url = f"agi://127.0.0.1:15070/screen/inbound/t5/-/{path}/%2B33140000000/allowed_not_screened"
    assert environment(url, Channel(**told)) == (VECTORS / f"{capture}.env.bin").read_bytes()


def test_arguments_come_last_and_unescaped() -> None:
    assert environment("agi://h/x", Channel(), ["one", "a\nb"]).endswith(
        b"\nagi_arg_1: one\nagi_arg_2: a\nb\n\n"
    )


def test_variables_are_set_and_answered_one_command_at_a_time() -> None:
    client = AgiClient()
    assert client.receive(b'EXEC MSet "A=1,B') == b""
    assert client.half
    assert client.receive(b'=2"\nNOOP\n') == b"200 result=0\n510 Invalid or unknown command\n"
    assert not client.half
    assert client.variables == {"A": "1", "B": "2"}
    assert client.commands == ['EXEC MSet "A=1,B=2"', "NOOP"]


def test_a_command_past_asterisks_own_buffer_is_an_error() -> None:
    with pytest.raises(TooLong):
        AgiClient().receive(b"x" * MAX_COMMAND)


def test_a_command_that_is_not_ascii_is_an_error() -> None:
    with pytest.raises(Malformed):
        AgiClient().receive(b"\xff\n")
