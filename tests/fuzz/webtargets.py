"""What must hold of any bytes that come over HTTP.

Rule: a screening route answers with a verdict or a status of 4xx, never 500; and what is hostile is
never allowed. What is hostile is said here by other means than the mappers have: fields that are
there twice, control characters, and a caller who is blocked however he goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

from gateway.attempts.model import Attempt
from tests.fuzz.asking import Exchange, Heard, http_side

POSTED = b"POST %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer @\r\nContent-Length: @\r\n"
JSON, FORM, LOOKUP = "/v1/screen", "/v1/screen/asterisk", "/v1/freeswitch/dialplan"
BOUND = "?inbound=public&next=screened"
BLOCKED = b'{"direction":"inbound","caller":"+33162000000","callee":"+33140000000","caller_name":"'
_BY_NAME = b"direction=inbound&caller=%2B33162000000&callee=%2B33140000000&caller_name="
_BY_PATH = b"call=screen/inbound/t5/-/%2B33162000000/%2B33140000000/allowed&channel_id="
_CHANNEL = (
    b"section=dialplan&Hunt-Context=public&Hunt-Caller-ID-Number=%2B33162000000"
    b"&Hunt-Destination-Number=%2B33140000000&Unique-ID=u&variable_sip_from_display="
)
_control = re.compile("[\x00-\x1f\x7f]").search
_status = re.compile(rb"HTTP/1\.1 (\d{3}) ").match
FACTS = ("caller", "callee", "trunk", "campaign", "extension", "channel_id", "linked_id")
SIZE = 61
"""Bytes that come at a time, the second time."""


def web(data: bytes) -> None:
    """A connection, whatever it sends: a verdict or 4xx, the same however it is cut."""
    whole = http_side().talk(data)
    _check(whole)
    if len(data) <= 4096:
        cut = http_side().talk(data, SIZE)
        _check(cut)
        assert [_kept(each) for each in cut.exchanges] == [_kept(each) for each in whole.exchanges]


def smuggled(data: bytes) -> None:
    """Text of a blocked caller, put unescaped into each kind of request: he is never allowed."""
    line = re.sub(rb"[\r\n\0]", b"", data)[:8192]
    requests = (
        (JSON, b"", BLOCKED + data + b'"}'),
        (FORM, b"", _BY_NAME + data),
        (FORM, b"", _BY_PATH + data),
        (LOOKUP + BOUND, b"", _CHANNEL + data),
        (JSON, b"X-Caller: " + line + b"\r\n", BLOCKED + b'"}'),
    )
    for path, header, body in requests:
        heard = http_side().talk(POSTED % path.encode() + header + b"\r\n" + body)
        _check(heard)
        assert all(attempt.verdict == "block" for attempt in heard.attempts), heard.attempts
        assert all(_verdict(each) in ("block", "") for each in heard.exchanges), heard.exchanges


def _kept(exchange: Exchange) -> tuple[object, ...]:
    """What of an exchange depends on its bytes alone: neither the id of the attempt nor a body that
    has not come whole."""
    verdict = _verdict(exchange) if exchange.status == 200 else ""
    return exchange.path, exchange.status, verdict


def _check(heard: Heard) -> None:
    assert not heard.wire or _status(heard.wire), heard.wire[:200]
    unavailable = 0
    for exchange in heard.exchanges:
        assert exchange.status < 500 or exchange.status == 503, exchange
        unavailable += exchange.status == 503
        if exchange.status == 200 and _verdict(exchange) == "allow":
            assert not _hostile(exchange), exchange
    assert unavailable <= heard.elsewhere
    for attempt in heard.attempts:
        _check_attempt(attempt)


def _check_attempt(attempt: Attempt) -> None:
    assert attempt.verdict in ("allow", "block")
    if attempt.reason != "hostile":  # what was refused is recorded as it came
        for name in FACTS:
            assert not _control(getattr(attempt, name)), attempt
    if attempt.verdict == "allow":
        assert attempt.reason != "hostile"
        assert not attempt.caller_e164.startswith("+33162"), attempt


def _verdict(exchange: Exchange) -> str:
    """The verdict that a screening route answered, empty for no verdict."""
    if exchange.status != 200:
        return ""
    if exchange.path == JSON:
        return str(json.loads(exchange.said)["verdict"])
    if exchange.path == FORM:
        return dict(parse_qsl(exchange.said.decode("ascii")))["CALLGATE_VERDICT"]
    if exchange.path == LOOKUP:
        return _of_document(exchange.said.decode())
    return ""


def _of_document(text: str) -> str:
    """``allow`` where FreeSWITCH goes on; a lookup that is none of ours is no verdict."""
    document = ElementTree.fromstring(text)
    actions = [(each.get("application"), each.get("data")) for each in document.iter("action")]
    if ("set", "CALLGATE_VERDICT=block") in actions:
        assert "hangup" in dict(actions)
        assert "transfer" not in dict(actions)
        return "block"
    return "allow" if ("set", "CALLGATE_VERDICT=allow") in actions else ""


def _hostile(exchange: Exchange) -> bool:
    if exchange.path == JSON:
        return _bad_json(exchange.body)
    if exchange.path == FORM:
        pairs = [part.partition("=") for part in exchange.body.decode("latin-1").split("&")]
        names = [name for name, _, _ in pairs]
        texts = (unquote(value) for name, _, value in pairs)
        return len(set(names)) < len(names) or any(map(_control, texts))
    return False


def _bad_json(body: bytes) -> bool:
    twice: list[str] = []

    def seen(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        twice.extend(name for name in names if names.count(name) > 1)
        return dict(pairs)

    facts = json.loads(body.decode("utf-8", "replace"), object_pairs_hook=seen, strict=False)
    texts = [value for value in facts.values() if isinstance(value, str)]
    return bool(twice) or any(map(_control, texts))
