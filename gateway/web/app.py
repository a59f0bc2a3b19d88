"""The application: barrier, API, pages, assets, and how errors of all of them are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from gateway.errors import GatewayError
from gateway.web import api, pages
from gateway.web.barrier import Barrier
from gateway.web.context import Web
from gateway.web.docs import DESCRIPTION, TAGS, add_docs
from gateway.web.problems import Problem, answer_problem, documented, problem_of

STATIC = Path(__file__).parent / "static"


class _Static(StaticFiles):
    """Assets are asked for with their version in the query: they may be kept for ever."""

    def file_response(self, *args: object, **rest: object) -> Response:
        response = super().file_response(*args, **rest)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response


def create_app(web: Web, *, version: str) -> FastAPI:
    """The application over one ``Web``, which is closed with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        yield
        await web.close()

    app = FastAPI(
        title="Callgate",
        version=version,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=documented(400, 401, 403, 408, 413, 421, 422, 429, 503),
    )
    app.state.web = web
    app.state.version = version
    for error in (Problem, GatewayError, HTTPException, RequestValidationError):
        app.add_exception_handler(error, _answer)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _failed)
    api.include(app)
    pages.include(app)
    add_docs(app)
    app.mount("/static", _Static(directory=STATIC), name="static")
    app.add_middleware(Barrier, hosts=web.http.hosts, max_upload=web.http.max_upload)
    return app


async def _answer(request: Request, error: Exception) -> Response:
    """A person is shown a page, or sent to log in; a program gets a problem."""
    if not _wants_page(request):
        return await answer_problem(request, error)
    problem = problem_of(error)
    if problem.status == 401:
        return _to_login(request)
    return pages.show_problem(request, problem)


async def _gone(request: Request, error: Exception) -> Response:
    """Whoever hangs up in the middle of a body is no failure of ours; nobody reads this answer."""
    del request, error
    return Response(status_code=400)


async def _failed(request: Request, error: Exception) -> Response:
    """What should not have happened; the log has it, whoever asked learns no more than that."""
    del request, error
    return Problem(500, "this failed; the log of the gateway says why").response()


def _wants_page(request: Request) -> bool:
    headers = request.headers
    shown = "text/html" in headers.get("accept", "") or "hx-request" in headers
    return shown and not request.url.path.startswith(api.PATHS)


def _to_login(request: Request) -> Response:
    """The login, which goes on to the page that was asked for or, of a part, that it belongs to."""
    if request.headers.get("hx-request"):
        page = urlsplit(request.headers.get("hx-current-url", ""))
        return Response(status_code=204, headers={"HX-Redirect": pages.login_for(page)})
    if request.method != "GET":
        return RedirectResponse("/login", 303)
    return RedirectResponse(pages.login_for(request.url.components), 303)
