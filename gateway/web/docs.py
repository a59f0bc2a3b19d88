"""The API's own documentation: the OpenAPI document, and Swagger UI from our own assets."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.requests import Request

from gateway.web.replies import describe

DESCRIPTION = """Call screening for Asterisk and FreeSWITCH: lists, entries, attempts, and why.

Every request needs a token of `callgate token create`, as `Authorization: Bearer …` or as the
password of HTTP Basic. Errors are problem details (RFC 9457). Times are UTC, in seconds since the
epoch where they are numbers. Lists are paged: `next` of an answer is the `after` of the next one.
"""
TAGS = [
    {"name": "entries", "description": "What is blocked and allowed, beside the YAML."},
    {"name": "decisions", "description": "What a call would get, and why."},
    {"name": "attempts", "description": "Every call that was screened."},
    {"name": "campaigns", "description": "Campaigns, their contacts and labels."},
    {"name": "policy", "description": "The policy that runs, and its reload."},
    {"name": "screening", "description": "For PBXs that ask by HTTP."},
    {"name": "account", "description": "The routes of the hosted product that this one follows."},
    {"name": "service", "description": "Health, metrics, statistics."},
]

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Callgate API</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/vendor/swagger-ui.css">
<link rel="stylesheet" href="/static/docs.css">
<script src="/static/theme.js"></script>
</head>
<body>
<nav class="back" aria-label="Pages">
<a href="/"><span aria-hidden="true">←</span> Callgate</a>
</nav>
<div id="swagger"></div>
<script src="/static/vendor/swagger-ui-bundle.js"></script>
<script src="/static/docs.js"></script>
</body>
</html>
"""


def add_docs(app: FastAPI) -> None:
    """``/openapi.json`` and ``/docs``; both tell nothing of this installation."""
    describe(app)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(_PAGE)
