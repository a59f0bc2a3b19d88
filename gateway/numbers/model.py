"""What reading a number yields: a value, also when it is no number. Nothing here raises."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What a raw string turned out to be."""

    E164 = "e164"
    SHORT = "short"
    ANONYMOUS = "anonymous"
    INVALID = "invalid"


class Number(msgspec.Struct, frozen=True, gc=False):
    """A raw string read under a plan.

    ``digits`` is the key of every lookup: E.164 digits without plus (``e164``), the digits of an
    extension or short code (``short``), and for ``invalid`` the bare digits if the string is
    nothing but 1 to 15 of them, so that short entries still match; otherwise empty.
    ``internal`` says that it matches an extension pattern of the plan. ``reach`` is for ``invalid``
    only: the digits with which a switch that forgives would begin to dial it, country code first,
    at most 15; prefixes cover it by them, exact numbers never. ``e164`` is ``+`` and the digits for
    an ``e164`` number, empty for every other kind.
    """

    raw: str
    kind: Kind
    digits: str = ""
    internal: bool = False
    reach: str = ""
    e164: str = ""
