"""The pages: one file for each, and the kit that all of them are made with."""

from __future__ import annotations

from importlib import import_module

from fastapi import FastAPI, Request, Response

from gateway.web.pages.kit import render
from gateway.web.pages.login import login_for
from gateway.web.problems import Problem

__all__ = ["include", "login_for", "show_problem"]

_MODULES = (
    *("login", "overview", "blacklist", "attempts", "check", "audit"),
    *("campaigns", "imports", "replay"),
)


def include(app: FastAPI) -> None:
    """Add every page."""
    for name in _MODULES:
        app.include_router(import_module(f"gateway.web.pages.{name}").router)


def show_problem(request: Request, problem: Problem) -> Response:
    """A refusal, as a page or, where a part of a page was asked for, as that part."""
    name = "parts/problem.html" if request.headers.get("hx-request") else "problem.html"
    return render(request, name, status=problem.status, problem=problem)
