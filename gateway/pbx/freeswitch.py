"""FreeSWITCH's channel data to a ``Call``, and a ``Verdict`` to channel variables. Pure.

The dialplan says what a call is, in channel variables or in the path of ``socket``, where a
variable wins over the path:

    callgate_direction  callgate_trunk  callgate_campaign  callgate_extension
    callgate_caller     callgate_callee  callgate_key       callgate_linked   callgate_report
    socket host:port/<direction>[/<trunk>[/<campaign>]]

Rule 1: the direction is never guessed. ``Call-Direction`` describes a leg: the call of a phone of
ours arrives "inbound". Only a leg that ``execute_on_originate`` stops before its INVITE (channel
state CS_NONE) is outbound by its nature, whatever an exported variable says.
Rule 2: a control character, or bytes that are not UTF-8, in a fact that a verdict hangs on is no
honest call: hostile. Names are recorded only, and old phones write them in Latin-1.
Rule 3: only what is read is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from gateway.calls import Call, Direction, Presentation
from gateway.pbx import variables
from gateway.pbx.answer import answer as answer_with
from gateway.pbx.answer import ending
from gateway.pbx.request import Bad, Refused, ScreenRequest, has_control, scope
from gateway.pbx.variables import clean
from gateway.policy.model import Action, Reason, Verdict
from gateway.protocols.esl_command import multiset
from gateway.protocols.esl_headers import Fields, Headers, decode

PBX: Final = "freeswitch"

CAUSES: Final[Mapping[int, int]] = {
    403: 52,
    404: 1,
    410: 22,
    428: 820,
    429: 821,
    437: 822,
    438: 823,
    480: 19,
    483: 25,
    484: 28,
    486: 17,
    488: 88,
    501: 29,
    502: 27,
    503: 34,
    504: 102,
    600: 815,
    604: 817,
    606: 818,
    607: 819,
}
"""SIP status to the cause for which mod_sofia sends it (hangup_cause_to_sip); those from 800 on
are FreeSWITCH's own numbers, not Q.850's."""
OTHER_CAUSE: Final = 21
"""Every other status: mod_sofia sends 603 for it."""

FIELDS: Final = Fields(
    *("Reply-Text", "Channel-State", "Socket-Mode"),
    *("Unique-ID", "Other-Leg-Unique-ID", "Channel-Call-UUID", "Caller-Privacy-Hide-Number"),
    *("Caller-Caller-ID-Number", "Caller-Caller-ID-Name", "Caller-Destination-Number"),
    *("variable_socket_path", "variable_socket_resume", "variable_sip_gateway_name"),
    *("variable_sip_verstat", "variable_sip_verstat_detailed", "variable_sip_identity"),
    *(
        f"variable_callgate_{name}"
        for name in (
            *("direction", "trunk", "campaign", "extension", "caller", "callee", "key"),
            *("linked", "report"),
        )
    ),
)
"""Every header that is read of a channel, and of the replies to what it is told."""
MAX_FACT: Final = 4096
"""Bytes of one value, escapes and all; a fact that is longer is hostile."""
_EMPTY: Final = "_undef_"
"""What stands for an empty value on the wire (switch_event_serialize)."""
_NOBODY: Final = "0000000000"
"""The caller of a channel that was given none (SWITCH_DEFAULT_CLID_NUMBER)."""
_PATH_PARTS: Final = 3
_DIRECTIONS: Final = {item.value: item for item in Direction}
_Values = Mapping[str, str]
"""The headers of a channel as they came."""
_Read = Callable[[_Values, str], str]
_unreadable = re.compile("[\x00-\x1f\x7f\N{REPLACEMENT CHARACTER}]").search


def read_request(channel: Headers, *, at: float) -> ScreenRequest | Refused:
    """What the data of a channel ask for. Total: whatever cannot be read is ``Refused``.

    ``at`` is the time of receipt (UTC seconds).
    """
    try:
        return _screen(channel.values, at)
    except Bad as bad:
        return refused(channel, str(bad), at=at)


def refused(channel: Headers, why: str, *, at: float) -> Refused:
    """A hostile request, with what its channel still tells; what cannot be read stays encoded.

    With no legible direction the call counts as inbound: that is where attackers are.
    """
    values = channel.values
    direction, trunk, campaign = _scopes(values, _salvaged)
    outbound = direction == "outbound" or _is_leg(values)
    call = Call(
        direction=Direction.OUTBOUND if outbound else Direction.INBOUND,
        caller=_caller(values, _salvaged),
        callee=_callee(values, _salvaged),
        at=at,
        trunk=trunk,
        campaign=campaign,
        presentation=_presentation(values),
        pbx=PBX,
        channel_id=_salvaged(values, "Unique-ID"),
    )
    return Refused(why, call)


def answer(verdict: Verdict, attempt_id: str) -> dict[str, str]:
    """The variables that tell a dialplan a verdict. Empty ones are left out.

    RESPONSE is ``603+`` where a list asks for it: the dialplan adds the phrase and the Reason.
    """
    values = answer_with(verdict, attempt_id, CAUSES, OTHER_CAUSE)
    if verdict.network_blocked:
        values[variables.RESPONSE] = "603+"
    return values


def command(verdict: Verdict, attempt_id: str, *, leg: bool) -> bytes:
    """The one command that sets these variables, what ``multiset`` makes of them.

    A leg that goes on is marked with the number that it is about, as a dialplan would do it.
    """
    beginning = _beginning(
        verdict.action, verdict.reason, verdict.response, verdict.network_blocked, verdict.list
    )
    text = f"{beginning}{ending(verdict, attempt_id, ':')}"
    if leg and verdict.number and verdict.action is Action.ALLOW:
        text = f"{text}:{variables.FOR}={clean(verdict.number)}"
    return f"{text}\n\n".encode("ascii")


@lru_cache(maxsize=1024)
def _beginning(
    action: Action, reason: Reason, response: int, network_blocked: bool, name: str
) -> str:
    """What precedes the entry in a command: the same for many calls."""
    verdict = Verdict(
        action=action,
        reason=reason,
        revision="",
        response=response,
        network_blocked=network_blocked,
        list=name,
    )
    return multiset(answer(verdict, "")).decode("ascii").removesuffix("\n\n")


def _screen(values: _Values, at: float) -> ScreenRequest:
    said, trunk, campaign = _scopes(values, _fact)
    direction = _DIRECTIONS.get(said)
    if direction is None:
        raise Bad("an unknown direction" if said else "no direction")
    call = Call(  # by position, in the order of its fields: by keyword it costs three times that
        Direction.OUTBOUND if _is_leg(values) else direction,
        _caller(values, _fact),
        _callee(values, _fact),
        at,
        trunk,
        campaign,
        _fact(values, "variable_callgate_extension"),
        PBX,
        _fact(values, "Unique-ID"),
        _linked(values),
        _presentation(values),
        0.0,
        _name(values),
        _attestation(values),
    )
    report = _value(values, "variable_callgate_report") == "true"
    return ScreenRequest(call, _value(values, "variable_callgate_key"), report)


def _scopes(values: _Values, read: _Read) -> tuple[str, str, str]:
    """Direction, trunk and campaign: a variable, else the path, else what a leg tells itself."""
    path = read(values, "variable_socket_path").split("/")
    if path[0] not in _DIRECTIONS or len(path) > _PATH_PARTS:
        path = []
    direction, trunk, campaign = (*path, "", "", "")[:_PATH_PARTS]
    direction = read(values, "variable_callgate_direction") or direction
    trunk = read(values, "variable_callgate_trunk") or trunk
    campaign = read(values, "variable_callgate_campaign") or campaign
    if _is_leg(values):
        direction = direction or "outbound"
        trunk = trunk or read(values, "variable_sip_gateway_name")
    return direction, scope(trunk), scope(campaign)


def is_leg(channel: Headers) -> bool:
    """Whether this is a leg on its way out, before its INVITE, and no call in a dialplan."""
    return _is_leg(channel.values)


def _is_leg(values: _Values) -> bool:
    return values.get("Channel-State") == "CS_NONE"


def needs_resume(channel: Headers) -> bool:
    """Whether this channel stays parked when its socket closes, unless it is told to go on."""
    values = channel.values
    return values.get("Socket-Mode") == "async" and "variable_socket_resume" not in values


def gave_up(channel: Headers) -> bool:
    """Whether the dialplan has stopped waiting for us: it went on, and nothing may move it now."""
    return channel.values.get("variable_socket_resume") == "false"


def _linked(values: _Values) -> str:
    said = _fact(values, "variable_callgate_linked") or _fact(values, "Other-Leg-Unique-ID")
    return said or _fact(values, "Channel-Call-UUID")


def _caller(values: _Values, read: _Read) -> str:
    said = read(values, "variable_callgate_caller")
    number = said or read(values, "Caller-Caller-ID-Number")
    return "" if number == _NOBODY else number


def _callee(values: _Values, read: _Read) -> str:
    said = read(values, "variable_callgate_callee")
    return said or read(values, "Caller-Destination-Number")


def _presentation(values: _Values) -> Presentation:
    """mod_sofia sets this flag for ``Privacy: id`` and for a Remote-Party-ID that asks for it."""
    hidden = values.get("Caller-Privacy-Hide-Number") == "true"
    return Presentation.RESTRICTED if hidden else Presentation.ALLOWED


def _name(values: _Values) -> str:
    name = _value(values, "Caller-Caller-ID-Name")
    if has_control(name):
        raise Bad("a control character in Caller-Caller-ID-Name")
    return name


def _attestation(values: _Values) -> str:
    """What FreeSWITCH found when it verified the Identity header, in its own words."""
    said = _value(values, "variable_sip_verstat_detailed")
    said = said or _value(values, "variable_sip_verstat")
    if not said and "variable_sip_identity" in values:
        return "unverified"
    return "" if _unreadable(said) else said


def _value(values: _Values, name: str) -> str:
    """What is recorded of a value: its beginning, if it is longer than any honest one."""
    raw = values.get(name)
    if raw is None:
        return ""
    value = decode(raw[:MAX_FACT])
    return "" if value == _EMPTY else value


def _fact(values: _Values, name: str) -> str:
    raw = values.get(name)
    if raw is None:
        return ""
    if len(raw) > MAX_FACT:
        raise Bad(f"more than {MAX_FACT} bytes in {name}")
    value = decode(raw)
    if not value or value == _EMPTY:
        return ""
    if not (value.isascii() and value.isprintable()) and _unreadable(value):
        raise Bad(f"a control character or a bad escape in {name}")
    return value


def _salvaged(values: _Values, name: str) -> str:
    value = _value(values, name)
    raw = values.get(name, "")[:MAX_FACT]
    return quote(raw, safe="%/", encoding="latin-1") if _unreadable(value) else value
