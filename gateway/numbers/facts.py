"""What libphonenumber knows about an E.164 number, for category lists and people.

Every function takes the digits without plus, is total, and remembers its last answers.
"""

from __future__ import annotations

from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from gateway.numbers.metadata import international

_NAMES: dict[int, str] = {
    value: name.lower() for name, value in vars(PhoneNumberType).items() if name.isupper()
}
TYPES: frozenset[str] = frozenset(_NAMES.values())
"""Names that ``type_of`` can answer: libphonenumber's ``PhoneNumberType`` in lower case."""
REGIONS: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS) | {"001"}
"""Names that ``region_of`` can answer: ISO 3166, and ``001`` for numbers of no country."""


@lru_cache(maxsize=4096)
def _parsed(digits: str) -> PhoneNumber | None:
    if not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return phonenumbers.parse("+" + digits, None)
    except NumberParseException:
        return None


@lru_cache(maxsize=4096)
def region_of(digits: str) -> str | None:
    """The region whose patterns the number fits, ``None`` if it fits none."""
    number = _parsed(digits)
    return None if number is None else phonenumbers.region_code_for_number(number)


@lru_cache(maxsize=4096)
def type_of(digits: str) -> str:
    """One of ``TYPES``; ``unknown`` for numbers that are not valid."""
    number = _parsed(digits)
    return "unknown" if number is None else _NAMES[phonenumbers.number_type(number)]


@lru_cache(maxsize=4096)
def is_valid(digits: str) -> bool:
    """Whether the number lies in a range that is in use, as far as the library knows."""
    number = _parsed(digits)
    return number is not None and phonenumbers.is_valid_number(number)


def is_possible(digits: str) -> bool:
    """Whether the number has a country code, and a length that occurs there."""
    return digits.isascii() and digits.isdigit() and international(digits) == digits


@lru_cache(maxsize=4096)
def display(digits: str) -> str:
    """For people: ``+33 1 23 45 67 89``; ``+digits`` for what is no number."""
    number = _parsed(digits)
    if number is None or not is_possible(digits):
        return "+" + digits
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
