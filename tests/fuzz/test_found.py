"""What the corpus and fuzzing found, each by its name: hostile, and once let through unanswered."""

from __future__ import annotations

import pytest

from gateway.frontends.esl_outbound import EslOutbound
from gateway.frontends.fastagi import FastAgi
from gateway.protocols.agi_environment import MAX_ENVIRONMENT
from tests.fakes.freeswitch import channel_data
from tests.fuzz.asking import http_side
from tests.fuzz.sessions import Talk
from tests.fuzz.webtargets import FORM, JSON, LOOKUP, POSTED

URL = b"screen/inbound/t5/-/%2B15551234567/%2B33140000000/allowed"
HEAD = b"agi_network: yes\nagi_network_script: %b\nagi_request: agi://h/%b\n" % (URL, URL)


@pytest.mark.parametrize("first", [0, 100, MAX_ENVIRONMENT - 1])
@pytest.mark.parametrize("more", [MAX_ENVIRONMENT, 70_000, 500_000])
def test_an_endless_environment_is_blocked_however_much_comes_at_once(
    first: int, more: int
) -> None:
    talk = Talk(FastAgi, HEAD + b"agi_channel: " + b"x" * more, first=first)
    assert b"CALLGATE_VERDICT=block" in talk.said
    assert talk.hostile
    assert talk.attempts[-1].callee == "+33140000000"


@pytest.mark.parametrize(
    "lie",
    [
        *({"Content-Length": text} for text in ("-1", "x", "99999999999", "2000000", "")),
        {"Content-Length": "2000000", "Content-Type": "text/disconnect-notice"},
    ],
)
def test_a_channel_that_lies_about_its_length_is_blocked(lie: dict[str, str]) -> None:
    data = channel_data("normal", direction="inbound", headers=lie)
    talk = Talk(EslOutbound, data)
    assert b"CALLGATE_VERDICT=block" in talk.said
    assert talk.said.endswith(b"exit\n\n")
    assert talk.hostile


def test_a_channel_that_calls_itself_a_disconnect_notice_is_answered() -> None:
    data = channel_data("national", callgate_direction="inbound").replace(
        b"Content-Type: command/reply", b"Content-Type: text/disconnect-notice"
    )
    talk = Talk(EslOutbound, data)
    assert b"CALLGATE_VERDICT=allow" in talk.said
    assert talk.said.endswith(b"exit\n\n")


@pytest.mark.parametrize("path", [JSON, FORM, LOOKUP])
def test_whoever_hangs_up_within_a_body_is_no_failure_of_ours(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = POSTED.replace(b"Length: @", b"Length: 99") % path.encode()
    (exchange,) = http_side().talk(head + b"\r\ndirection=inbound").exchanges
    assert (exchange.body, exchange.status) == (b"direction=inbound", 400)
    assert not [each for each in caplog.records if each.exc_info]
