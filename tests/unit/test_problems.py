"""Problems: one shape for every error, with a status that says whose fault it is."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gateway.entries import Covered, NeedsConfirmation
from gateway.errors import (
    BadEntry,
    ConfigError,
    ControlError,
    ControlRefused,
    EntryError,
    Fault,
    GatewayError,
    StoreError,
)
from gateway.web.problems import (
    MEDIA_TYPE,
    Problem,
    ProblemDocument,
    answer_problem,
    documented,
    problem_of,
)

COVERED = Covered(what="did", text="it is the number of the campaign sale")
FAULT = Fault("policy.yaml", 3, 5, "lists", "is no list")
ERRORS: list[tuple[Exception, int, dict[str, Any]]] = [
    (Problem(404, "there is no such list"), 404, {"detail": "there is no such list"}),
    (EntryError("no"), 422, {"detail": "no"}),
    (BadEntry("no"), 422, {"detail": "no"}),
    (ControlRefused("no"), 422, {"detail": "no"}),
    (ControlError("gone"), 503, {"detail": "gone"}),
    (StoreError("disk"), 503, {"detail": "disk"}),
    (ConfigError([FAULT]), 422, {"faults": ["policy.yaml:3:5: lists: is no list"]}),
    (HTTPException(405, "no", {"Allow": "GET"}), 405, {"detail": "no"}),
]


def body(problem: Problem) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(bytes(problem.response().body))
    return found


@pytest.mark.parametrize(("error", "status", "members"), ERRORS)
def test_every_error_of_ours_is_a_problem(
    error: Exception, status: int, members: dict[str, Any]
) -> None:
    problem = problem_of(error)
    response = problem.response()
    assert (response.status_code, response.media_type) == (status, MEDIA_TYPE)
    found = body(problem)
    assert (found["type"], found["status"]) == ("about:blank", status)
    assert found["title"]
    assert members.items() <= found.items()
    ProblemDocument.model_validate(found)


def test_a_problem_without_a_detail_has_none() -> None:
    assert body(Problem(404)) == {"type": "about:blank", "title": "Not Found", "status": 404}


def test_further_members_and_headers_are_sent() -> None:
    problem = Problem(409, "no", title="Busy", headers={"Retry-After": "7"}, job="j-1")
    assert body(problem)["job"] == "j-1"
    assert body(problem)["title"] == "Busy"
    assert problem.response().headers["retry-after"] == "7"


def test_what_needs_a_confirmation_says_what_it_covers() -> None:
    problem = problem_of(NeedsConfirmation((COVERED,)))
    assert problem.status == 409
    assert body(problem)["covers"] == [{"what": "did", "text": COVERED.text, "entry": ""}]


def test_what_may_be_tried_again_says_when() -> None:
    for error in (StoreError("disk"), ControlError("gone")):
        assert problem_of(error).response().headers["retry-after"] == "1"


def test_the_headers_of_the_framework_are_kept() -> None:
    assert problem_of(HTTPException(405, headers={"Allow": "GET"})).headers == {"Allow": "GET"}


def test_an_error_that_nobody_expected_is_no_problem_of_the_asker() -> None:
    for error in (GatewayError("?"), KeyError("?")):
        with pytest.raises(type(error)):
            problem_of(error)


async def test_a_parameter_that_cannot_be_used_is_named() -> None:
    app = FastAPI()

    @app.get("/x")
    async def x(limit: int = Query(ge=1)) -> int:
        return limit

    app.add_exception_handler(RequestValidationError, answer_problem)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/x?limit=0")
    assert (answer.status_code, answer.headers["content-type"]) == (422, MEDIA_TYPE)
    [fault] = answer.json()["errors"]
    assert fault["where"] == "query.limit"
    assert fault["message"]


def test_what_is_documented_is_what_is_sent() -> None:
    found = documented(404, 503)
    assert set(found) == {404, 503}
    assert found[404]["description"] == "Not Found"
    assert list(found[503]["content"]) == [MEDIA_TYPE]
