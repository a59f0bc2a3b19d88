"""Attempts as rows of the store: their fields in order, ``shadow`` as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from gateway.attempts.lines import DeliveryLine
from gateway.attempts.model import Attempt, Shadow
from gateway.attempts.query import FIELDS

_DELIVERY = FIELDS.index("delivery")
_SHADOW = FIELDS.index("shadow")
_UNKNOWN_SCOPE = FIELDS.index("unknown_scope")
_values = attrgetter(*FIELDS)
_decode_shadow = msgspec.json.Decoder(Shadow).decode


def row_of(attempt: Attempt) -> list[Any]:
    row = list(_values(attempt))
    if attempt.shadow:
        row[_SHADOW] = msgspec.json.encode(attempt.shadow).decode()
    return row


def settle(rows: dict[str, list[Any]], line: DeliveryLine) -> bool:
    """Put a delivery into the new row that it belongs to, if that is at hand: most are."""
    row = rows.get(line.id)
    if row is not None:
        row[_DELIVERY] = line.delivery
    return row is not None


def attempt_of_row(row: Sequence[Any]) -> Attempt:
    fields: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    fields["unknown_scope"] = bool(row[_UNKNOWN_SCOPE])
    if row[_SHADOW]:
        fields["shadow"] = _decode_shadow(row[_SHADOW])
    return Attempt(**fields)
