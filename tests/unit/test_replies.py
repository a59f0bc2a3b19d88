"""Replies are encoded once, and the OpenAPI document describes them by the same types."""

from __future__ import annotations

import re

import httpx
import msgspec
from fastapi import FastAPI, Response
from jsonschema import Draft202012Validator

from gateway.attempts.model import Attempt
from gateway.web.replies import Page, describe, reply, returns, returns_text
from tests.support.attempts import make_attempt

PAGE = Page([make_attempt("a-1", entry="+33162"), make_attempt("a-2")], "a-2")


def make_app() -> FastAPI:
    app = FastAPI()

    @app.get("/page", **returns(Page[Attempt], 422, example=PAGE))
    async def page() -> Response:
        return reply(PAGE, headers={"X-More": "1"})

    @app.post("/made", **returns(Attempt, status=201))
    async def made() -> Response:
        return reply(PAGE.items[0], status=201)

    @app.get("/text", **returns_text("text/csv", 503, what="A file"))
    async def text() -> Response:
        return Response("a,b\n", media_type="text/csv")

    describe(app)
    return app


async def ask(method: str, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(make_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path)


async def test_a_record_leaves_as_it_is() -> None:
    answer = await ask("GET", "/page")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-more"] == "1"
    assert msgspec.json.decode(answer.content, type=Page[Attempt]) == PAGE


async def test_the_status_that_is_documented_is_the_one_that_is_sent() -> None:
    assert (await ask("POST", "/made")).status_code == 201
    found = make_app().openapi()["paths"]["/made"]["post"]["responses"]
    assert "201" in found


async def test_every_reply_is_as_the_document_describes_it() -> None:
    document = make_app().openapi()
    assert make_app().openapi() == document
    operation = document["paths"]["/page"]["get"]["responses"]["200"]
    content = operation["content"]["application/json"]
    schema = {**content["schema"], "components": document["components"]}
    validator = Draft202012Validator(schema)
    assert list(validator.iter_errors((await ask("GET", "/page")).json())) == []
    assert list(validator.iter_errors(content["example"])) == []
    assert list(validator.iter_errors({"items": [{"id": 7}], "next": ""}))


def test_refusals_and_texts_are_documented() -> None:
    paths = make_app().openapi()["paths"]
    assert "application/problem+json" in paths["/page"]["get"]["responses"]["422"]["content"]
    text = paths["/text"]["get"]["responses"]
    assert text["200"]["description"] == "A file"
    assert text["200"]["content"]["text/csv"]["schema"] == {"type": "string"}
    assert "503" in text


def test_every_type_that_is_referred_to_is_in_the_document() -> None:
    document = make_app().openapi()
    content = document["paths"]["/made"]["post"]["responses"]["201"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Attempt"}
    referred = re.findall(r"#/components/schemas/([^\"]+)", msgspec.json.encode(document).decode())
    assert set(referred) <= document["components"]["schemas"].keys()
