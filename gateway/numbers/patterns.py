"""Extension patterns, written as in Asterisk's ``extensions.conf`` (source: main/pbx.c).

``X`` is 0-9, ``Z`` 1-9, ``N`` 2-9, ``[13-5]`` one of a set, ``.`` at the end one or more
characters, ``!`` at the end none or more; letters in either case; a leading ``_`` is optional;
``-`` and blanks between characters mean nothing.
"""

from __future__ import annotations

import re

from gateway.errors import BadEntry

_CLASSES = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]"}
_TAILS = {".": "[0-9*#]+", "!": "[0-9*#]*"}
_SET = re.compile(r"\[(?:[0-9*#](?:-[0-9])?)+\]")
_TOKEN = re.compile(r"\[[^\]]*\]?|.", re.DOTALL)
_LIMIT = 40


def compile_patterns(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    """One expression for all ``patterns``, ``None`` for none; raises ``BadEntry``."""
    if not patterns:
        return None
    return re.compile("|".join(f"(?:{_translate(pattern)})" for pattern in patterns))


def _translate(pattern: str) -> str:
    text = pattern.strip().removeprefix("_")
    if not text or len(text) > _LIMIT:
        raise BadEntry(f"extension pattern {pattern!r} is empty or longer than {_LIMIT}")
    tail = _TAILS.get(text[-1], "")
    tokens = _TOKEN.findall(text[:-1] if tail else text)
    return "".join(_token(token, pattern) for token in tokens if token not in "- ") + tail


def _token(token: str, pattern: str) -> str:
    if token.upper() in _CLASSES:
        return _CLASSES[token.upper()]
    if token in "0123456789*#":
        return re.escape(token)
    if _SET.fullmatch(token) and _ascending(token):
        return token
    raise BadEntry(
        f"extension pattern {pattern!r}: {token!r} is none of 0-9 * # X Z N [1-5], "
        "or . or ! at the end"
    )


def _ascending(token: str) -> bool:
    return all(low <= high for low, high in re.findall(r"(.)-(.)", token[1:-1]))
