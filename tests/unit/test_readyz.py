"""Readiness: every part that has trouble is named, and no gateway at all is another answer."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from gateway.errors import ControlError
from gateway.web.api.service import readyz
from gateway.web.context import Web

WELL = {"policy": {"degraded": ""}, "ingester": {"degraded": ""}}
TROUBLE = {"policy": "a", "workers": "b", "ingester": "c"}


class Answers:
    """A gateway with this status; none, where it has none."""

    def __init__(self, status: dict[str, Any] | None) -> None:
        self._status = status

    async def status(self) -> dict[str, Any]:
        if self._status is None:
            raise ControlError("no gateway is running")
        return self._status


@pytest.mark.parametrize(
    ("status", "code", "said", "reasons"),
    [
        (WELL, 200, "ok", []),
        (WELL | {"workers": {"degraded": ""}}, 200, "ok", []),
        (WELL | {"workers": {"degraded": "1 is missing"}}, 200, "degraded", ["1 is missing"]),
        (
            {
                "policy": {"degraded": "a"},
                "ingester": {"degraded": "c"},
                "workers": {"degraded": "b"},
            },
            200,
            "degraded",
            ["a", "b", "c"],
        ),
        (
            {part: {"degraded": part} for part in ("http", "ingester", "journal", "calls")},
            200,
            "degraded",
            ["calls", "journal", "ingester", "http"],
        ),
        (None, 503, "unavailable", ["no gateway is running"]),
    ],
)
async def test_readiness_names_what_has_trouble(
    status: dict[str, Any] | None, code: int, said: str, reasons: list[str]
) -> None:
    answer = await readyz(cast(Web, Answers(status)))
    assert answer.status_code == code
    told = msgspec.json.decode(bytes(answer.body))
    assert (told["status"], told.get("reasons", [])) == (said, reasons)
