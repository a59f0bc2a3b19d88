"""Phone numbers: reading them under a plan, entries of lists, emergency numbers, facts.

What is exported here is the interface; the modules behind it are not.
"""

from gateway.numbers.emergency import (
    dialled_emergency_numbers,
    emergency_numbers,
    is_emergency,
)
from gateway.numbers.entries import (
    Inferred,
    infer_entry,
    read_number_entry,
    read_prefix_entry,
    read_short_entry,
    read_starred_entry,
)
from gateway.numbers.facts import (
    REGIONS,
    TYPES,
    display,
    is_possible,
    is_valid,
    region_of,
    type_of,
)
from gateway.numbers.model import Kind, Number
from gateway.numbers.plain import HEAD, sound_lengths
from gateway.numbers.plan import NumberPlan
from gateway.numbers.read import read
from gateway.numbers.wide import covers_country, reach

__all__ = [
    "HEAD",
    "REGIONS",
    "TYPES",
    "Inferred",
    "Kind",
    "Number",
    "NumberPlan",
    "covers_country",
    "dialled_emergency_numbers",
    "display",
    "emergency_numbers",
    "infer_entry",
    "is_emergency",
    "is_possible",
    "is_valid",
    "reach",
    "read",
    "read_number_entry",
    "read_prefix_entry",
    "read_short_entry",
    "read_starred_entry",
    "region_of",
    "sound_lengths",
    "type_of",
]
