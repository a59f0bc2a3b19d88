"""A scripted Asterisk manager: it lets log in and does what the test says with each action.

Its bytes are those of Asterisk 22.10.1.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.fakes.manager import Client, Manager, served

SECRET = "s3cret"
GREETING = b"Asterisk Call Manager/11.0.0\r\n"
Action = dict[str, str]
Script = Callable[["Session", Action], None]

_SNAPSHOT = """Channel: {name}
ChannelState: 0
ChannelStateDesc: Down
CallerIDNum: {caller}
CallerIDName: <unknown>
ConnectedLineNum: <unknown>
ConnectedLineName: <unknown>
Language: en
AccountCode: 
Context: from-carrier
Exten: s
Priority: 1
Uniqueid: {uniqueid}
Linkedid: {uniqueid}
ChanVariable: CALLGATE_FOR={mark}
ChanVariable: CALLGATE_ATTEMPT="""  # noqa: W291 - an empty AccountCode ends in a blank


def snapshot(
    name: str, uniqueid: str, *, caller: str = "<unknown>", mark: str = "", prefix: str = ""
) -> str:
    """The lines of a channel in an event."""
    text = _SNAPSHOT.format(name=name, uniqueid=uniqueid, caller=caller, mark=mark)
    return "\n".join(prefix + line for line in text.split("\n"))


def dial_begin(
    dialled: str, *, mark: str = "", uniqueid: str = "1795368179.1", caller: str = ""
) -> str:
    """A leg to ``dialled`` on the trunk ``carrier``; without ``caller`` it is an Originate."""
    parts = ["Event: DialBegin", "Privilege: call,all"]
    if caller:
        parts.append(snapshot("PJSIP/phone-00000007", "1795368179.0", caller=caller))
    parts.append(snapshot("PJSIP/carrier-00000008", uniqueid, mark=mark, prefix="Dest"))
    return "\n".join([*parts, f"DialString: {dialled}"])


def standing(
    dialled: str = "",
    *,
    uniqueid: str = "1795368179.1",
    name: str = "PJSIP/carrier-00000008",
    caller: str = "<unknown>",
    mark: str = "",
    to: str = "",
    asked: str = "",
    state: int = 6,
) -> str:
    """A Status: of a leg that Dial made, with ``dialled``, or of one that was originated ``to``."""
    channel = snapshot(name, uniqueid, caller=caller, mark=mark)
    channel = channel.replace("ChannelState: 0", f"ChannelState: {state}")
    variables = {
        "DIALEDPEERNUMBER": dialled or "(null)",
        "SIPDOMAIN": "127.0.0.1" if asked else "(null)",
        "CHANNEL(pjsip,request_uri)": asked,
        "CHANNEL(pjsip,remote_uri)": to,
    }
    lines = [f"Variable: {name}={value}" for name, value in variables.items()]
    application = f"Application: {'AppDial' if dialled else 'Wait'}"
    head = "Event: Status\nPrivilege: Call"
    return "\n".join([head, channel, "Type: PJSIP", application, *lines])


def hangup(uniqueid: str) -> str:
    ended = snapshot("PJSIP/phone-00000007", uniqueid)
    return f"Event: Hangup\nPrivilege: call,all\n{ended}\nCause: 16\nCause-txt: Normal Clearing"


class Session(Client):
    """One connection to the manager."""

    def send(self, *messages: str) -> None:
        """Messages, whose lines end in a newline here."""
        self.raw(
            "".join(f"{text.rstrip()}\n\n" for text in messages).replace("\n", "\r\n").encode()
        )

    def reply(self, action: Action, text: str = "Message: fine", response: str = "Success") -> None:
        self.send(f"Response: {response}\nActionID: {action['ActionID']}\n{text}")


@dataclass
class FakeAsterisk(Manager[Session, Action]):
    """Its actions so far, in all sessions, and what it does with the next.

    ``channels`` are ids of channels that stand there, ``legs`` the whole Status of others.
    """

    script: Mapping[str, Script] = field(default_factory=dict)
    channels: list[str] = field(default_factory=list)
    legs: list[str] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    end = b"\r\n\r\n"

    def told(self, name: str) -> list[Action]:
        """The actions of this name, without their ids."""
        return [
            {key: value for key, value in action.items() if key != "ActionID"}
            for action in self.actions
            if action["Action"] == name
        ]

    def begin(self, writer: asyncio.StreamWriter) -> Session:
        writer.write(GREETING)
        return Session(writer)

    def obey(self, session: Session, command: str) -> None:
        action = dict(line.split(": ", 1) for line in command.strip("\r\n").split("\r\n"))
        self.actions.append(action)
        (self.script.get(action["Action"]) or self.answer)(session, action)

    def answer(self, session: Session, action: Action) -> None:
        """What a manager does by itself."""
        match action["Action"]:
            case "Login" if action["Secret"] != SECRET:
                session.reply(action, "Message: Authentication failed", "Error")
                session.close()
            case "Login":
                session.reply(action, "Message: Authentication accepted")
            case "Status":
                self._status(session, action)
            case _:
                session.reply(action)

    def _status(self, session: Session, action: Action) -> None:
        mine = f"ActionID: {action['ActionID']}"
        session.reply(action, "EventList: start\nMessage: Channel status will follow")
        others = [
            standing(name=f"PJSIP/phone-{place:08x}", uniqueid=uniqueid, asked="sip:1@127.0.0.1")
            for place, uniqueid in enumerate(self.channels)
        ]
        told = [text for text in others + self.legs if self._is_asked_for(text, action)]
        session.send(*[f"{only_asked(text, action)}\n{mine}" for text in told])
        session.send(f"Event: StatusComplete\n{mine}\nEventList: Complete\nListItems: {len(told)}")

    def _is_asked_for(self, status: str, action: Action) -> bool:
        return f"Channel: {action['Channel']}\n" in status if "Channel" in action else True


def only_asked(status: str, action: Action) -> str:
    """A Status with those of its variables that the action names."""
    names = re.findall(r"\w+(?:\([^)]*\))?", action.get("Variables", ""))
    found = [line for line in status.split("\n") if line.startswith("Variable: ")]
    unasked = [line for line in found if line[10:].partition("=")[0] not in names]
    return "\n".join(line for line in status.split("\n") if line not in unasked)


@asynccontextmanager
async def fake_asterisk(**script: Script) -> AsyncIterator[FakeAsterisk]:
    """A manager on loopback; ``script`` says what it does with actions by name."""
    async with served(FakeAsterisk(script)) as fake:
        yield fake
