"""A leg that a PBX has dialled, out of the events of FreeSWITCH and Asterisk. Pure.

The dialplan marks what it has had decided: ``CALLGATE_FOR``, which legs inherit, is the number
that the verdict was about. A leg to another number is a call of its own.

Rule 1: a mark that cannot be read, or that stands there twice with two values, is no mark.
Rule 2: Asterisk writes a caller's number raw into its events, line ends too: a caller can cut an
event in two and write one of his own, which the rest of the real one may complete. He has 79 bytes
for it: an event counts only when all lines of a channel are there, each once, those that are never
empty with something in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway import numbers
from gateway.calls import Call, Direction
from gateway.numbers import NumberPlan
from gateway.pbx import asterisk, freeswitch, variables
from gateway.pbx.request import has_control
from gateway.policy.model import Policy
from gateway.protocols.esl_headers import Headers

STANDING: Final = "DIALEDPEERNUMBER,SIPDOMAIN"
"""What a Status must be asked for besides (its ``Variables``), so that it tells a leg of Dial."""
ORIGINATED: Final = f"{STANDING},CHANNEL(pjsip,request_uri),CHANNEL(pjsip,remote_uri)"
"""The same for one that was originated; Asterisk warns when it asks other channels than PJSIP's."""

Event = Mapping[str, object]
"""An event of Asterisk's manager: texts by name; a list where a name came more than once."""

_CHANNEL: Final = (
    *("Channel", "ChannelState", "ChannelStateDesc", "CallerIDNum", "CallerIDName"),
    *("ConnectedLineNum", "ConnectedLineName", "Language", "AccountCode", "Context", "Exten"),
    *("Priority", "Uniqueid", "Linkedid"),
)
"""What every event of a channel holds (manager_channels.c), for a second one with ``Dest``."""
NAMES: Final = (
    *(prefix + name for name in (*_CHANNEL, "ChanVariable") for prefix in ("", "Dest")),
    *("DialString", "Application", "Variable"),
)
"""What is read of events, as Asterisk spells it."""
_FILLED: Final = ("Channel", "ChannelState", "ChannelStateDesc", "Uniqueid", "Linkedid")
"""What is never empty: the rest of the event that he cut completes one of empty lines."""
_UNKNOWN: Final = "<unknown>"
_UNSET: Final = ("", "(null)")
"""A variable that a channel does not have, as Status tells it."""
_DOWN: Final = "0"
_user_of_uri = re.compile(r'(?:"[^"]*" *)?<?sips?:([^@;>]+)@').match
_endpoint = re.compile(r"[A-Za-z0-9]+/(.+)-[0-9a-f]{8}").fullmatch


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg on its way out: the call that it is, and the number that a verdict was about.

    ``call.trunk`` is what the PBX calls the way out, which the policy may not know.
    """

    call: Call
    marked: str = ""

    @property
    def hostile(self) -> str:
        """Why no honest dialplan makes such a leg; empty when it may."""
        for text in (self.call.caller, self.call.callee):
            if has_control(text):
                return "a control character in a number"
        return ""


def needs_verdict(leg: Leg, plan: NumberPlan) -> bool:
    """Whether nobody has decided this leg: it calls no extension, nor the number it is marked for.

    The mark is E.164, or of an emergency call the number as it was dialled.
    """
    callee = numbers.read(leg.call.callee, plan)
    if callee.internal:
        return False
    return not leg.marked or leg.marked not in (leg.call.callee, callee.e164)


def trunk_of(leg: Leg, policy: Policy, fallback: str) -> str:
    """The trunk of the policy that a leg goes out by: that of its name, else the one to assume."""
    return leg.call.trunk if leg.call.trunk in policy.trunks else fallback


def of_freeswitch(event: Headers, *, at: float) -> Leg | None:
    """The leg of a CHANNEL_CREATE or CHANNEL_ORIGINATE; None for what is no SIP leg going out."""
    if event.get("Call-Direction") != "outbound":
        return None
    if not event.get("Channel-Name").startswith("sofia/"):
        return None
    caller = event.get("Caller-Caller-ID-Number")
    call = Call(
        direction=Direction.OUTBOUND,
        caller="" if caller in ("0000000000", "_undef_") else caller,
        callee=event.get("Caller-Destination-Number"),
        at=at,
        trunk=event.get("variable_callgate_trunk") or event.get("variable_sip_gateway_name"),
        pbx=freeswitch.PBX,
        channel_id=event.get("Unique-ID"),
        linked_id=event.get("Other-Leg-Unique-ID") or event.get("Channel-Call-UUID"),
    )
    return Leg(call, event.get(f"variable_{variables.FOR}"))


def is_whole(event: Event, prefix: str = "") -> bool:
    """Whether all lines of a channel are in an event of Asterisk's, each once, and filled."""
    lines = [event.get(prefix + name) for name in _CHANNEL]
    return all(isinstance(line, str) for line in lines) and all(
        event[prefix + name] for name in _FILLED
    )


def of_asterisk(event: Event, *, at: float) -> Leg | None:
    """The leg of a DialBegin; None for one to a telephone of ours or to a dialplan (``Local/``).

    Raises:
        ValueError: the event is not whole.
    """
    alone = not any(name in event for name in _CHANNEL)
    if not is_whole(event, "Dest") or not (alone or is_whole(event)):
        raise ValueError("a DialBegin that is not whole")
    channel, dialled = _text(event, "DestChannel"), event.get("DialString")
    if not isinstance(dialled, str):
        raise ValueError("a DialBegin that is not whole")
    callee = dialled_number(dialled)
    if channel.startswith("Local/") or not callee:
        return None
    found = _endpoint(channel)
    caller = _text(event, "CallerIDNum" if not alone else "DestCallerIDNum")
    call = Call(
        direction=Direction.OUTBOUND,
        caller="" if caller == _UNKNOWN else caller,
        callee=callee,
        at=at,
        trunk=found[1] if found else "",
        pbx=asterisk.PBX,
        channel_id=_text(event, "DestUniqueid"),
        linked_id=_text(event, "DestLinkedid"),
    )
    return Leg(call, _mark(event.get("DestChanVariable")))


def standing_in_asterisk(event: Event, *, at: float) -> Leg | None:
    """The leg of a Status, when Dial() has made it and has set the variables that it inherits.

    None for every other channel, and for one whose Status is not whole. app_dial.c sets the
    application after the variables are inherited: a leg that has it has its mark.
    """
    dialled = _variable(event, "DIALEDPEERNUMBER")
    if event.get("Application") != "AppDial" or not is_whole(event):
        return None
    if _text(event, "Channel").startswith("Local/") or dialled in _UNSET:
        return None
    return _standing(event, dialled_number(dialled), "ConnectedLineNum", at)


def may_be_originated(event: Event) -> bool:
    """Whether the channel of a Status may be a PJSIP leg that no Dial() has made, after its INVITE.

    Before it (state Down) a PreDialGoSub may be asking about it.
    """
    return (
        is_whole(event)
        and _text(event, "Channel").startswith("PJSIP/")
        and event["ChannelState"] != _DOWN
        and event.get("Application") != "AppDial"
        and _variable(event, "SIPDOMAIN") == "(null)"
    )


def originated_in_asterisk(event: Event, *, at: float) -> Leg | None:
    """The leg of a Status with ``ORIGINATED``: nobody called us on it, and it called this To.

    Only for an endpoint that is a trunk: the To of a telephone names itself.
    """
    asked = _variable(event, "CHANNEL(pjsip,request_uri)")
    found = _user_of_uri(_variable(event, "CHANNEL(pjsip,remote_uri)"))
    if asked or not found or not may_be_originated(event):
        return None
    return _standing(event, found[1], "CallerIDNum", at)


def endpoint_of(event: Event) -> str:
    """What Asterisk calls the endpoint of a channel: ``carrier`` of ``PJSIP/carrier-0000001a``."""
    found = _endpoint(_text(event, "Channel"))
    return found[1] if found else ""


def _standing(event: Event, callee: str, caller: str, at: float) -> Leg | None:
    if not callee:
        return None
    number = _text(event, caller)
    call = Call(
        direction=Direction.OUTBOUND,
        caller="" if number == _UNKNOWN else number,
        callee=callee,
        at=at,
        trunk=endpoint_of(event),
        pbx=asterisk.PBX,
        channel_id=_text(event, "Uniqueid"),
        linked_id=_text(event, "Linkedid"),
    )
    return Leg(call, _mark(event.get("ChanVariable")))


def dialled_number(text: str) -> str:
    """The number in a dial string: ``0612@carrier``, ``carrier/0612``, ``carrier/sip:0612@host``.

    Empty when it names an endpoint and no number, as for a telephone of ours.
    """
    target = text.partition("&")[0]
    if "/" in target:
        target = target.split("/", 1)[1]
    elif "@" not in target:
        return ""
    scheme, colon, rest = target.partition(":")
    if colon and scheme.lower() in ("sip", "sips", "tel"):
        target = rest
    return re.split(r"[@;/]", target, maxsplit=1)[0]


def _mark(variables_told: object) -> str:
    """The value of CALLGATE_FOR among ``NAME=value`` lines, if there is exactly one."""
    return _only(variables_told, variables.FOR)


def _variable(event: Event, name: str) -> str:
    """A variable that a Status was asked for; empty, too, when it stands there with two values."""
    return _only(event.get("Variable"), name)


def _only(told: object, name: str) -> str:
    """The one value that ``NAME=value`` lines give a name."""
    lines = told if isinstance(told, list) else [told]
    pairs = (str(line).partition("=") for line in lines)
    values = {value for key, _, value in pairs if key == name}
    return values.pop() if len(values) == 1 else ""


def _text(event: Event, name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""
