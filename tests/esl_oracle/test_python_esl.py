"""python-ESL reads what we write and writes what we read: a second opinion on the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from gateway.protocols.esl import EslReader, Message
from gateway.protocols.esl_command import CONNECT, EXIT, RESUME, api, execute, line, multiset
from tests.esl_oracle.oracle import Step, Told, peer
from tests.esl_oracle.server import Server, event_plain, reply, serving, with_body
from tests.fakes.freeswitch import VECTORS, captured, channel_data, esl_call

PASSWORD = "s3cret and more"
CALLS = sorted(path.name.partition(".")[0] for path in VECTORS.glob("*.connect.bin"))
VALUES = {"CALLGATE_VERDICT": "block", "CALLGATE_LIST": "nuisance calls", "CALLGATE_ENTRY": "+1555"}
MULTISET = "^^:" + ":".join(f"{name}={value}" for name, value in VALUES.items())
READ_BY_ITSELF = ("Event-Name", "SOCKET_DATA")
"""What python-ESL puts before the headers of a message that is no event."""
AWKWARD = {
    "Empty": "",
    "Blank-Ends": "  both  ",
    "Percent": "100% %0A %zz",
    "Line-Ends": "Bob\r\nHangup-Cause: FORGED\n\nX: y",
    "Colons": "a: b: c",
    "Plus": "+33 1+2",
    "Latin": "Éloïse Ångström",
    "Emoji": "\N{CHERRIES} \N{TELEPHONE RECEIVER}",
    "Quotes": "\"'`$${system(x)}&|;<>\\",
    "Controls": "\x01\x1b\x7f",
}


def messages(data: bytes) -> list[Message]:
    reader = EslReader()
    reader.receive(data)
    read = []
    while (message := reader.next_message()) is not None:
        read.append(message)
    assert not reader.begun
    return read


def as_told(message: Message) -> Told:
    """One of our messages as python-ESL would tell it."""
    return Told(firsts([READ_BY_ITSELF, *message.items()]), message.body.decode())


def firsts(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each header with the first value of its name: by name is how python-ESL gives them."""
    listed = list(headers)
    values = dict(reversed(listed))
    return [(name, values[name]) for name, _ in listed]


def event_as_told(message: Message) -> Told:
    if message.content_type != "text/event-plain":
        return as_told(message)
    event = message.event()
    assert isinstance(event, Message)
    return Told(firsts(event.items()), event.body.decode())


async def session(
    site: Path, server: Server, steps: list[Step], password: str = PASSWORD
) -> list[object]:
    """What python-ESL as the client of that server got back for its steps."""
    async with serving(server):
        script = {"connect": ["127.0.0.1", server.port, password]}
        async with peer(site, script, steps) as client:
            return await client.results()


def replies(answers: dict[str, bytes]) -> Server:
    """A server that knows the password and these first words; the rest is fine with it."""

    ok, refused = captured("inbound.auth-accepted"), captured("inbound.auth-refused")

    def answer(command: str) -> bytes:
        if command.startswith("auth "):
            return ok if command == f"auth {PASSWORD}" else refused
        return answers.get(command.partition(" ")[0], reply("+OK"))

    return Server(answer)


@pytest.mark.parametrize("chunk", [0, 97])
@pytest.mark.parametrize("name", CALLS)
async def test_both_read_the_same_headers_in_a_captured_channel(
    site: Path, name: str, chunk: int
) -> None:
    steps: list[Step] = [["getInfo"], ["execute", "multiset", MULTISET], ["sendRecv", "exit"]]
    async with peer(site, {"accept": True}, steps) as server:
        channel = await esl_call("127.0.0.1", server.port, name, chunk=chunk)
        info, executed, left = map(Told.read, await server.results())
    assert channel.commands[0] == b"connect"
    assert channel.variables == VALUES
    (ours,) = messages(captured(f"{name}.connect"))
    assert info == as_told(ours)
    assert len(info.headers) > 100
    assert executed == as_told(messages(captured(f"{name}.sendmsg-reply"))[0])
    assert left == as_told(messages(captured(f"{name}.exit-reply"))[0])


async def test_both_write_the_same_commands_to_a_channel(site: Path) -> None:
    uuid = "a7494abb-5341-4489-b32a-5eb7d458a729"
    steps: list[Step] = [
        ["execute", "multiset", MULTISET],
        ["execute", "playback", "silence_stream://100", uuid],
        ["sendRecv", "resume"],
        ["sendRecv", "exit"],
    ]
    server = replies({})
    await session(site, server, steps)
    greeting = line(f"auth {PASSWORD}")
    played = execute("playback", "silence_stream://100", uuid=uuid)
    assert server.received == greeting + multiset(VALUES) + played + RESUME + EXIT


async def test_what_we_encode_into_a_channel_arrives_unharmed(site: Path) -> None:
    data = channel_data("normal", headers=dict(AWKWARD))
    async with peer(site, {"accept": True}, [["getInfo"], ["sendRecv", "exit"]]) as server:
        channel = await esl_call("127.0.0.1", server.port, data=data, chunk=1000)
        info = Told.read((await server.results())[0])
    assert channel.commands[0] + b"\n\n" == CONNECT
    assert info == as_told(messages(data)[0])
    assert dict(info.headers).items() >= (AWKWARD | {"Empty": "_undef_"}).items()


async def test_both_take_the_first_of_two_headers_of_one_name(site: Path) -> None:
    doubled = b"\nDoubled: first\nDoubled: second\nUnique-ID: "
    data = channel_data("normal").replace(b"\nUnique-ID: ", doubled)
    async with peer(site, {"accept": True}, [["getInfo"], ["sendRecv", "exit"]]) as server:
        await esl_call("127.0.0.1", server.port, data=data)
        info = Told.read((await server.results())[0])
    assert [value for name, value in info.headers if name == "Doubled"] == ["first", "first"]
    assert messages(data)[0].get("Doubled") == "first"


async def test_both_read_the_same_in_a_captured_inbound_session(site: Path) -> None:
    stream = messages(captured("inbound.event-stream"))
    assert len(stream) > 1
    server = Server(
        {
            f"auth {PASSWORD}": captured("inbound.auth-accepted"),
            "api status ": captured("inbound.api-status"),
            "bgapi status": captured("inbound.bgapi-reply"),
            "event plain ALL": captured("inbound.event-reply") + captured("inbound.event-stream"),
        }.__getitem__,
        chunk=500,
    )
    steps: list[Step] = [["api", "status"], ["bgapi", "status"], ["events", "plain", "ALL"]]
    steps += [["recvEvent"] for _ in stream]
    status, job, enabled, *events = await session(site, server, steps)
    assert Told.read(status) == as_told(messages(captured("inbound.api-status"))[0])
    assert Told.read(job) == as_told(messages(captured("inbound.bgapi-reply"))[0])
    assert enabled == 0
    assert [Told.read(event) for event in events] == [event_as_told(one) for one in stream]


async def test_it_reads_the_replies_and_events_that_we_encode(site: Path) -> None:
    headers = [("Event-Name", "CUSTOM"), ("Event-Subclass", "callgate::test"), *AWKWARD.items()]
    event = event_plain(headers, body="Grüße\n\nX: y\n".encode())
    listing = "uuid,name\n\n0 total.\n"
    server = replies(
        {
            "api": with_body("api/response", listing.encode()),
            "event": reply("+OK event listener enabled plain") + event,
        }
    )
    steps: list[Step] = [["api", "show", "channels"], ["events", "plain", "CUSTOM"], ["recvEvent"]]
    shown, _, happened = await session(site, server, steps)
    assert Told.read(shown).body == listing
    assert server.commands[1][0].encode() + b"\n\n" == api("show", "channels")
    told = Told.read(happened)
    assert told == event_as_told(messages(event)[0])
    assert told.body == "Grüße\n\nX: y\n"
    assert dict(told.headers).items() >= (AWKWARD | {"Empty": "_undef_"}).items()


async def test_a_refused_password_is_understood(site: Path) -> None:
    server = replies({})
    assert await session(site, server, [["connected"]], password="wrong") == [0]
    assert await session(site, replies({}), [["connected"]]) == [1]
    assert server.commands[0][0] == "auth wrong"


async def test_we_read_the_messages_and_bodies_that_it_sends(site: Path) -> None:
    body = "one: 1\n\ntwo: Zürich\n"
    message = {"type": ["sendmsg"], "headers": [["call-command", "hangup"]]}
    notice = {"type": ["CUSTOM", "a::b"], "headers": [["Who", "Zoë 100%"]], "body": body}
    steps: list[Step] = [["sendMSG", message, "some-uuid"], ["sendEvent", notice], ["api", "x"]]
    server = replies({"api": with_body("api/response", b"-ERR no such thing\n")})
    *_, last = await session(site, server, steps)
    _, (hangup, told), (sent, event), (asked, _) = server.commands
    assert hangup == "sendmsg some-uuid"
    assert told.get("call-command") == "hangup"
    assert sent == "sendevent CUSTOM"
    assert event.raw("Who") == "Zoë 100%".encode()
    assert event.get("Event-Subclass") == "a::b"
    assert event.body == body.encode()
    assert asked == "api x "
    assert Told.read(last).body == "-ERR no such thing\n"
