"""The digits in which one number may be written, and finding them in text.

``read`` goes from a text to its number; this goes back, to find a number in what was kept raw.
Rule: the whole number with its country code is nobody else's (``international``). What a region
dials within itself may be another's number elsewhere (``national``): whoever looks for it must
know that the text was not read as another number.
Rule: digits count only as a whole: what stands in a longer run of digits is another number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import permutations
from urllib.parse import unquote

import msgspec
from phonenumbers import (
    PhoneNumber,
    PhoneNumberFormat,
    format_number,
    format_number_for_mobile_dialing,
    format_out_of_country_calling_number,
)

from gateway.numbers.metadata import rules_for
from gateway.numbers.plan import NumberPlan

_TELLING = 7
"""Digits that a national number needs to be known without its trunk prefix."""
_TAIL = 6
_DIGITS = re.compile(r"[0-9]+")
_JOINT = re.compile(r"[ ().\-/\[\]]{1,4}")
"""What people put between the digits of one number; no comma, colon or tab, which end a cell."""
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))


class Spellings(msgspec.Struct, frozen=True):
    """One number, ``e164`` (``+33…``), and all digits in which it may stand.

    Each ends in ``tail``; the longest has ``longest`` digits.
    """

    e164: str
    international: frozenset[str]
    national: frozenset[str]
    tail: str
    longest: int

    def whole_in(self, text: str) -> bool:
        """Whether the number stands in a text with its country code."""
        return any(run in self.international for run in _runs(text, self.longest))

    def stands_in(self, text: str) -> bool:
        """Whether the number stands in a text in any way of writing it."""
        return any(
            run in self.international or run in self.national for run in _runs(text, self.longest)
        )

    def may_stand_in(self, data: bytes) -> bool:
        """A quick no for most bytes; JSON and UTF-8, whatever they hold."""
        if not data.isascii() or b"%" in data or b"\\u" in data:
            return True
        return self.tail.encode() in data.translate(None, _NO_DIGITS)


def spellings(digits: str, plans: Iterable[NumberPlan] = ()) -> Spellings:
    """How a number (E.164 digits) may be written on trunks with these plans, and by people."""
    rules = rules_for(digits)
    assert rules is not None, "an E.164 number begins with a country code"
    rest = digits[len(rules.code) :]
    number = PhoneNumber(country_code=int(rules.code), raw_input=None)
    number.national_number = int(rest)
    number.italian_leading_zero = rest.startswith("0") or None
    zeros = len(rest) - len(rest.lstrip("0"))
    number.number_of_leading_zeros = zeros if zeros > 1 else None
    every = tuple(plans)
    whole = {digits, rules.code + rules.trunk + rest}
    home = {_bare(format_number(number, PhoneNumberFormat.NATIONAL)), rules.trunk + rest, rest}
    regions = {rules.region, *(plan.region for plan in every if plan.region)}
    prefixes = {"00", "011"}
    for plan in every:
        prefixes.update(plan.international_prefixes or ())
    for region in regions:
        for text in (
            format_out_of_country_calling_number(number, region),
            format_number_for_mobile_dialing(number, region, False),
        ):
            (whole if _bare(text).endswith(digits) else home).add(_bare(text))
    whole |= {prefix + form for prefix in prefixes for form in whole}
    home = {form for form in home if len(form) >= _TELLING or form != rest}
    heads = {"", *(head for plan in every for head in _heads(plan))}
    international = frozenset(head + form for head in heads for form in whole)
    national = frozenset(head + form for head in heads for form in home if form)
    return Spellings(
        "+" + digits,
        international,
        national,
        tail=digits[-min(_TAIL, *map(len, international | national)) :],
        longest=max(map(len, international | national)),
    )


def _heads(plan: NumberPlan) -> Iterator[str]:
    """The digits of what is dialled before a number: an access or star code, or two."""
    for count in (1, 2):
        for codes in permutations(plan.strip, count):
            yield _bare("".join(codes))


def _bare(text: str) -> str:
    return "".join(_DIGITS.findall(text))


def _runs(text: str, longest: int) -> Iterator[str]:
    """Every whole run of digits, and those that only separators part, up to ``longest`` digits."""
    yield from _joined(_plain(text), longest)
    if "%" in text:
        yield from _joined(_plain(unquote(text, errors="replace")), longest)


def _joined(text: str, longest: int) -> Iterator[str]:
    groups = list(_DIGITS.finditer(text))
    for place, first in enumerate(groups):
        run, end = first[0], first.end()
        yield run
        for group in groups[place + 1 :]:
            if len(run) >= longest or not _JOINT.fullmatch(text, end, group.start()):
                break
            run, end = run + group[0], group.end()
            yield run


def _plain(text: str) -> str:
    """Digits of every script as their values; spaces and dashes of all kinds as one space."""
    if text.isascii():
        return text
    return "".join(map(_character, text))


def _character(character: str) -> str:
    if (value := unicodedata.decimal(character, None)) is not None:
        return str(value)
    spaced = unicodedata.category(character) in ("Zs", "Pd", "Cf")
    return " " if spaced else character
