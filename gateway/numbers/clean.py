"""From the raw text of a PBX to dialled characters: ``0-9``, ``+``, ``*``, ``#``.

The rule of this file: what only decorates a number is dropped (URI, parameters, separators,
invisible characters), Unicode digits count as their values, and any other character makes the
text invalid. Letters are never turned into digits. What names two numbers names none. Total:
never raises.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote

RAW_LIMIT = 512
"""Characters of raw text, a whole URI with parameters, beyond which nothing is read."""
USER_LIMIT = 64
"""Characters of the number inside the raw text, separators included."""

ANONYMOUS_WORDS = frozenset(
    {
        "",
        "anonymous",
        "asterisk",
        "private",
        "restricted",
        "unavailable",
        "unknown",
        "withheld",
    }
)
"""What PBXs and carriers write instead of a number; ``asterisk`` is its From user without one."""

_SCHEME = re.compile(r"(?:sips?|(tel)):", re.IGNORECASE)
_ADDRESS = re.compile(r'\s*(?:"(?:[^"\\]|\\.)*"|([^"<>]*))\s*<([^<>]*)>', re.DOTALL)
"""RFC 3261, name-addr: a name, in quotes or not, then the address."""
_BARE = re.compile(
    r"(?:sips?:([^@;]*)(?:@[^@<>?\s]*)?|tel:([^@;]*)(?:;phone-context=\+\d{1,3})?|([^@;]*))",
    re.IGNORECASE | re.ASCII,
)
"""Nothing but a number, or a URI of nothing but a number; a ``tel:`` may name its country."""
_CONTEXT = re.compile(r"\+[0-9().\-]*")
_BAD = "?"
_SEPARATORS = " -./()[]"
_SAME = {"＋": "+", "﹢": "+", "＊": "*", "＃": "#", "﹟": "#", "﹡": "*"}


class Cleaned(NamedTuple):
    """``text`` is empty unless there are dialled characters; ``context`` is digits of a country."""

    text: str = ""
    context: str = ""
    anonymous: bool = False


class _Characters(dict[int, str]):
    """What becomes of a character; those beyond ASCII are worked out each time and not kept."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if code < 128:
            return _BAD
        if (value := unicodedata.decimal(character, None)) is not None:
            return str(value)
        if unicodedata.category(character) in ("Zs", "Pd", "Cf"):
            return ""
        return _SAME.get(character, _BAD)


_characters = _Characters({ord(kept): kept for kept in "0123456789+*#"})
_characters.update(dict.fromkeys(map(ord, _SEPARATORS), ""))


def clean(raw: str) -> Cleaned:
    """The dialled characters of ``raw``, and the ``phone-context`` of a telephone number's URI."""
    if raw.isdigit() and raw.isascii() and len(raw) <= USER_LIMIT:
        return Cleaned(raw)
    if len(raw) > RAW_LIMIT:
        return Cleaned()
    user, parameters = _split(raw)
    if len(user) > USER_LIMIT:
        return Cleaned()
    if user.strip().lower() in ANONYMOUS_WORDS and not _has_control(user):
        return Cleaned(anonymous=True)
    text = user.translate(_characters)
    if _BAD in text:
        return Cleaned()
    return Cleaned(text, _context(parameters), anonymous=not text)


def clean_strictly(raw: str) -> str:
    """The dialled characters of text that holds nothing else; empty where anything is hidden.

    No name, no password and no parameter: what a switch makes of those is anybody's guess.
    """
    found = _BARE.fullmatch(raw.strip(" ")) if len(raw) <= RAW_LIMIT else None
    user = found[found.lastindex or 0] if found else ""
    text = user.translate(_characters) if len(user) <= USER_LIMIT else ""
    return "" if _BAD in text else text


def _split(raw: str) -> tuple[str, str]:
    """The user part and the parameters that count, of an address, a URI, or a bare number."""
    text = _address(raw).strip(" ")
    scheme = _SCHEME.match(text)
    text = text[scheme.end() :] if scheme else text
    user, at, host = text.partition("@")
    if scheme or at:
        user = unquote(user, errors="replace")
    number, _, parameters = user.partition(";")
    if scheme or at:
        number = number.partition("?")[0].partition(":")[0]
    telephone = scheme and (scheme[1] or _is_phone(host))
    return number, parameters if telephone else ""


def _address(raw: str) -> str:
    """What stands between the brackets, if there are any behind a name that is no other number."""
    if "<" not in raw:
        return raw
    found = _ADDRESS.match(raw)
    if found is None:
        return raw
    name, address = (found[1] or "").strip(" "), found[2]
    another = name.translate(_characters)
    return raw if another and _BAD not in another and another not in address else address


def _is_phone(host: str) -> bool:
    """RFC 3261, 19.1.1: the user part is a telephone number where the URI says ``user=phone``."""
    return "user=phone" in host.partition("?")[0].lower().split(";")[1:]


def _context(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "phone-context" and _CONTEXT.fullmatch(value.strip()):
            return re.sub("[^0-9]", "", value)
    return ""


def _has_control(text: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in text)
