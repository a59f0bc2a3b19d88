"""The pages: one file for each."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from gateway.web.problems import Problem


def include(app: FastAPI) -> None:
    """Add every page."""
    del app


def show_problem(request: Request, problem: Problem) -> Response:
    """A refusal as a page."""
    del request
    return PlainTextResponse(f"{problem.title}: {problem.detail}", problem.status)
