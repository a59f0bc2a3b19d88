"""The scalar values of policy.yaml: what can be told from one value alone."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, WithJsonSchema

from gateway.numbers import REGIONS, TYPES
from gateway.policy.model import FORBIDDEN_RESPONSES, NAME, is_response
from gateway.yamlmodel import from_text, parse_count, suggestion

NETWORK_BLOCKED = "603+"
"""What a provider that blocks on analytics sends in the US: 603 with a phrase and a Reason."""


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(
            "a name is 1 to 40 lowercase letters, digits, _ or -, "
            f"and begins with a letter or digit, not '{text}'"
        )
    return text


def _region(text: str) -> str:
    if text not in REGIONS:
        meant = {"UK": "GB"}.get(text.upper(), text.upper())
        near = f"; did you mean '{meant}'?" if meant in REGIONS else ""
        raise ValueError(f"'{text}' is no region: two letters such as FR or US{near}")
    return text


def _type(text: str) -> str:
    if text not in TYPES:
        raise ValueError(f"'{text}' is no type of number{suggestion(text, TYPES)}")
    return text


class SipResponse(NamedTuple):
    """A SIP status; ``network_blocked`` says that it is the 603+ of ATIS-1000099."""

    status: int
    network_blocked: bool = False


def _response(text: str) -> SipResponse:
    if text == NETWORK_BLOCKED:
        return SipResponse(603, network_blocked=True)
    return SipResponse(_status(parse_count(text)))


def _status(status: int) -> int:
    if not is_response(status):
        forbidden = ", ".join(map(str, sorted(FORBIDDEN_RESPONSES)))
        raise ValueError(f"must be a SIP status from 400 to 699 without {forbidden}, not {status}")
    return status


def _emergency_digits(text: str) -> str:
    if not re.fullmatch(r"\d{2,8}", text, re.ASCII):
        raise ValueError(f"an emergency number is 2 to 8 digits, not '{text}'")
    return text


def _word(text: str) -> str:
    if not text or text != text.strip():
        raise ValueError("must be text without spaces around it")
    return text


Name = Annotated[
    str,
    AfterValidator(_name),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"}),
]
Region = Annotated[
    str, AfterValidator(_region), WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$"})
]
NumberType = Annotated[
    str, AfterValidator(_type), WithJsonSchema({"type": "string", "enum": sorted(TYPES)})
]
Response = Annotated[
    SipResponse,
    from_text(_response),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "integer",
                    "minimum": 400,
                    "maximum": 699,
                    "not": {"enum": sorted(FORBIDDEN_RESPONSES)},
                },
                {"const": NETWORK_BLOCKED},
            ]
        }
    ),
]
EmergencyDigits = Annotated[
    str,
    AfterValidator(_emergency_digits),
    WithJsonSchema({"type": ["string", "integer"]}),
]
FilePath = Annotated[str, AfterValidator(_word), WithJsonSchema({"type": "string", "minLength": 1})]
Extension = Annotated[
    str, AfterValidator(_word), WithJsonSchema({"type": ["string", "integer"], "minLength": 1})
]


class NumberFormat(StrEnum):
    """How a trunk writes numbers that begin neither with + nor with an international prefix."""

    AUTO = "auto"
    E164 = "e164"
    NATIONAL = "national"
