"""The AGI protocol against what Asterisk 22.10.1 sent, honest and forged, cut in every way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import LocalProtocolError, Malformed, RemoteProtocolError, TooLong
from gateway.protocols import agi
from gateway.protocols.agi import NEED_DATA, AgiServer, Event, Hostile
from gateway.protocols.agi_client import AgiClient, Channel, environment
from gateway.protocols.agi_command import mset
from gateway.protocols.agi_environment import MAX_ENVIRONMENT, Request
from gateway.protocols.agi_reply import Hangup, Reply

VECTORS = Path(__file__).parent.parent / "vectors" / "agi"
URL = "agi://127.0.0.1:4573/screen/inbound/t5/-/%2B15551234567/%2B33140000000/allowed"
ENVIRONMENT = environment(URL, Channel())
HONEST = ("anonymous", "no-user", "normal")
FORGED = ("env-end-injection", "newline-injection")
URL_HONEST = ("url-anonymous", "url-normal", "url-pai-privacy", "url-punctuation")
URL_FORGED = ("url-forged-environment",)


def captured(name: str, kind: str = "env") -> bytes:
    return (VECTORS / f"{name}.{kind}.bin").read_bytes()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def drain(server: AgiServer) -> Iterator[Event]:
    while (event := server.next_event()) is not NEED_DATA:
        yield event


def events(*chunks: bytes, server: AgiServer | None = None) -> list[Event]:
    server = server or AgiServer()
    found: list[Event] = []
    for chunk in chunks:
        server.receive(chunk)
        found += drain(server)
    return found


def outcome(chunks: Iterator[bytes]) -> list[object]:
    """The events of a session in which we never speak, an error of the peer's as the last."""
    server, found = AgiServer(), list[object]()
    try:
        for chunk in chunks:
            server.receive(chunk)
            found += drain(server)
    except RemoteProtocolError as error:
        found.append(type(error))
    return found


def replies(*chunks: bytes) -> list[Event]:
    server = AgiServer()
    events(ENVIRONMENT, server=server)
    server.command({"A": "1"})
    return events(*chunks, server=server)


@pytest.mark.parametrize("size", [4096, 128, 16, 1])
@pytest.mark.parametrize("name", [*HONEST, *URL_HONEST])
def test_an_honest_environment_is_one_request_in_reads_of_any_size(name: str, size: int) -> None:
    (event,) = events(*pieces(captured(name), size))
    assert isinstance(event, Request)
    assert event.unique_id.startswith("179536")


@pytest.mark.parametrize("size", [4096, 128, 16, 1])
@pytest.mark.parametrize("name", [*FORGED, *URL_FORGED])
def test_a_forged_environment_is_hostile_in_reads_of_any_size(name: str, size: int) -> None:
    (event,) = events(*pieces(captured(name), size))
    assert isinstance(event, Hostile)


@pytest.mark.parametrize("name", [*HONEST, *FORGED, *URL_HONEST, *URL_FORGED])
def test_every_cut_of_a_capture_gives_the_same_events(name: str) -> None:
    data = captured(name) + captured(name, "replies")[:40]
    whole = outcome(iter([data]))
    assert whole
    for cut in range(1, len(data)):
        assert outcome(iter([data[:cut], data[cut:]])) == whole


def test_the_path_is_what_the_dialplan_wrote_undecoded() -> None:
    (event,) = events(captured("url-punctuation"))
    assert isinstance(event, Request)
    assert event.path == (
        "screen/inbound/t5/-/%2B1%2C555%22(a)%20b/%2B33140000000/allowed_not_screened"
    )


def test_a_forged_environment_still_names_the_call_that_the_dialplan_passed() -> None:
    (event,) = events(captured("url-forged-environment"))
    assert isinstance(event, Hostile)
    assert event.path.endswith("%0A%0A/%2B33140000000/allowed_not_screened")


def test_no_value_that_a_caller_wrote_is_handed_out() -> None:
    channel = Channel(caller="+18005550000", caller_name="Mallory", dnid="42", extension="43")
    (event,) = events(environment(URL, channel, ["+18005550000"]))
    assert isinstance(event, Request)
    assert event == Request(URL.partition("4573/")[2], channel.unique_id)


def test_arguments_are_allowed_in_order() -> None:
    (event,) = events(environment(URL, Channel(), ["one", "two words", ""]))
    assert isinstance(event, Request)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(ENVIRONMENT.replace(b"agi_language: en\n", b""), id="a key is missing"),
        pytest.param(
            ENVIRONMENT.replace(b"agi_language: en\n", b"agi_language: en\n" * 2), id="a key twice"
        ),
        pytest.param(
            ENVIRONMENT.replace(b"agi_dnid", b"agi_tmp")
            .replace(b"agi_rdnis", b"agi_dnid")
            .replace(b"agi_tmp", b"agi_rdnis"),
            id="keys out of order",
        ),
        pytest.param(ENVIRONMENT.replace(b"agi_language", b"agi_languagE"), id="a key in capitals"),
        pytest.param(environment(URL, Channel(caller_name="a\nagi_x: b")), id="a key too many"),
        pytest.param(environment(URL, Channel(caller="1\n2")), id="a line without a key"),
        pytest.param(environment(URL, Channel(caller="1\0")), id="a NUL"),
        pytest.param(environment(URL, Channel(), ["a\nagi_arg_1: b"]), id="an argument twice"),
        pytest.param(environment(URL, Channel(), ["a\nagi_arg_3: b"]), id="an argument skipped"),
        pytest.param(ENVIRONMENT[:200] + b"\n\n", id="an early end"),
    ],
)
def test_keys_that_are_not_exactly_asterisks_are_hostile_and_the_url_is_kept(
    changed: bytes,
) -> None:
    (event,) = events(changed)
    assert isinstance(event, Hostile)
    assert event.path == URL.partition("4573/")[2]


@pytest.mark.parametrize(
    "lines",
    [
        b"agi_network: yes",
        b"agi_network: yes\nagi_request: agi://127.0.0.1",
        b"agi_network: yes\nagi_network_script: a\nagi_request: agi://h/b",
        b"agi_network: yes\nagi_network_script: a\nagi_request: agi://h/x/a",
        b"agi_network: yes\nagi_network_script: a\nagi_request: http://h/a",
        b"agi_network: yes\nagi_network_script: a\nagi_request: agi:h/a",
        b"agi_network: yes\nagi_network_script: \xff\nagi_request: agi://h/\xff",
        b"agi_network: yes\nagi_request: agi://h/a\nagi_network_script: a",
    ],
)
def test_a_url_that_is_not_whole_is_hostile_and_names_nothing(lines: bytes) -> None:
    (event,) = events(lines + b"\n\n")
    assert isinstance(event, Hostile)
    assert event.path == ""


def test_the_srv_form_of_a_url_is_read_too() -> None:
    (event,) = events(environment("hagi://gateway/probe", Channel()))
    assert isinstance(event, Request)
    assert event.path == "probe"


def test_bytes_that_are_not_utf8_are_tolerated_where_a_caller_writes() -> None:
    (event,) = events(ENVIRONMENT.replace(b"agi_callerid: unknown", b"agi_callerid: \xff\xfe"))
    assert isinstance(event, Request)


@pytest.mark.parametrize("cut", [0, 1])
def test_bytes_after_the_blank_line_before_our_command_are_hostile(cut: int) -> None:
    found = events(ENVIRONMENT[: len(ENVIRONMENT) - cut], ENVIRONMENT[-cut:][:cut] + b"200 x")
    assert isinstance(found[0], Request)
    assert isinstance(found[1], Hostile)
    assert found[1].path == found[0].path
    assert len(found) == 2


@pytest.mark.parametrize("size", [4096, 1])
def test_a_hangup_before_our_command_is_a_hangup(size: int) -> None:
    server = AgiServer()
    found = events(*pieces(ENVIRONMENT + b"HANGUP\nHANGUP\n", size), server=server)
    assert found[1:] == [Hangup(), Hangup()]
    server.command({"A": "1"})
    assert events(b"200 result=0\n", server=server) == [Reply(200, "0")]


@pytest.mark.parametrize("data", [b"\n\n", b"GET / HTTP/1.1\r\n", b"agi_network: no", b"\xff"])
def test_a_peer_that_is_not_asterisk_is_an_error(data: bytes) -> None:
    with pytest.raises(Malformed):
        events(data)


def test_an_environment_without_end_is_hostile_once_it_has_named_its_call() -> None:
    long = ENVIRONMENT[:-1] + b"agi_arg_1: " + b"x" * MAX_ENVIRONMENT
    for chunks in ([long], list(pieces(long, 1000))):
        (event,) = events(*chunks)
        assert isinstance(event, Hostile)
        assert event.path == URL.partition("4573/")[2]


def test_an_endless_line_before_the_url_is_an_error() -> None:
    with pytest.raises(TooLong):
        events(b"agi_network: yes\nagi_network_script: " + b"x" * MAX_ENVIRONMENT)


def test_a_flood_after_the_environment_is_an_error() -> None:
    server = AgiServer()
    with pytest.raises(TooLong):
        events(ENVIRONMENT, *[b"x" * 4096] * 20, server=server)


def test_an_environment_of_exactly_the_limit_is_read() -> None:
    room = MAX_ENVIRONMENT - len(environment(URL, Channel(), [""]))
    assert isinstance(events(environment(URL, Channel(), ["x" * room]))[0], Request)
    assert isinstance(events(environment(URL, Channel(), ["x" * (room + 1)]))[0], Hostile)


REPLIES = [
    (b"200 result=0\n", Reply(200, "0")),
    (b"200 result=1 (nuisance)\n", Reply(200, "1")),
    (b"200 result=1 (HANGUP)\n", Reply(200, "1")),
    (b"200 result=-2\n", Reply(200, "-2")),
    (b"200 result=-1 (hangup) endpos=9\n", Reply(200, "-1")),
    (b"510 Invalid or unknown command\n", Reply(510)),
    (b"511 Command Not Permitted on a dead channel or intercept routine\n", Reply(511)),
    (b"520 Invalid command syntax.  Proper usage not available.\n", Reply(520)),
    (
        b"520-Invalid command syntax.  Proper usage follows:\n Usage: EXEC\n200 result=1\n"
        b"520 End of proper usage.\n",
        Reply(520),
    ),
    (
        b"520-Invalid command syntax.  Proper usage follows:\nthe other end."
        b"520 End of proper usage.\n",
        Reply(520),
    ),
    (b"100 result=0 Trying...\n200 result=0 Gosub complete\n", Reply(200, "0")),
]


@pytest.mark.parametrize(("data", "expected"), REPLIES)
@pytest.mark.parametrize("size", [4096, 7, 1])
def test_replies_are_read_as_res_agi_writes_them(data: bytes, expected: Reply, size: int) -> None:
    assert replies(*pieces(data, size)) == [expected]


@pytest.mark.parametrize(("data", "expected"), REPLIES)
def test_a_hangup_line_displaces_no_reply(data: bytes, expected: Reply) -> None:
    lines = data.splitlines(keepends=True)
    for place in range(len(lines)):
        mixed = b"".join([*lines[:place], b"HANGUP\n", b"HANGUP\n", *lines[place:]])
        assert replies(mixed) == [Hangup(), Hangup(), expected]


def test_only_200_without_a_minus_means_that_a_command_was_run() -> None:
    assert [reply for _, reply in REPLIES if reply.done] == [
        *[Reply(200, "0")],
        *[Reply(200, "1")] * 2,
        Reply(200, "0"),
    ]


@pytest.mark.parametrize("line", [b"\n", b"agi_dnid: 1\n", b"20\n", b"2000 x\n", b"hangup\n"])
def test_a_line_that_is_no_reply_is_an_error(line: bytes) -> None:
    with pytest.raises(Malformed):
        replies(line)


def test_a_reply_line_without_end_is_an_error() -> None:
    with pytest.raises(TooLong):
        replies(b"200 result=0 (" + b"x" * agi.MAX_REPLY_LINE)


def hostile_session(after: bytes) -> Event:
    server = AgiServer()
    events(captured("url-forged-environment"), server=server)
    server.command({"CALLGATE_VERDICT": "block"})
    assert events(*pieces(after, 16), server=server) == []
    return server.receive_eof()


def test_after_a_forged_environment_only_the_last_line_is_a_reply() -> None:
    rest = captured("url-forged-environment", "replies")
    assert hostile_session(rest + b"200 result=0\n") == Reply(200, "0")
    assert hostile_session(b"200 result=0\n" + rest) is NEED_DATA
    assert hostile_session(rest + b"510 Invalid or unknown command\nHANGUP\n") == Reply(510)
    assert hostile_session(rest + b"200 result=0") is NEED_DATA
    assert hostile_session(b"") is NEED_DATA


def test_a_line_before_our_command_is_no_reply_to_it() -> None:
    server = AgiServer()
    events(ENVIRONMENT + b"200 result=1\n", server=server)
    server.command({"A": "1"})
    assert server.receive_eof() is NEED_DATA


def test_an_honest_session_ends_without_another_event() -> None:
    server = AgiServer()
    events(ENVIRONMENT, server=server)
    server.command({"A": "1"})
    assert events(b"200 result=0\n200 result=1\n", server=server) == [Reply(200, "0")]
    assert server.receive_eof() is NEED_DATA


def test_a_command_is_refused_out_of_turn() -> None:
    server = AgiServer()
    with pytest.raises(LocalProtocolError):
        server.command({"A": "1"})
    events(ENVIRONMENT, server=server)
    server.command({"A": "1"})
    with pytest.raises(LocalProtocolError):
        server.command({"A": "1"})


def test_a_refused_value_leaves_the_turn_with_us() -> None:
    server = AgiServer()
    events(ENVIRONMENT, server=server)
    with pytest.raises(LocalProtocolError):
        server.command({"A": "1\n"})
    assert server.command({"A": "1"}) == b'EXEC MSet "A=1"\n'


def test_mset_is_one_line() -> None:
    assert mset({"A": "1", "B_C": "a+b. _-"}) == b'EXEC MSet "A=1,B_C=a+b. _-"\n'


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"a": "1"},
        {"": "1"},
        {"A1": "1"},
        *({"A": value} for value in ("a,B=1", 'a"', "a\\", "a\n", "\r", "\0", "${X}", "é", "=")),
        {"A": "x" * 81},
        {chr(65 + n) * 9: "x" * 80 for n in range(12)},
    ],
)
def test_mset_refuses_what_could_mean_anything_else(values: dict[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        mset(values)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=90), max_size=12))
def test_mset_gives_what_a_client_reads_back_or_refuses(values: dict[str, str]) -> None:
    try:
        line = mset(values)
    except LocalProtocolError:
        return
    client = AgiClient()
    assert client.receive(line) == b"200 result=0\n"
    assert client.variables == values
    assert not client.half


BYTES = st.one_of(
    st.binary(max_size=400),
    st.builds(
        lambda line, place: b"\n".join(
            [*ENVIRONMENT.split(b"\n")[:place], line, *ENVIRONMENT.split(b"\n")[place:]]
        ),
        st.one_of(st.binary(max_size=30), st.sampled_from(ENVIRONMENT.split(b"\n"))),
        st.integers(0, 24),
    ),
    st.builds(lambda tail: ENVIRONMENT + tail, st.sampled_from([b"", b"HANGUP\n", b"HANG", b"x"])),
)


@given(BYTES, st.lists(st.integers(0, 1200), max_size=6))
def test_the_parser_is_total_and_blind_to_how_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    cut = (data[start:end] for start, end in pairwise(places))
    assert outcome(cut) == outcome(iter([data]))


@given(st.lists(st.sampled_from([reply for reply, _ in REPLIES] + [b"HANGUP\n", b"\xff\n", b"2"])))
def test_replies_do_not_depend_on_how_they_are_cut(lines: list[bytes]) -> None:
    def read(size: int) -> list[object]:
        server, found = AgiServer(), list[object]()
        events(ENVIRONMENT, server=server)
        server.command({"A": "1"})
        try:
            for chunk in pieces(b"".join(lines), size):
                server.receive(chunk)
                found += drain(server)
        except RemoteProtocolError as error:
            found.append(type(error))
        return found

    assert read(1) == read(100_000)


def careful(data: bytes) -> list[object]:
    """The events of a session whose bytes never come in one read."""
    return outcome(pieces(data, max(1, len(data) - 1)))


def at_once(*reads: bytes) -> list[object]:
    """The same session, whose bytes come in one read, or in these."""
    server, found = AgiServer(), list[object]()
    try:
        for data in reads:
            if (event := server.at_once(data)) is not None:
                found.append(event)
            else:
                server.receive(data)
            found += drain(server)
    except RemoteProtocolError as error:
        found.append(type(error))
    return found


@pytest.mark.parametrize("file", sorted(VECTORS.glob("*.bin")), ids=lambda file: file.stem)
def test_a_capture_in_one_read_gives_the_events_of_the_careful_way(file: Path) -> None:
    data = file.read_bytes()
    assert at_once(data) == careful(data) or len(data) < 2


CHANGES = st.sampled_from(
    [
        *(b"\n", b"\r", b"\0", b"\xff", b"/", b"://", b" ", b": ", b"\xc3\xa9", b"agi_arg_1: x\n"),
        *(b"h", b"agi_network: yes\n", b"HANGUP\n", b"200 result=1\n", b"x" * MAX_ENVIRONMENT),
        *(line + b"\n" for line in ENVIRONMENT.split(b"\n")),
    ]
)


@given(st.data())
def test_an_environment_in_one_read_gives_the_events_of_the_careful_way(
    data: st.DataObject,
) -> None:
    text = ENVIRONMENT
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.sampled_from([start, start + 1, start + 7, text.find(b"\n", start) + 1]))
        text = text[:start] + data.draw(CHANGES | st.just(b"")) + text[max(start, end) :]
    assert at_once(text) == careful(text)
    cuts = data.draw(st.lists(st.integers(0, len(text)) | st.just(len(text) - 1), max_size=3))
    reads = [text[start:end] for start, end in pairwise([0, *sorted(cuts), len(text)])]
    assert at_once(*filter(None, reads)) == careful(text)


@pytest.mark.parametrize("length", [MAX_ENVIRONMENT - 1, MAX_ENVIRONMENT, 16 * 1024 + 1])
def test_the_bound_of_an_environment_is_the_same_in_one_read(length: int) -> None:
    text = ENVIRONMENT.replace(b"agi_dnid: ", b"agi_dnid: " + b"1" * (length - len(ENVIRONMENT)))
    assert len(text) == length
    assert at_once(text) == careful(text)


def test_an_honest_environment_is_kept_nowhere() -> None:
    """The short way is the way that it takes: nothing of it waits in a buffer."""
    server = AgiServer()
    assert isinstance(server.at_once(ENVIRONMENT), Request)
    assert server._buffer is agi._NOTHING
    assert not len(agi._NOTHING)


@pytest.mark.parametrize("name", URL_HONEST)
def test_an_environment_that_comes_line_by_line_is_taken_whole_at_its_end(name: str) -> None:
    """As Asterisk writes it: what the lines were kept in is given back."""
    server = AgiServer()
    *lines, empty = captured(name).splitlines(keepends=True)
    for line in lines:
        assert server.at_once(line) is None
        assert not events(line, server=server)
    assert [server.at_once(empty)] == events(captured(name))
    assert server._buffer is agi._NOTHING


SAID = (b"200 result=0\n", b"200 result=1\n", b"200 result=-2\n", b"200 result=10\n")


@given(
    st.lists(
        st.sampled_from([*SAID, b"HANGUP\n", b"200 result=1", b"\n", b"520-x\n", b"x"]),
        max_size=4,
    ),
    st.booleans(),
)
def test_a_reply_in_one_read_gives_the_events_of_the_careful_way(
    reads: list[bytes], whole: bool
) -> None:
    found = []
    for short in (True, False):
        server, said = AgiServer(), list[object]()
        if whole:
            server.at_once(ENVIRONMENT)
        else:
            events(ENVIRONMENT, server=server)
        server.command({"A": "1"})
        try:
            for data in reads:
                if short and (event := server.at_once(data)) is not None:
                    said.append(event)
                else:
                    server.receive(data)
                said += drain(server)
        except RemoteProtocolError as error:
            said.append(type(error))
        found.append([event for event in said if event is not NEED_DATA])
    assert found[0] == found[1]
