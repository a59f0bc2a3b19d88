"""What comes and goes when a PBX asks over HTTP. Pure.

Rule 1: a body that describes no call is a ``BadBody``, which is answered with an error status and
so meets the outage branch of whoever asked. Only the author of a dialplan or of a program can
cause one. What a caller can write himself (a control character, a broken escape, a field smuggled
in) is ``Refused``, which is answered with a block: nobody reaches the outage branch by being
unreadable.
Rule 2: an answer is built from the cleaned variables of ``gateway.pbx.answer``. Nothing of the
request is in it.
Rule 3: text that comes from Asterisk is in the encoding of ``URIENCODE``, in which a plus is a
plus: it is read as the URL of FastAGI is (gateway/pbx/asterisk.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from gateway.calls import Call, Direction, Presentation
from gateway.errors import GatewayError
from gateway.pbx import asterisk, freeswitch, variables
from gateway.pbx.request import Refused, ScreenRequest, has_control, scope
from gateway.policy.model import Verdict

MAX_TEXT: Final = 1024
"""Characters of one fact in a JSON body; a caller chooses how long his name is."""


class BadBody(GatewayError):
    """A body that describes no call: whoever wrote the program must change it."""


class Facts(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The JSON body: the fields of ``Call``. A party without a number is an empty text, said so.

    ``report``: the call has happened already and is only decided and recorded.
    """

    direction: Direction
    caller: str
    callee: str
    trunk: str = ""
    campaign: str = ""
    extension: str = ""
    presentation: Presentation = Presentation.ALLOWED
    channel_id: str = ""
    linked_id: str = ""
    caller_name: str = ""
    attestation: str = ""
    pbx: str = ""
    report: bool = False


class Told(msgspec.Struct, kw_only=True):
    """The JSON answer. ``response`` (SIP) and ``cause`` (Q.850) are null when allowed."""

    verdict: str
    response: int | None
    cause: int | None
    reason: str
    list: str
    entry: str
    number: str
    attempt: str


_CALL_TEXTS: Final = (
    "caller",
    "callee",
    "trunk",
    "campaign",
    "extension",
    "channel_id",
    "linked_id",
    "caller_name",
    "attestation",
    "pbx",
)
_MUST: Final = frozenset({"direction", "caller", "callee"})
_FIXED: Final[Mapping[str, str]] = {
    "direction": "",
    "trunk": "-",
    "campaign": "-",
    "caller": "",
    "callee": "",
    "presentation": "allowed",
}
"""The fields that are parts of the path, in their order, and what stands for an empty one."""
_OPTIONS: Final[Mapping[str, str]] = {
    "extension": "ext",
    "linked_id": "id",
    "caller_name": "name",
    "attestation": "attest",
    "mode": "mode",
}
FORM: Final = (*_FIXED, *_OPTIONS, "channel_id", "call")
"""Every field of the form."""
_CHOICES: Final = {"direction": ("inbound", "outbound"), "mode": ("", "report")}
_PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F)))

_lone_surrogates: Final = re.compile("[\ud800-\udfff]").sub
"""What JSON can write and UTF-8 cannot: some programs escape bytes that are no UTF-8 so."""


def read_json(body: bytes, *, at: float) -> ScreenRequest | Refused:
    """The call that a JSON body describes. Raises BadBody."""
    try:
        facts, twice = _facts(body.decode("utf-8", "replace"))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadBody(_lone_surrogates("\ufffd", str(error))) from None
    whole = {name: getattr(facts, name) for name in _CALL_TEXTS}
    whole |= {"trunk": scope(facts.trunk), "campaign": scope(facts.campaign)}
    texts = {name: text[:MAX_TEXT] for name, text in whole.items()}
    call = Call(direction=facts.direction, presentation=facts.presentation, at=at, **texts)
    if unreadable := next((name for name in _CALL_TEXTS if _unreadable(name, texts[name])), ""):
        return Refused(f"a control character or bytes that are not UTF-8 in {unreadable}", call)
    if twice:
        return Refused("a field that is given twice", call)
    if long := next((name for name in _CALL_TEXTS if whole[name] != getattr(call, name)), ""):
        return Refused(f"more than {MAX_TEXT} characters in {long}", call)
    return ScreenRequest(call, report=facts.report)


def _facts(text: str) -> tuple[Facts, bool]:
    """The body, and whether any field of it is given twice: then a text may have been put into it
    unescaped, and which of the two is true nobody knows. MsgspecError, ValueError.
    """
    twice = False

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        found = dict(pairs)
        twice = twice or len(found) < len(pairs)
        for name, value in found.items():
            if isinstance(value, str):
                found[name] = _lone_surrogates("\ufffd", value)
        return found

    # Not strict: a control character that was not escaped is for us to refuse.
    body = json.loads(text, object_pairs_hook=once, strict=False)
    return msgspec.convert(body, Facts), twice


def _unreadable(name: str, text: str) -> bool:
    """A name is recorded, never matched, and honest old phones write it in Latin-1."""
    broken = name != "caller_name" and "\N{REPLACEMENT CHARACTER}" in text
    return broken or has_control(text) is not None


def json_answer(verdict: Verdict, attempt_id: str, *, pbx: str = "") -> Told:
    """The verdict as JSON; the cause is the one that suits the PBX."""
    for_freeswitch = pbx == freeswitch.PBX
    values = (freeswitch if for_freeswitch else asterisk).answer(verdict, attempt_id)
    response, cause = values.get(variables.RESPONSE), values.get(variables.CAUSE)
    return Told(
        verdict=values[variables.VERDICT],
        response=int(response.rstrip("+")) if response else None,
        cause=int(cause) if cause else None,
        reason=values[variables.REASON],
        list=values.get(variables.LIST, ""),
        entry=values.get(variables.ENTRY, ""),
        number=values.get(variables.NUMBER, ""),
        attempt=values.get(variables.ATTEMPT, ""),
    )


def read_form(body: bytes, *, at: float) -> ScreenRequest | Refused:
    """The call that Asterisk's ``CURL()`` describes. Raises BadBody.

    Either the facts by name, each through ``URIENCODE``, or one field ``call`` that holds the path
    of FastAGI's URL, which the shipped dialplan has at hand; ``channel_id`` goes with both.
    """
    fields, why = _fields(body)
    if not why and (missing := _MUST - fields.keys()) and "call" not in fields:
        raise BadBody(f"the form lacks {', '.join(sorted(missing))}")
    path = fields["call"] if "call" in fields else _path(fields)
    channel = unquote(fields.get("channel_id", ""), errors="replace")
    if why or has_control(channel):
        return asterisk.refused(path, why or "a control character in channel_id", at=at)
    request = asterisk.read_request(path, at=at, channel_id=channel)
    if isinstance(request, ScreenRequest | Refused):
        return request
    raise BadBody("the field call asks for no screening")


def form_answer(verdict: Verdict, attempt_id: str) -> str:
    """The variables, all of them and in their order, as ``CURLOPT(hashcompat)`` wants them."""
    values = asterisk.answer(verdict, attempt_id)
    return "&".join(f"{name}={quote(values.get(name, ''), safe='')}" for name in variables.ANSWERED)


def _fields(body: bytes) -> tuple[dict[str, str], str]:
    """The fields as they came, and what is wrong with them that a caller may have caused."""
    fields: dict[str, str] = {}
    why = ""
    for part in quote(body, safe=_PRINTABLE).split("&") if body else ():
        name, separator, value = part.partition("=")
        if not separator or name not in FORM or name in fields:
            why = "a field that is unknown, malformed or given twice"
        else:
            fields[name] = value
    if "call" in fields and fields.keys() - {"call", "channel_id"}:
        why = "facts beside the field call"
    if not why:
        for name, allowed in _CHOICES.items():
            if name in fields and fields[name] not in allowed:
                raise BadBody(f"{name} is one of: {', '.join(filter(None, allowed))}")
    return fields, why


def _path(fields: Mapping[str, str]) -> str:
    """The facts as the path of FastAGI's URL."""
    fixed = [fields.get(name) or default for name, default in _FIXED.items()]
    options = [f"{key}={fields[name]}" for name, key in _OPTIONS.items() if fields.get(name)]
    return "/".join(part.replace("/", "%2F") for part in ("screen", *fixed, *options))
