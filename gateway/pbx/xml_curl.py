"""FreeSWITCH's mod_xml_curl: a lookup of the dialplan to a ``Call``, a ``Verdict`` to XML. Pure.

FreeSWITCH posts the data of the channel as a form before it runs any dialplan (mod_xml_curl.c,
mod_dialplan_xml.c: ``Hunt-*`` is the lookup itself) and runs the document that it is answered.
Where it is answered ``not found``, an error or nothing in time, it runs its own XML dialplan.

Rule 1: the URL says which contexts are screened, and for which direction; the direction is never
guessed. Any other lookup is ``not found``, and so is one in the context that allowed calls go to.
Rule 2: nothing of the request is in the document. Its context is ``global``, which FreeSWITCH takes
where it finds none of the name that it looks for, and where an allowed call goes on is decided
by FreeSWITCH, from a number that cannot be cut at a blank.
Rule 3: the document passes FreeSWITCH's preprocessor and its expansion of variables: only text of
this file holds a dollar sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from gateway.calls import Direction
from gateway.pbx import freeswitch, variables
from gateway.pbx.request import Refused, ScreenRequest
from gateway.pbx.web import BadBody
from gateway.policy.model import Verdict
from gateway.protocols.esl_headers import Headers

NOT_FOUND: Final = (
    '<document type="freeswitch/xml"><section name="result">'
    '<result status="not found"/></section></document>\n'
)
"""Have FreeSWITCH run its own dialplan."""

PARAMETERS: Final = ("inbound", "outbound", "next", "trunk", "campaign")
"""What the query of the URL may hold. The first two may be given more than once."""

_name = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}").fullmatch
_PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F)))
_HUNTED: Final = ("Caller-ID-Name", "Caller-ID-Number", "Destination-Number")
_NUMBER: Final = r"^([-+*#.\w]{1,64})$(?!\n)"
_REDRESS: Final = 'SIP;cause=603;text="v=analytics1;${callgate_redress}";location=TN'
"""The Reason of a 603+, as dialplan/freeswitch has it."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What the URL of a binding says: contexts to their direction, where allowed calls go on
    (empty: FreeSWITCH's own dialplan, from the beginning), and what the calls are.
    """

    contexts: Mapping[str, Direction] = field(default_factory=dict)
    next: str = ""
    trunk: str = ""
    campaign: str = ""


def read_binding(query: Iterable[tuple[str, str]]) -> Binding:
    """The binding that the parameters of a URL describe. Raises BadBody."""
    contexts: dict[str, Direction] = {}
    texts: dict[str, str] = {}
    for name, value in query:
        if not _name(value):
            raise BadBody(f"{name} of the URL is no name of a context, trunk or campaign")
        known = contexts if name in tuple(Direction) else texts
        key = value if known is contexts else name
        if name not in PARAMETERS or key in known:
            raise BadBody(f"the URL has an unknown parameter, or one twice: {name[:40]!r}")
        if known is contexts:
            contexts[value] = Direction(name)
        else:
            texts[name] = value
    if texts.get("next", "") in contexts:
        raise BadBody("next of the URL names a context that is screened itself")
    return Binding(contexts, **texts)


def read_lookup(body: bytes, binding: Binding, *, at: float) -> ScreenRequest | Refused | None:
    """The call that FreeSWITCH looks up a dialplan for; None when it is not to be screened.

    Raises BadBody where the body is no lookup, or nobody says what direction it has.
    """
    block = _block(body)
    channel = Headers(block)
    if "section" not in channel:
        raise BadBody("the form is none of mod_xml_curl: it has no section")
    if channel.get("section") != "dialplan":
        return None
    context = channel.get("Hunt-Context") or channel.get("Caller-Context")
    if not context:
        raise BadBody("the form is no lookup of a dialplan: it has no Hunt-Context")
    said = binding.contexts.get(context)
    if context == binding.next or (binding.contexts and said is None):
        return None
    if said is None and "variable_callgate_direction" not in channel:
        raise BadBody("neither the URL nor callgate_direction says what direction the call has")
    return freeswitch.read_request(Headers(_described(channel, block, binding, said)), at=at)


def document(verdict: Verdict, attempt_id: str, direction: Direction, binding: Binding) -> str:
    """What FreeSWITCH is to run. Without ``next`` an allowed call cannot be told its verdict."""
    if not verdict.blocked and not binding.next:
        return NOT_FOUND
    values = freeswitch.answer(verdict, attempt_id)
    actions = [_action("multiunset", " ".join((*variables.ANSWERED, variables.FOR)))]
    actions += [_action("set", f"{name}={value}") for name, value in values.items()]
    actions.append(_action("export", f"{variables.ATTEMPT}={attempt_id}"))
    if verdict.blocked:
        return _document("<condition>", [*actions, *_rejection(verdict, values)])
    if direction is Direction.OUTBOUND and (number := values.get(variables.NUMBER)):
        actions.append(_action("export", f"{variables.FOR}={number}"))
    actions.append(_action("transfer", f"$1 XML {binding.next}"))
    # A number with a blank in it would choose its context itself.
    actions.append('<anti-action application="respond" data="404"/>')
    actions.append('<anti-action application="hangup" data="UNALLOCATED_NUMBER"/>')
    return _document(
        f'<condition field="destination_number" expression={quoteattr(_NUMBER)}>', actions
    )


def _rejection(verdict: Verdict, values: Mapping[str, str]) -> list[str]:
    response = values[variables.RESPONSE]
    actions = []
    if verdict.network_blocked:
        actions.append(_action("set", f"sip_reason={_REDRESS}"))
        response = "603 Network Blocked"
    actions.append(_action("respond", response))
    return [*actions, _action("hangup", values[variables.CAUSE])]


def _document(condition: str, actions: Iterable[str]) -> str:
    lines = (
        '<document type="freeswitch/xml"><section name="dialplan"><context name="global">',
        '<extension name="callgate">',
        condition,
        *actions,
        "</condition></extension></context></section></document>",
    )
    return "\n".join(lines) + "\n"


def _action(application: str, data: str) -> str:
    return f"<action application={quoteattr(application)} data={quoteattr(data)}/>"


def _block(body: bytes) -> bytes:
    """The form as lines of a channel's data; values stay encoded, so none can forge a line."""
    text = quote(body.rstrip(b"\n"), safe=_PRINTABLE)
    fields = (part.partition("=") for part in text.split("&"))
    return "\n".join(f"{name}: {value}" for name, _, value in fields).encode()


def _described(
    channel: Headers, block: bytes, binding: Binding, direction: Direction | None
) -> bytes:
    """The channel with the lookup's own facts before the rest: of two lines the first counts.

    What the URL says of trunk and campaign comes last: a variable of the channel knows better.
    """
    first = [
        b"Caller-%s: %s" % (name.encode(), value)
        for name in _HUNTED
        if (value := channel.raw(f"Hunt-{name}")) is not None
    ]
    if direction is not None:
        first.append(f"variable_callgate_direction: {direction}".encode())
    last = [
        f"variable_callgate_{name}: {value}".encode()
        for name, value in (("trunk", binding.trunk), ("campaign", binding.campaign))
        if value
    ]
    return b"\n".join((*first, block, *last))
