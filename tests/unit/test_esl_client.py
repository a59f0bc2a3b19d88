"""The client's side of the event socket, on the captured bytes and on bad ones."""

from __future__ import annotations

import pytest

from gateway.errors import LocalProtocolError, Malformed
from gateway.protocols.esl_client import Closing, EslClient, Greeted, Happened, Replied
from gateway.protocols.esl_command import api, setvar_multi
from tests.fakes.freeswitch import captured

GREETING = captured("inbound.auth-request")
ACCEPTED = captured("inbound.auth-accepted")
SUBSCRIBED = captured("inbound.event-reply")
STATUS = captured("inbound.api-status")
EVENTS = captured("inbound.event-stream")
SESSION = GREETING + ACCEPTED + SUBSCRIBED + EVENTS + STATUS
NAMES = ["CHANNEL_CREATE", "CHANNEL_PARK", "CHANNEL_HANGUP_COMPLETE"]


@pytest.mark.parametrize("size", [1, 16, 128, 4096, len(SESSION)])
def test_a_session_means_the_same_however_it_is_cut(size: int) -> None:
    client = EslClient()
    for token in ("auth", "event", "kill", "status"):
        assert client.send(b"x\n\n", token) == b"x\n\n"
    told = [
        event
        for start in range(0, len(SESSION), size)
        for event in client.receive(SESSION[start : start + size])
    ]
    assert isinstance(told[0], Greeted)
    replies = [event for event in told if isinstance(event, Replied)]
    assert [reply.token for reply in replies] == ["auth", "event", "kill", "status"]
    assert replies[3].message.body.startswith(b"UP 0 years")
    happened = [event.event.get("Event-Name") for event in told if isinstance(event, Happened)]
    assert happened == NAMES
    assert client.waiting == 0


def test_a_reply_to_no_command_is_malformed() -> None:
    with pytest.raises(Malformed):
        list(EslClient().receive(ACCEPTED))


def test_the_end_of_a_session_is_told_and_whether_it_is_a_refusal() -> None:
    gone = b"Content-Type: text/disconnect-notice\nContent-Length: 3\n\nbye"
    rude = b"Content-Type: text/rude-rejection\nContent-Length: 3\n\nno!"
    assert list(EslClient().receive(gone + rude)) == [Closing(False), Closing(True)]


def test_what_nobody_asked_for_is_skipped() -> None:
    log = b"Content-Type: log/data\nContent-Length: 3\n\nabc"
    assert list(EslClient().receive(log + GREETING)) == [Greeted()]


def test_an_api_command_is_made_of_words() -> None:
    assert api("uuid_kill", "ab-1", "21") == b"api uuid_kill ab-1 21\n\n"


@pytest.mark.parametrize("text", ["", "a b", "a\nb", "${x}", "-both", "a;b", "a\0", "é", "a" * 300])
def test_what_is_no_word_never_leaves(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        api("uuid_transfer", "ab-1", text)
    with pytest.raises(LocalProtocolError):
        setvar_multi(text, {"A": "1"})


def test_variables_of_another_channel_are_set_in_one_command() -> None:
    told = setvar_multi("ab-1", {"A": "block", "B": "603+"})
    assert told == b"api uuid_setvar_multi ab-1 A=block;B=603+\n\n"


@pytest.mark.parametrize("value", ["a;b", "${x}", "a\nb", "a=b", "x" * 81])
def test_a_value_that_would_be_more_than_one_never_leaves(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        setvar_multi("ab-1", {"A": value})
