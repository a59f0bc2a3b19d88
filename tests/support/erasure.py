"""A number to erase, in the ways in which it may have been written."""

from __future__ import annotations

from typing import Any

from gateway.attempts.model import Attempt
from gateway.numbers import NumberPlan
from gateway.numbers.spellings import spellings

PLANS = (
    NumberPlan.build(region="FR", strip=["9", "*67"]),
    NumberPlan.build(region="US"),
)
MINE = spellings("33612345678", PLANS)
OTHER = "+33698765432"
SPELLED = (
    "+33612345678",
    "0612345678",
    "06 12 34 56 78",
    "0033612345678",
    "01133612345678",
    "*670612345678",
    "90612345678",
    "tel:+33-6-12-34-56-78",
    '"Jeanne" <sip:0612345678@198.51.100.7>',
    "%2B33612345678",
    "+330612345678",
    "٠٦١٢٣٤٥٦٧٨",
)


def bare(attempt: Attempt) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in Attempt.__struct_fields__}
