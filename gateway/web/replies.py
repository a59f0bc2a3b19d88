"""Replies: records that leave as they are, encoded once, and described from the same types.

Rule: what is sent is what the type says. FastAPI would validate every row of a list a second time,
which costs eight times the encoding.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from fastapi import FastAPI, Response

from gateway.web.problems import documented

T = TypeVar("T")

JSON = "application/json"
_REF = "#/components/schemas/{name}"
_asked: list[tuple[Any, dict[str, Any]]] = []
"""Types, and the schemas that stand for them, which are filled when all types are known."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Part of a list. ``next`` is the ``after`` of the part that follows, empty at the end."""

    items: list[T]
    next: str = ""


def reply(record: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Any record as JSON."""
    return Response(msgspec.json.encode(record), status, headers, JSON)


def schema_of(kind: Any) -> dict[str, Any]:
    """The schema of a type, for a body that a handler reads itself; ``describe`` fills it."""
    schema: dict[str, Any] = {}
    _asked.append((kind, schema))
    return schema


def returns(kind: Any, *problems: int, status: int = 200, example: Any = None) -> dict[str, Any]:
    """What a route answers, for its decorator; ``problems`` are statuses of refusals."""
    content: dict[str, Any] = {"schema": schema_of(kind)}
    if example is not None:
        content["example"] = msgspec.to_builtins(example)
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": "Done", "content": {JSON: content}},
        **documented(*problems),
    }
    return {"responses": responses, "status_code": status, "response_class": Response}


def returns_text(
    media: str, *problems: int, what: str = "Done", kind: str = "string"
) -> dict[str, Any]:
    """The same for a route that answers text of some kind; ``kind`` is what it is when parsed."""
    content = {media: {"schema": {"type": kind}}}
    responses: dict[int | str, dict[str, Any]] = {
        200: {"description": what, "content": content},
        **documented(*problems),
    }
    return {"responses": responses, "response_class": Response}


def describe(app: FastAPI) -> None:
    """Put the types of all replies into the OpenAPI document.

    They are described together: two of one name are told apart by their modules.
    """
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            kinds = [kind for kind, _ in _asked]
            described, types = msgspec.json.schema_components(kinds, ref_template=_REF)
            for (_, schema), found in zip(_asked, described, strict=True):
                schema.update(found)
            schemas = plain().setdefault("components", {}).setdefault("schemas", {})
            schemas.update(types)
        return app.openapi_schema or plain()

    app.openapi = openapi  # type: ignore[method-assign]
