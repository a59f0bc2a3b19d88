"""Errors of the API as problem details (RFC 9457), one shape for all of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from gateway.entries.guard import NeedsConfirmation
from gateway.errors import (
    BadEntry,
    ConfigError,
    ControlError,
    ControlRefused,
    EntryError,
    StoreError,
)
from gateway.web.live import TooMany

MEDIA_TYPE = "application/problem+json"
CONFIRM = "it covers more than a number: send confirm to go on"


class Problem(Exception):
    """What a handler raises to be answered with a problem; ``extension`` are further members."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        title: str = "",
        headers: dict[str, str] | None = None,
        **extension: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail
        self.headers = headers
        self.extension = extension

    def response(self) -> Response:
        body = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.detail:
            body["detail"] = self.detail
        content = msgspec.json.encode(body | self.extension)
        return Response(content, self.status, self.headers, MEDIA_TYPE)


class ProblemDocument(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(default="about:blank", description="Always about:blank.")
    title: str = Field(description="The phrase of the status.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(default="", description="What is wrong, in words.")


def problem_of(error: Exception) -> Problem:
    """How an error of this program is told to whoever asked."""
    match error:
        case Problem():
            return error
        case NeedsConfirmation():
            covers = [
                {"what": item.what, "text": item.text, "entry": item.entry} for item in error.covers
            ]
            return Problem(409, str(error), title="Confirmation needed", covers=covers)
        case EntryError() | BadEntry() | ControlRefused():
            return Problem(422, str(error))
        case ConfigError():
            return Problem(422, str(error), faults=[str(fault) for fault in error.faults])
        case ControlError() | StoreError() | TooMany():
            return Problem(503, str(error), headers={"Retry-After": "1"})
        case HTTPException():
            headers = dict(error.headers) if error.headers else None
            return Problem(error.status_code, str(error.detail), headers=headers)
        case RequestValidationError():
            return Problem(422, "the request cannot be used", errors=_faults(error))
    raise error


def _faults(error: RequestValidationError) -> list[dict[str, Any]]:
    return [
        {"where": ".".join(map(str, item["loc"])), "message": item["msg"]}
        for item in error.errors()
    ]


async def answer_problem(request: Request, error: Exception) -> Response:
    """The exception handler of the whole API."""
    del request
    return problem_of(error).response()


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route in the OpenAPI document."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema()}},
        }
        for status in statuses
    }
