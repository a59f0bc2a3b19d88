"""What hostile bytes are tried on, and what must hold of each, whatever the bytes are.

A target takes any bytes and raises AssertionError, or an error that is not declared, where a
promise is broken. The corpus runs through them as plain tests, atheris runs them with inputs of its
own making (``make fuzz``).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from gateway.calls import Call
from gateway.errors import BadEntry, ConfigError, RemoteProtocolError
from gateway.frontends.esl_outbound import MAX_CHANNEL, EslOutbound
from gateway.frontends.fastagi import FastAgi
from gateway.numbers import Kind, NumberPlan, read
from gateway.numbers.entries import (
    infer_entry,
    read_number_entry,
    read_prefix_entry,
    read_short_entry,
)
from gateway.pbx import freeswitch, xml_curl
from gateway.pbx import web as mapper
from gateway.pbx.request import Refused, ScreenRequest, has_control
from gateway.policy.decide import decide
from gateway.policy.loader import load_draft
from gateway.policy.model import Action, Reason, Verdict
from gateway.protocols.agi import AgiServer, Event, Hostile, NeedData
from gateway.protocols.agi_environment import MAX_ENVIRONMENT, path_of
from gateway.protocols.agi_reply import Reply
from gateway.protocols.esl import EslReader, Message
from gateway.protocols.esl_headers import Headers
from gateway.settings import Settings
from tests.fuzz.sessions import POLICY, READ, Talk
from tests.fuzz.webtargets import smuggled, web

AT = 1_795_362_711.0
SIZES = (READ, 61, 1)
"""Bytes that come at a time."""
ONE_BY_ONE = 2048
"""Inputs that are longer are not handed in byte by byte."""
_PAIR = rb"CALLGATE_[A-Z]+=[A-Za-z0-9+._ -]{0,80}"
_is_mset = re.compile(rb'EXEC MSet "' + _PAIR + rb"(?:," + _PAIR + rb')*"\n').fullmatch
_is_told = re.compile(
    rb"connect\n\n"
    rb"(?:sendmsg\ncall-command: execute\nexecute-app-name: multiset\nexecute-app-arg: \^\^:"
    + _PAIR
    + rb"(?::"
    + _PAIR
    + rb")*\n\n)?"
    rb"(?:sendmsg\ncall-command: hangup\nhangup-cause: CALL_REJECTED\n\n)?"
    rb"(?:(?:resume\n\n)?exit\n\n)?"
).fullmatch
_BLOCKED = Verdict(action=Action.BLOCK, reason=Reason.HOSTILE, revision="r", response=403)


def agi(data: bytes) -> None:
    """A FastAGI connection: whoever has named a call is answered, the same however it is cut."""
    talk = _same_for_every_cut(FastAgi, data)
    late = Talk(FastAgi, data, first=MAX_ENVIRONMENT - 1)
    assert late.outcome == talk.outcome
    if talk.said or _names_a_url(data):
        assert _is_mset(talk.said), talk.said
    if talk.hostile:
        assert b"CALLGATE_VERDICT=block" in talk.said
    _replies(data)


def _names_a_url(data: bytes) -> bool:
    end = data.find(b"\n\n", 0, MAX_ENVIRONMENT)
    if end < 0 and len(data) < MAX_ENVIRONMENT:
        return False  # more may come
    head = data[:MAX_ENVIRONMENT].rpartition(b"\n")[0] if end < 0 else data[:end]
    return path_of(head.split(b"\n")) is not None


def _replies(data: bytes) -> None:
    """The same bytes as what follows our command, honest and after a hostile environment."""
    honest = b"agi_network: yes\nagi_network_script: probe\nagi_request: agi://h/probe\n"
    for environment in (_whole(honest), honest + b"\n"):
        heard = [_heard(environment, data, size) for size in _sizes(data)]
        assert all(each == heard[0] for each in heard)


@cache
def _whole(head: bytes) -> bytes:
    from gateway.protocols.agi_client import Channel, environment

    made = environment("agi://h/probe", Channel())
    assert made.startswith(head)
    return made


def _heard(environment: bytes, data: bytes, size: int) -> list[object]:
    server = AgiServer()
    events: list[object] = [_event_of(server, environment)]
    server.command({"CALLGATE_STATUS": "ok"})
    try:
        for start in range(0, len(data), size):
            event = _event_of(server, data[start : start + size])
            while not isinstance(event, NeedData):
                assert isinstance(event, Reply | Hostile) or type(event).__name__ == "Hangup"
                events.append(event)
                event = server.next_event()
            assert len(server._buffer) <= 3 * READ
        events.append(server.receive_eof())
    except RemoteProtocolError as error:
        events.append((type(error), str(error)))
    return events


def _event_of(server: AgiServer, data: bytes) -> Event:
    """The first event of these bytes, by the way that a session goes."""
    event = server.at_once(data)
    if event is not None:
        return event
    server.receive(data)
    return server.next_event()


def esl(data: bytes) -> None:
    """An outbound socket: a channel that was told whole is let go with an answer."""
    talk = _same_for_every_cut(EslOutbound, data)
    assert _is_told(talk.said), talk.said
    gone = b"text/disconnect-notice" in data.lstrip(b"\n").partition(b"\n\n")[2]
    if _tells_a_channel(data) and not gone:
        assert talk.said.endswith(b"exit\n\n")
        assert talk.attempts
    if talk.hostile and b"CALLGATE" in talk.said:
        assert b"CALLGATE_VERDICT=block" in talk.said
    _messages(data)


def _tells_a_channel(data: bytes) -> bool:
    block, mark, rest = data.lstrip(b"\n").partition(b"\n\n")
    if not Headers(block).is_channel:
        return False
    if not mark or len(block) > MAX_CHANNEL - 2:
        return len(block) >= MAX_CHANNEL
    said = (Headers(block).raw("Content-Length") or b"0").strip()
    if not said.isdigit() or len(said) > 10 or int(said) > 1024 * 1024:
        return True
    return len(rest) >= int(said)


def _messages(data: bytes) -> None:
    """Messages are the same for every cut, and the same in one pass as when all is looked at."""
    found = [_read_messages(data, size) for size in _sizes(data)]
    assert all(each == found[0] for each in found)


def _read_messages(data: bytes, size: int) -> list[object]:
    reader = EslReader(max_block=16 * 1024, max_body=64 * 1024, fields=freeswitch.FIELDS)
    found: list[object] = []
    try:
        for start in range(0, len(data), size):
            reader.receive(data[start : start + size])
            while (message := reader.next_message()) is not None:
                every = Headers(message._block)
                for name in freeswitch.FIELDS.names:
                    assert message.raw(name) == every.raw(name)
                _event(message)
                found.append((message._block, message.body, message.content_type, message.ok))
            assert len(reader._buffer) <= 64 * 1024 + size
    except RemoteProtocolError as error:
        found.append((type(error), str(error)))
    return found


def _event(message: Message) -> None:
    with suppress(RemoteProtocolError):
        message.event().get("Unique-ID")


def policy(data: bytes) -> None:
    """A policy loads, or has faults of one printable line each."""
    try:
        load_draft(data, _folder(), "policy.yaml")
    except ConfigError as error:
        _check_faults(error)


def settings(data: bytes) -> None:
    """Settings load, or have faults of one printable line each."""
    try:
        Settings.parse(data, _folder() / "callgate.yaml", {})
    except ConfigError as error:
        _check_faults(error)


def _check_faults(error: ConfigError) -> None:
    assert error.faults
    assert len(error.faults) <= 2000
    for fault in error.faults:
        assert str(fault).isprintable()
        assert fault.message


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="callgate-fuzz-"))


PLANS = (
    NumberPlan.build(region="FR", extensions=["[1-8]xxx"], strip=["0"], emergency_region="FR"),
    NumberPlan.build(region="US", format="e164"),
    NumberPlan.build(region="IT", format="national", strip=["*31*", "9"]),
    NumberPlan.build(region="AR", international_prefixes=["00", "011"]),
    NumberPlan.build(),
)


def numbers(data: bytes) -> None:
    """A number is read under any plan, and its E.164 form is one again."""
    raw = data.decode("utf-8", "replace")
    for plan in PLANS:
        for extensions in (True, False):
            found = read(raw, plan, extensions)
            if found.kind is Kind.E164:
                assert re.fullmatch("[1-9][0-9]{2,16}", found.digits, re.ASCII), found
                again = read(found.e164, plan, False)
                assert again.kind is Kind.E164, again
                # Zeros that no number has may be dropped once more, as a trunk prefix.
                assert again.digits.replace("0", "") == found.digits.replace("0", "")
        _read_as_entry(raw, plan.region)


def _read_as_entry(raw: str, region: str | None) -> None:
    for entry in (infer_entry, read_number_entry, read_prefix_entry):
        with suppress(BadEntry):
            entry(raw, region)
    with suppress(BadEntry):
        read_short_entry(raw)


def http(data: bytes) -> None:
    """The bodies of the screening routes: a call, refused, or not understood; never a crash."""
    for read_body in (mapper.read_json, mapper.read_form):
        try:
            request = read_body(data, at=AT)
        except mapper.BadBody as error:
            str(error).encode()
            continue
        _check_answers(request)
    query, _, body = data.partition(b"\n")
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=50)
        binding = xml_curl.read_binding(pairs)
        request_of = xml_curl.read_lookup(body, binding, at=AT)
    except (mapper.BadBody, ValueError) as error:
        str(error).encode()
        return
    if request_of is not None:
        verdict = _check_answers(request_of)
        text = xml_curl.document(verdict, "a-1", request_of.call.direction, binding)
        ElementTree.fromstring(text)
        assert all(line.count("$") <= 2 for line in text.splitlines())


def _check_answers(request: ScreenRequest | Refused) -> Verdict:
    if isinstance(request, ScreenRequest):
        _check_facts(request.call)
        verdict = decide(request.call, POLICY)
    else:
        verdict = _BLOCKED
    told = mapper.json_answer(verdict, "a-1", pbx=request.call.pbx)
    assert told.verdict in ("allow", "block")
    form = mapper.form_answer(verdict, "a-1")
    assert re.fullmatch(r"(?:CALLGATE_[A-Z]+=[A-Za-z0-9._%-]*&?){8}", form, re.ASCII), form
    return verdict


def _check_facts(call: Call) -> None:
    for name in ("caller", "callee", "trunk", "campaign", "extension", "channel_id", "linked_id"):
        assert not has_control(getattr(call, name)), name


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (agi, esl, policy, settings, numbers, http, web, smuggled)
}


def _sizes(data: bytes) -> tuple[int, ...]:
    return SIZES if len(data) <= ONE_BY_ONE else SIZES[:-1]


def _same_for_every_cut(kind: type[FastAgi | EslOutbound], data: bytes) -> Talk:
    talks = [Talk(kind, data, size) for size in _sizes(data)]
    assert all(talk.outcome == talks[0].outcome for talk in talks)
    return talks[0]
