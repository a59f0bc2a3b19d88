"""Screening for PBXs that ask over HTTP. The gateway decides; here it is only asked.

Rule: what is no verdict is never 200. An error status, or nothing in time, is the outage branch of
whoever asks: a dialplan that has no verdict decides by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from gateway.calls import Direction
from gateway.control.messages import Screened
from gateway.control.screening import request_of
from gateway.errors import ControlError
from gateway.pbx import web as mapper
from gateway.pbx import xml_curl
from gateway.pbx.request import Refused, ScreenRequest
from gateway.pbx.web import BadBody, Told
from gateway.tokens import Scope
from gateway.web.context import Web, web_of
from gateway.web.problems import Problem
from gateway.web.replies import reply, returns, returns_text, schema_of
from gateway.web.security import allowed
from gateway.web.sessions import sent_token

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that the gateway may take. Whoever asks has a limit of its own, and a shorter one."""
MOST = 64 * 2**10
"""Bytes of a body that describes a call."""
MOST_CHANNEL = 256 * 2**10
"""Bytes of a channel's data, which are encoded threefold where a caller wants them so."""


async def _by_token(request: Request) -> None:
    """No page asks here: a cookie is no token."""
    if not sent_token(request.headers):
        scheme = {"WWW-Authenticate": 'Basic realm="callgate"'}
        raise Problem(401, "a token is needed, as Bearer or as the password", headers=scheme)


router = APIRouter(
    prefix="/v1",
    tags=["screening"],
    dependencies=[Depends(_by_token), Depends(allowed(Scope.SCREEN))],
)
Parts = Annotated[Web, Depends(web_of)]

_EXAMPLE = {
    "direction": "inbound",
    "caller": "+33123456789",
    "callee": "+33140000000",
    "trunk": "carrier",
}
_TOLD = Told(
    verdict="block",
    response=603,
    cause=16,
    reason="list",
    list="nuisance",
    entry="+33123456789",
    number="+33123456789",
    attempt="019f0c8e2b7a-7f3a-000000",
)


def _taking(media: str, schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    """The body in the OpenAPI document; the handler reads it as bytes."""
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"required": True, "content": {media: content}}}


def _form(required: tuple[str, ...], *others: str, **known: list[str]) -> dict[str, Any]:
    """A form: its fields, and which values some of them have."""
    texts: dict[str, Any] = {name: {"type": "string"} for name in (*required, *others)}
    texts |= {name: {"type": "string", "enum": values} for name, values in known.items()}
    return {"type": "object", "properties": texts, "required": list(required)}


_BY_NAME = _form(
    ("direction", "caller", "callee"),
    *(name for name in mapper.FORM if name != "call"),
    direction=["inbound", "outbound"],
    mode=["report"],
) | {"additionalProperties": False}
_LOOKUP = _form(("section", "Hunt-Context"), "Hunt-Destination-Number", section=["dialplan"])
_DIRECTIONS = tuple(Direction)
_MANY = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
_QUERY = [
    {"name": name, "in": "query", "schema": _MANY if name in _DIRECTIONS else {"type": "string"}}
    for name in xml_curl.PARAMETERS
]


@router.post(
    "/screen",
    openapi_extra=_taking("application/json", schema_of(mapper.Facts), _EXAMPLE),
    **returns(Told, 400, 413, example=_TOLD),
)
async def screen(web: Parts, request: Request) -> Response:
    """Screen a call: the verdict, and the id of the attempt that it is recorded as."""
    body = await _body(request, MOST)
    asked = _understood(lambda: mapper.read_json(body, at=time.time()))
    screened = await _screened(web, asked)
    return reply(mapper.json_answer(screened.verdict(), screened.attempt, pbx=asked.call.pbx))


@router.post(
    "/screen/asterisk",
    openapi_extra=_taking("application/x-www-form-urlencoded", _BY_NAME),
    **returns_text("text/plain", 400, 413, what="The variables, as CURLOPT(hashcompat) wants them"),
)
async def screen_asterisk(web: Parts, request: Request) -> Response:
    """Screen a call of Asterisk's `CURL()`. Instead of the facts by name, one field `call` may hold
    the path of a FastAGI URL.
    """
    body = await _body(request, MOST)
    asked = _understood(lambda: mapper.read_form(body, at=time.time()))
    screened = await _screened(web, asked)
    text = mapper.form_answer(screened.verdict(), screened.attempt)
    return Response(text, media_type="text/plain")


@router.post(
    "/freeswitch/dialplan",
    openapi_extra={
        "parameters": _QUERY,
        **_taking("application/x-www-form-urlencoded", _LOOKUP),
    },
    **returns_text("text/xml", 400, 413, what="What FreeSWITCH is to run"),
)
async def dialplan(web: Parts, request: Request) -> Response:
    """Screen a call of FreeSWITCH's mod_xml_curl; the URL's query says what it is."""
    query = request.query_params.multi_items()
    binding = _understood(lambda: xml_curl.read_binding(query))
    body = await _body(request, MOST_CHANNEL)
    asked = _understood(lambda: xml_curl.read_lookup(body, binding, at=time.time()))
    if asked is None:
        return Response(xml_curl.NOT_FOUND, media_type="text/xml")
    screened = await _screened(web, asked)
    text = xml_curl.document(screened.verdict(), screened.attempt, asked.call.direction, binding)
    return Response(text, media_type="text/xml")


async def _body(request: Request, most: int) -> bytes:
    body = await request.body()
    if len(body) > most:
        raise Problem(413, f"a body has at most {most:,} bytes here")
    return body


def _understood(read: Callable[[], T]) -> T:
    try:
        return read()
    except BadBody as error:
        raise Problem(400, str(error)) from None


async def _screened(web: Web, asked: ScreenRequest | Refused) -> Screened:
    """What the gateway says. ControlError where it says nothing that can be understood."""
    if isinstance(asked, Refused):
        request = request_of(asked.call, hostile=asked.why)
    else:
        request = request_of(asked.call, report=asked.report)
    answer = await web.control.request(request, timeout=PATIENCE)
    try:
        return msgspec.convert(answer, Screened)
    except msgspec.ValidationError as error:
        raise ControlError(f"the gateway's answer is no verdict: {error}") from None
