"""Attempts over HTTP: found, paged, explained, exported, and seen as they arrive."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.attempts.journal import Journal
from gateway.attempts.model import Attempt
from gateway.tokens import Scope
from tests.browser.site import Site
from tests.http.conftest import Ask
from tests.support.attempts import make_attempt

PATIENCE = 60.0
START = 1_790_000_000.0


@pytest.fixture(scope="module")
def journal(site: Site) -> Iterator[Journal]:
    """One more writer of the gateway's journal: what it writes arrives as calls do."""
    journal = Journal(site.config.parent.parent / "state" / "journal", 9)
    yield journal
    journal.close()


def record(journal: Journal, at: float, **rest: object) -> Attempt:
    attempt = make_attempt(journal.next_id(at), at, **rest)
    journal.append(attempt)
    return attempt


@pytest.fixture(scope="module")
def past(journal: Journal, admin: httpx.Client) -> list[Attempt]:
    """Thirty attempts of the past, the newest first, that can be asked for."""
    made = [
        record(
            journal,
            START + n,
            campaign="spring-sale" if n % 3 else "",
            verdict="block" if n % 2 else "allow",
        )
        for n in range(30)
    ]
    await_attempt(admin, made[-1].id)
    return made[::-1]


def await_attempt(client: httpx.Client, identity: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while client.get(f"/v1/attempts/{identity}").status_code != 200:
        assert time.monotonic() < deadline, "the attempt did not arrive"
        time.sleep(0.02)


def pages(client: httpx.Client, **wanted: str | float) -> Iterator[dict[str, object]]:
    after = ""
    while True:
        page = client.get("/v1/attempts", params={**wanted, "after": after}).json()
        yield from page["items"]
        after = page["next"]
        if not after:
            return


def test_pages_show_every_attempt_once_the_newest_first(
    admin: httpx.Client, past: list[Attempt]
) -> None:
    found = [item["id"] for item in pages(admin, limit=7, until=START + 30)]
    assert found == [attempt.id for attempt in past]


def test_all_that_is_asked_for_must_hold(admin: httpx.Client, past: list[Attempt]) -> None:
    wanted: dict[str, str | float] = {
        "campaign": "spring-sale",
        "verdict": "block",
        "until": START + 30,
    }
    found = [item["id"] for item in pages(admin, limit=4, **wanted)]
    expected = [a.id for a in past if a.campaign and a.verdict == "block"]
    assert found == expected
    assert expected


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 1000}, {"verdict": "perhaps"}, {"since": "yesterday"}]
)
def test_a_question_that_makes_no_sense_is_a_problem(
    admin: httpx.Client, query: dict[str, object]
) -> None:
    answer = admin.get("/v1/attempts", params=query)  # type: ignore[arg-type]
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_an_attempt_tells_its_steps(admin: httpx.Client, past: list[Attempt]) -> None:
    told = admin.get(f"/v1/attempts/{past[0].id}").json()
    assert told["attempt"]["id"] == past[0].id
    assert any("reads as +33162000000" in step for step in told["steps"])
    assert admin.get("/v1/attempts/0none").status_code == 404


def test_the_file_has_every_attempt_that_is_asked_for(
    admin: httpx.Client, past: list[Attempt]
) -> None:
    answer = admin.get("/v1/attempts.csv", params={"until": START + 30, "verdict": "block"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["id"] for row in rows] == [a.id for a in past if a.verdict == "block"]
    assert rows[0]["caller_e164"] == "+33162000000"


def test_numbers_are_masked_everywhere_for_whoever_may_not_see_them(
    ask: Ask, past: list[Attempt]
) -> None:
    reader = ask(Scope.READ)
    whole = (past[0].caller, past[0].caller_e164, past[0].callee_e164)
    texts = [
        reader.get("/v1/attempts").text,
        reader.get(f"/v1/attempts/{past[0].id}").text,
        reader.get("/v1/attempts.csv").text,
    ]
    assert all(past[0].id in text for text in texts)
    assert not [text for text in texts for number in whole if number in text]


def events(answer: httpx.Response) -> Iterator[tuple[str, str, str]]:
    """Name, id and data of each event."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line and "event" in fields:
            yield fields["event"], fields.get("id", ""), fields["data"]
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def test_attempts_are_streamed_as_they_arrive_and_from_where_one_left(
    admin: httpx.Client, journal: Journal, past: list[Attempt]
) -> None:
    one, other = record(journal, time.time()), record(journal, time.time())
    headers = {"Last-Event-ID": past[0].id}
    with admin.stream("GET", "/v1/attempts/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = events(answer)
        assert [next(stream)[1] for _ in range(2)] == [one.id, other.id]
        third = record(journal, time.time())
        name, identity, data = next(stream)
        assert (name, identity, json.loads(data)["id"]) == ("attempt", third.id, third.id)
    with admin.stream("GET", "/v1/attempts/stream", headers={"Last-Event-ID": one.id}) as answer:
        stream = events(answer)
        assert [next(stream)[1] for _ in range(2)] == [other.id, third.id]


def test_whoever_comes_back_after_too_long_is_told_of_the_gap(admin: httpx.Client) -> None:
    headers = {"Last-Event-ID": "0long-forgotten"}
    with admin.stream("GET", "/v1/attempts/stream", headers=headers) as answer:
        assert next(events(answer))[0] == "gap"


def test_counts_per_minute_add_up(admin: httpx.Client, past: list[Attempt]) -> None:
    query = {"since": START - 60, "until": START + 60}
    rows = admin.get("/v1/stats", params=query).json()
    assert sum(row["count"] for row in rows) == len(past)
    blocked = sum(row["count"] for row in rows if row["verdict"] == "block")
    assert blocked == sum(a.verdict == "block" for a in past)


def test_the_state_is_closed_to_others(site: Site) -> None:
    state: Path = site.config.parent.parent / "state"
    for name in ("tokens.json", "http.key"):
        assert (state / name).stat().st_mode & 0o777 == 0o600
