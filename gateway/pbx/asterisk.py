"""Asterisk's URL to a ``Call``, and a ``Verdict`` to channel variables. Pure.

    screen/<direction>/<trunk>/<campaign>/<caller>/<callee>/<pres>[/key=value…]
    entry/<block|unblock>/<number>[/by=<extension>][/key=<secret>]
    probe

Rule 1: the dialplan writes every part through ``URIENCODE``, so a bad ``%xx``, bytes that are
not UTF-8, a control character, an unknown key or a missing part is no dialplan of ours: hostile.
Rule 2: what is kept of a hostile URL is for the record only; a part that cannot be read is kept
as it came, encoded.
Rule 3: a verdict's command is what ``mset`` makes of its ``answer``. Its first half is the same for
many calls, and is made once for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from gateway.calls import Call, Direction, Presentation
from gateway.pbx import variables
from gateway.pbx.answer import answer as answer_with
from gateway.pbx.answer import ending
from gateway.pbx.request import Bad, Refused, ScreenRequest, scope
from gateway.pbx.variables import clean
from gateway.policy.model import Action, Reason, Verdict
from gateway.protocols.agi_command import mset

PBX: Final = "asterisk"

CAUSES: Final[Mapping[int, int]] = {
    403: 21,
    404: 1,
    410: 22,
    480: 19,
    484: 28,
    486: 17,
    488: 58,
    500: 38,
    501: 29,
    502: 27,
    503: 34,
}
"""SIP status to the Q.850 cause for which chan_pjsip sends it (hangup_cause2sip)."""
OTHER_CAUSE: Final = 16
"""Every other status: chan_pjsip sends 603 for it."""

_FIXED_PARTS: Final = 7
_DIRECTIONS: Final = {item.value: item for item in Direction}
_PRESENTATIONS: Final = {"allowed": Presentation.ALLOWED}
"""That of nearly every call, without a look at its text."""
_OPTIONS: Final = frozenset({"ext", "id", "name", "attest", "key", "mode", "outage"})
_ENTRY_OPTIONS: Final = frozenset({"by", "key"})
_illegal = re.compile(
    r"[\x00-\x1f\x7f]"  # a control character, or encoded
    r"|%(?:[01][0-9A-Fa-f]|7[Ff]|(?![0-9A-Fa-f]{2}))"  # … or a % without two hex digits
).search


@dataclass(frozen=True, slots=True)
class EntryRequest:
    """A star code: ``op`` is ``block`` or ``unblock``, ``number`` raw, ``by`` an extension."""

    op: str
    number: str
    by: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """Somebody asks whether the gateway answers."""


AgiRequest = ScreenRequest | EntryRequest | ProbeRequest | Refused


def read_request(path: str, *, at: float, channel_id: str = "") -> AgiRequest:
    """What a URL asks for. Total: whatever cannot be read is ``Refused``.

    ``path`` is what follows the host, still encoded; ``at`` the time of receipt (UTC seconds).
    """
    plain = path.replace("%2B", "+")  # the one escape of nearly every URL
    try:
        escaped = "%" in plain
        if (escaped or not plain.isprintable()) and _illegal(path):
            raise Bad("a control character or a bad escape in the URL")
        parts = plain.split("/")
        if parts[0] == "screen":
            return _screen(parts, escaped, at, channel_id)
        if parts[0] == "entry":
            return _entry(parts)
        if parts == ["probe"]:
            return ProbeRequest()
        raise Bad("an unknown URL")
    except Bad as bad:
        return refused(path, str(bad), at=at, channel_id=channel_id)


def refused(path: str, why: str, *, at: float, channel_id: str = "") -> Refused:
    """A hostile request, with what its URL still tells.

    With no legible direction the call counts as inbound: that is where attackers are.
    """
    parts = path.split("/")
    parts += [""] * (_FIXED_PARTS - len(parts))
    if parts[0] != "screen":
        parts = [""] * _FIXED_PARTS
    _, direction, trunk, campaign, caller, callee, presentation = parts[:_FIXED_PARTS]
    call = Call(
        direction=Direction.OUTBOUND if direction == "outbound" else Direction.INBOUND,
        caller=_salvaged(caller),
        callee=_salvaged(callee),
        at=at,
        trunk=scope(_salvaged(trunk)),
        campaign=scope(_salvaged(campaign)),
        presentation=_presentation(presentation),
        pbx=PBX,
        channel_id=channel_id,
    )
    return Refused(why, call)


def screen_path(
    direction: str,
    trunk: str,
    campaign: str,
    caller: str,
    callee: str,
    pres: str = "allowed",
    /,
    **options: str,
) -> str:
    """The path that a dialplan writes; the inverse of ``read_request``."""
    parts = (direction, trunk or "-", campaign or "-", caller, callee, pres)
    tail = (f"{key}={_encoded(value)}" for key, value in options.items())
    return "/".join(("screen", *map(_encoded, parts), *tail))


def answer(verdict: Verdict, attempt_id: str) -> dict[str, str]:
    """The variables that tell a dialplan a verdict. Empty ones are left out."""
    return answer_with(verdict, attempt_id, CAUSES, OTHER_CAUSE)


def command(verdict: Verdict, attempt_id: str) -> bytes:
    """The one line that sets these variables."""
    beginning = _beginning(verdict.action, verdict.reason, verdict.response, verdict.list)
    return f'{beginning}{ending(verdict, attempt_id, ",")}"\n'.encode("ascii")


@lru_cache(maxsize=1024)
def _beginning(action: Action, reason: Reason, response: int, name: str) -> str:
    """What precedes the entry in a command."""
    verdict = Verdict(action=action, reason=reason, revision="", response=response, list=name)
    return mset(answer(verdict, "")).decode("ascii").removesuffix('"\n')


def status(text: str) -> dict[str, str]:
    """The answer to a star code or a probe."""
    return {variables.STATUS: clean(text)}


def _screen(parts: list[str], escaped: bool, at: float, channel_id: str) -> ScreenRequest:
    if len(parts) < _FIXED_PARTS:
        raise Bad("parts of the URL are missing")
    _, said, *facts = parts[:_FIXED_PARTS]
    direction = _DIRECTIONS.get(said)
    if direction is None:
        raise Bad("an unknown direction")
    trunk, campaign, caller, callee, presentation = map(_decoded, facts) if escaped else facts
    trunk = "" if trunk == "-" else trunk
    campaign = "" if campaign == "-" else campaign
    pres = _PRESENTATIONS.get(presentation) or _presentation(presentation)
    if len(parts) == _FIXED_PARTS:
        # By position, in the order of its fields, as below: by keyword it costs three times that.
        call = Call(direction, caller, callee, at, trunk, campaign, "", PBX, channel_id, "", pres)
        return ScreenRequest(call)
    get = _options(parts[_FIXED_PARTS:], _OPTIONS).get
    mode = get("mode", "")
    if mode not in ("", "report"):
        raise Bad("an unknown mode")
    call = Call(
        direction=direction,
        caller=caller,
        callee=callee,
        at=at,
        trunk=trunk,
        campaign=campaign,
        extension=get("ext", ""),
        pbx=PBX,
        channel_id=channel_id,
        linked_id=get("id", ""),
        presentation=pres,
        caller_name=get("name", ""),
        attestation=get("attest", ""),
    )
    return ScreenRequest(call, get("key", ""), bool(mode))


def _entry(parts: list[str]) -> EntryRequest:
    if len(parts) < 3 or parts[1] not in ("block", "unblock"):
        raise Bad("an unknown star code")
    # An empty part stands for an option that was not given: …/<number>//key=<secret>.
    options = _options([part for part in parts[3:] if part], _ENTRY_OPTIONS)
    number = _decoded(parts[2])
    return EntryRequest(parts[1], number, options.get("by", ""), options.get("key", ""))


def _options(parts: list[str], known: frozenset[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in parts:
        key, separator, value = part.partition("=")
        if not separator or key not in known or key in options:
            raise Bad("an option that is unknown, malformed or given twice")
        # A name is recorded, never matched, and honest old phones write it in Latin-1.
        if "%" in value:
            value = _decoded(value, "replace" if key == "name" else "strict")
        options[key] = value
    return options


def _presentation(text: str) -> Presentation:
    """``CALLERID(pres)``: what is neither withheld nor unavailable may be shown."""
    if text.startswith("prohib"):
        return Presentation.RESTRICTED
    return Presentation.UNAVAILABLE if text == "unavailable" else Presentation.ALLOWED


def _decoded(part: str, errors: str = "strict") -> str:
    if "%" not in part:
        return part
    try:
        return unquote_to_bytes(part).decode("utf-8", errors)
    except UnicodeDecodeError:
        raise Bad("an escape that is not UTF-8") from None


def _salvaged(part: str) -> str:
    try:
        return part if _illegal(part) else _decoded(part)
    except Bad:
        return part


def _encoded(part: str) -> str:
    """As Asterisk's ``URIENCODE`` does it (ast_uri_http)."""
    return quote(part, safe="-_.!~*'()")
