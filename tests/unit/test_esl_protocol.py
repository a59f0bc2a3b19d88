"""The event socket's messages, on the exact bytes of FreeSWITCH 1.11.1, however they are cut."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import LocalProtocolError, Malformed, RemoteProtocolError, TooLong
from gateway.pbx import freeswitch
from gateway.pbx.freeswitch import FIELDS, read_request, refused
from gateway.pbx.request import ScreenRequest
from gateway.protocols import esl_command
from gateway.protocols.esl import EslReader, Message
from gateway.protocols.esl_headers import Fields, Headers, decode

VECTORS = Path(__file__).parent.parent / "vectors" / "esl"
FILES = sorted(VECTORS.glob("*.bin"))
DOCUMENT_TYPE = '<!DOCTYPE e [<!ENTITY a "b">]><event><headers/></event>'


def messages(data: bytes, size: int) -> list[Message]:
    reader, found = EslReader(), []
    for start in range(0, len(data), size):
        reader.receive(data[start : start + size])
        while (message := reader.next_message()) is not None:
            found.append(message)
    assert not reader.begun
    return found


def shape(message: Message) -> tuple[list[tuple[str, str]], bytes]:
    return list(message.items()), message.body


@pytest.mark.parametrize("size", [4096, 128, 16, 1])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_capture_gives_the_same_messages_however_it_is_cut(file: Path, size: int) -> None:
    data = file.read_bytes()
    whole = messages(data, len(data))
    assert whole
    assert [shape(message) for message in messages(data, size)] == [
        shape(message) for message in whole
    ]


@pytest.mark.parametrize(
    "name", ["anonymous.exit-reply", "inbound.api-status", "inbound.auth-refused"]
)
def test_a_capture_cut_in_two_at_every_byte_gives_the_same_messages(name: str) -> None:
    data = (VECTORS / f"{name}.bin").read_bytes()
    whole = [shape(message) for message in messages(data, len(data))]
    for cut in range(1, len(data)):
        reader = EslReader()
        found = []
        for part in (data[:cut], data[cut:]):
            reader.receive(part)
            while (message := reader.next_message()) is not None:
                found.append(shape(message))
        assert found == whole


def one(name: str) -> Message:
    (message,) = messages((VECTORS / f"{name}.bin").read_bytes(), 4096)
    return message


def test_the_reply_to_connect_is_a_channel_with_its_values_decoded() -> None:
    channel = one("normal.connect")
    assert channel.is_channel
    assert channel.ok
    assert channel.get("Caller-Caller-ID-Number") == "+15551234567"
    assert channel.get("Caller-Destination-Number") == "+33123456789"
    assert channel.get("Reply-Text") == "+OK\n"
    assert channel.get("Socket-Mode") == "async"
    assert channel.raw("Caller-ANI") == b"%2B15551234567"
    assert channel.get("no-such-header", "none") == "none"
    assert "Control" in channel


def test_a_call_is_read_without_decoding_the_rest_of_its_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Decoding all 130 headers costs several times the whole rest of a call."""
    read: list[str] = []

    def counted(value: str) -> str:
        read.append(value)
        return decode(value)

    monkeypatch.setattr(freeswitch, "decode", counted)
    channel = one("normal.connect")
    assert not isinstance(read_request(channel, at=1.0), ScreenRequest), "it has no direction"
    monkeypatch.undo()
    assert len(list(channel.items())) > 100
    assert 3 < len(read) < 30


def test_a_newline_of_the_caller_forges_no_header() -> None:
    channel = one("newline-injection.connect")
    assert channel.get("Caller-Caller-ID-Number") == "+1555\nvariable_callgate_direction: outbound"
    assert "variable_callgate_direction" not in channel
    assert all(name != "variable_callgate_direction" for name, _ in channel.items())


def test_replies_say_whether_the_command_was_accepted() -> None:
    assert one("inbound.auth-accepted").ok
    assert not one("inbound.auth-refused").ok
    assert one("inbound.auth-request").content_type == "auth/request"
    assert one("inbound.bgapi-reply").get("Job-UUID") == "a7494abb-5341-4489-b32a-5eb7d458a729"
    assert b"is ready" in one("inbound.api-status").body
    assert not Message(b"Content-Type: api/response", b"-ERR no reply\n").ok


def test_a_disconnect_notice_comes_with_its_body() -> None:
    reply, notice = messages((VECTORS / "pai-privacy.exit-reply.bin").read_bytes(), 4096)
    assert reply.get("Reply-Text") == "+OK bye"
    assert notice.content_type == "text/disconnect-notice"
    assert notice.get("Content-Disposition") == "disconnect"
    assert notice.body.startswith(b"Disconnected, goodbye.")


def test_the_event_stream_gives_its_events() -> None:
    stream = messages((VECTORS / "inbound.event-stream.bin").read_bytes(), 1000)
    events = [message.event() for message in stream if message.content_type == "text/event-plain"]
    assert [event.get("Event-Name") for event in events] == [
        "CHANNEL_CREATE",
        "CHANNEL_PARK",
        "CHANNEL_HANGUP_COMPLETE",
    ]
    assert {event.get("Caller-ANI") for event in events} == {"+15551234567"}


def test_plain_json_and_xml_events_say_the_same() -> None:
    values = {"Event-Name": "CHANNEL_PARK", "Caller-ANI": "+1555\nx: y", "Name": "é & <ü>"}
    plain = "".join(f"{name}: {quote(value)}\n" for name, value in values.items()) + "\n"
    tags = "".join(f"<{name}>{quote(value)}</{name}>" for name, value in values.items())
    bodies = {
        "text/event-plain": plain,
        "text/event-json": json.dumps(values),
        "text/event-xml": f"<event><headers>{tags}</headers></event>",
    }
    for content_type, body in bodies.items():
        event = Message(f"Content-Type: {content_type}".encode(), body.encode()).event()
        assert {name: event.get(name) for name in values} == values
        assert event.get("absent", "default") == "default"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/event-json", b"{"),
        ("text/event-json", b"[1]"),
        ("text/event-json", b"[" * 100_000),
        ("text/event-xml", b"<event>"),
        ("text/event-xml", b"<event/>"),
        ("text/event-xml", DOCUMENT_TYPE.encode()),
        ("text/event-xml", DOCUMENT_TYPE.encode("utf-16")),
        ("text/plain", b"x"),
        ("", b""),
    ],
)
def test_a_body_that_is_no_event_is_malformed(content_type: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        Message(f"Content-Type: {content_type}".encode(), body).event()


@pytest.mark.parametrize("length", [b"-1", b"x", b"1e3", b"99999999999", b"1048577"])
def test_a_length_that_is_no_number_or_too_large_is_refused(length: bytes) -> None:
    reader = EslReader()
    reader.receive(b"Content-Length: " + length + b"\n\n")
    with pytest.raises(RemoteProtocolError):
        reader.next_message()


def test_a_block_without_an_end_is_refused() -> None:
    reader = EslReader(max_block=1000)
    reader.receive(b"x" * 999)
    assert reader.next_message() is None
    reader.receive(b"x")
    with pytest.raises(TooLong):
        reader.next_message()


@given(st.binary(max_size=400), st.integers(1, 50))
def test_the_reader_raises_nothing_else_on_any_bytes(data: bytes, size: int) -> None:
    reader = EslReader(max_block=200, max_body=200)
    try:
        for start in range(0, len(data), size):
            reader.receive(data[start : start + size])
            while (message := reader.next_message()) is not None:
                list(message.items())
                message.get("Content-Type")
    except RemoteProtocolError:
        pass


NAMES = st.text("abcXYZ-_09", min_size=1, max_size=20)


@given(
    st.dictionaries(NAMES, st.text(max_size=40), min_size=1),
    st.binary(max_size=60),
    st.integers(1, 30),
)
def test_what_freeswitch_encodes_is_read_back(
    headers: dict[str, str], body: bytes, size: int
) -> None:
    headers = {
        f"variable_{name}": value.encode(errors="replace").decode()
        for name, value in headers.items()
    }
    block = "".join(f"{name}: {quote(value)}\n" for name, value in headers.items()).encode()
    data = block + b"Content-Length: %d\n\n" % len(body) + body
    (message,) = messages(data, size)
    assert message.body == body
    assert {name: message.get(name) for name in headers} == headers


def test_bytes_that_are_not_utf8_are_replaced_not_raised() -> None:
    assert Headers(b"A: \xff\xfe%FF").get("A") == "\ufffd\ufffd\ufffd"


def test_of_a_value_without_end_the_beginning_is_decoded() -> None:
    text = Headers(b"A: " + b"%41" * 100_000).get("A")
    assert 1000 < len(text) < 2000
    assert set(text[:1000]) == {"A"}


def test_commands_are_whole_and_in_order() -> None:
    assert esl_command.multiset({"CALLGATE_VERDICT": "block", "CALLGATE_ENTRY": "+33162"}) == (
        b"sendmsg\ncall-command: execute\nexecute-app-name: multiset\n"
        b"execute-app-arg: ^^:CALLGATE_VERDICT=block:CALLGATE_ENTRY=+33162\n\n"
    )
    assert esl_command.execute("park") == (
        b"sendmsg\ncall-command: execute\nexecute-app-name: park\n\n"
    )
    assert esl_command.execute("hangup", "CALL_REJECTED", uuid="a-1").startswith(b"sendmsg a-1\n")
    assert esl_command.line("api status") == b"api status\n\n"


@pytest.mark.parametrize(
    "value", ["${system(touch X)}", "$[1+1]", "a:b", "a\nb", "a\rb", "a\0b", "x" * 81, "é", "a,b"]
)
def test_a_value_that_could_do_harm_never_leaves(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        esl_command.multiset({"CALLGATE_ENTRY": value})


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b"])
def test_no_line_end_leaves_in_any_command(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        esl_command.line(text)
    with pytest.raises(LocalProtocolError):
        esl_command.execute(text)
    with pytest.raises(LocalProtocolError):
        esl_command.execute("log", text)
    with pytest.raises(LocalProtocolError):
        esl_command.execute("log", "x", uuid=text)


def test_an_empty_command_or_variable_never_leaves() -> None:
    with pytest.raises(LocalProtocolError):
        esl_command.line("")
    with pytest.raises(LocalProtocolError):
        esl_command.multiset({})
    with pytest.raises(LocalProtocolError):
        esl_command.multiset({"a b": "x"})


PICKED = ("A", "AB", "ABC", "B-c", "variable_a.b", "Ä")
BLOCKS = st.lists(
    st.tuples(st.sampled_from([*PICKED, "", "a", "ABCD", " A"]), st.sampled_from([": ", ":", ""]))
    .map("".join)
    .flatmap(lambda start: st.text(max_size=8).map(start.__add__))
    .map(str.encode)
    | st.binary(max_size=12)
)


@given(BLOCKS.map(b"\n".join), st.lists(st.sampled_from(PICKED), min_size=1))
def test_headers_that_are_picked_out_are_those_of_the_whole_block(
    block: bytes, picked: list[str]
) -> None:
    fields = Fields(*picked)
    for order in (PICKED, PICKED[::-1]):
        some, whole = Headers(block, fields), Headers(block)
        assert [some.raw(name) for name in order] == [whole.raw(name) for name in order]
        assert list(some.items()) == list(whole.items())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_fields_of_a_call_are_those_of_the_whole_capture(file: Path) -> None:
    for message in messages(file.read_bytes(), 4096):
        block = "\n".join(f"{name}: {quote(value)}" for name, value in message.items()).encode()
        some, whole = Headers(block, FIELDS), Headers(block)
        for name in sorted(FIELDS.names):
            assert some.raw(name) == whole.raw(name)


class Watched(dict[str, str]):
    """Remembers which headers were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[object] = set()

    def get(self, name: str, default: object = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.asked.add(name)
        return super().__contains__(name)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_call_is_read_from_a_header_that_is_not_picked_out(file: Path) -> None:
    for message in messages(file.read_bytes(), 4096):
        block = "\n".join(f"{name}: {quote(value)}" for name, value in message.items()).encode()
        for more in (b"", b"\nvariable_callgate_direction: inbound", b"\nChannel-State: CS_NONE"):
            block = more.lstrip() + b"\n" + block
            values = Watched(Headers(block).values)
            channel = Headers(block, values=values)
            read_request(channel, at=0.0)
            refused(channel, "why", at=0.0)
            assert values.asked
            assert values.asked <= FIELDS.names


@given(st.lists(BLOCKS.map(b"\n".join)).map(b"\n\n".join), st.sampled_from([b"", b"\n", b"\n\n"]))
def test_what_is_read_at_once_is_what_is_read_with_care(text: bytes, end: bytes) -> None:
    data, fields = text + end, Fields(*PICKED)
    at_once = EslReader(fields=fields).at_once(data)
    reader = EslReader(fields=fields)
    reader.receive(data)
    first = reader.next_message()
    if at_once is not None:
        assert first is not None
        assert list(at_once.items()) == list(first.items())
        assert [at_once.raw(name) for name in PICKED] == [first.raw(name) for name in PICKED]
        assert (at_once.content_type, at_once.body) == (first.content_type, first.body)
        assert not reader.begun
        assert reader.next_message() is None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_captured_message_without_a_body_is_read_at_once(file: Path) -> None:
    for message in messages(file.read_bytes(), 4096):
        if message.raw("Content-Length") is None:
            data = message._block + b"\n\n"
            at_once = EslReader(fields=FIELDS).at_once(data)
            assert at_once is not None
            assert shape(at_once) == shape(message)


def test_a_short_reply_that_has_a_body_keeps_it_to_itself() -> None:
    head = b"Content-Type: api/response\nContent-Length: 3\n\n"
    first, second, third = messages(head + b"one" + head + b"two" + head + b"one", 4096)
    assert [message.body for message in (first, second, third)] == [b"one", b"two", b"one"]


@given(st.text() | st.text("%2Bbc+F0", max_size=12))
def test_a_value_is_decoded_as_the_library_does_it(text: str) -> None:
    assert decode(text.encode().decode("latin-1")) == unquote(text, errors="replace")
