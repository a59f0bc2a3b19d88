"""The HTTP API: one file for each kind of resource."""

from __future__ import annotations

from importlib import import_module

from fastapi import FastAPI

PATHS = ("/v1/", "/v2/", "/healthz", "/readyz", "/metrics", "/openapi.json")
"""What programs ask for: there a refusal is always a problem document, never a page."""

_MODULES = (
    *("entries", "changes", "decisions", "attempts", "policy", "service", "screen", "account"),
    *("campaigns", "imports", "replay"),
)


def include(app: FastAPI) -> None:
    """Add every route."""
    for name in _MODULES:
        app.include_router(import_module(f"gateway.web.api.{name}").router)
