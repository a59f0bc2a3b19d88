"""Entries over HTTP: added, asked back about, found, edited, removed, undone, and who did it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import yaml

from gateway.tokens import Scope
from tests.browser.site import Site
from tests.http.conftest import Ask


@pytest.fixture(scope="module")
def writer(ask: Ask) -> httpx.Client:
    """Whoever may change entries and see numbers, and is no admin."""
    return ask(Scope.WRITE, Scope.NUMBERS)


def add(client: httpx.Client, number: str, **rest: Any) -> httpx.Response:
    return client.post("/v1/entries", json={"number": number, **rest})


def verdict(client: httpx.Client, number: str, **rest: Any) -> str:
    answer = client.post("/v1/check", json={"number": number, **rest})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["action"])


def test_an_added_number_is_blocked_by_the_next_check_in_both_directions(
    writer: httpx.Client,
) -> None:
    number = "+33612000001"
    assert verdict(writer, number) == "allow"
    told = add(writer, number, reason="complaint").json()
    assert (told["status"], told["kind"], told["digits"]) == ("added", "number", number[1:])
    for direction in ("inbound", "outbound"):
        assert verdict(writer, number, direction=direction) == "block"


def test_adding_twice_changes_nothing(writer: httpx.Client) -> None:
    first = add(writer, "+33612000002").json()
    again = add(writer, "06 12 00 00 02").json()
    assert (again["status"], again["rev"]) == ("exists", first["rev"])


def test_a_country_is_asked_back_about_with_what_it_covers(writer: httpx.Client) -> None:
    refused = add(writer, "+34", kind="prefix")
    assert refused.status_code == 409
    problem = refused.json()
    assert problem["title"] == "Confirmation needed"
    assert [item["what"] for item in problem["covers"]] == ["country"]
    assert "+34 (ES)" in problem["covers"][0]["text"]
    assert problem["covers"][0]["entry"] == "+34*"
    seen = writer.post("/v1/entries/preview", json={"number": "+34", "kind": "prefix"}).json()
    assert seen["covers"] == problem["covers"]
    assert verdict(writer, "+34612345678") == "allow"
    done = add(writer, "+34", kind="prefix", confirm=True)
    assert done.json()["status"] == "added"
    assert verdict(writer, "+34612345678") == "block"
    change = writer.get("/v1/changes", params={"digits": "34"}).json()["items"][0]
    assert "+34 (ES)" in change["covered"]


def test_an_exception_of_the_policy_is_asked_back_about(writer: httpx.Client) -> None:
    problem = add(writer, "+331625512", kind="prefix").json()
    assert problem["status"] == 409
    assert [item["what"] for item in problem["covers"]] == ["allow"]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"number": "612000009"}, "+33612000009"),
        ({"number": "+33612000009", "list": "no-such-list"}, "no list"),
        ({"number": "+33612000009", "expires": "soon"}, "soon"),
        ({"number": "+"}, ""),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    writer: httpx.Client, wanted: dict[str, str], says: str
) -> None:
    refused = writer.post("/v1/entries", json=wanted)
    assert refused.status_code == 422
    assert says in refused.json()["detail"]


def test_of_a_batch_all_or_none_are_added(writer: httpx.Client) -> None:
    numbers = [f"+3361200{n:04}" for n in range(1000, 1050)]
    answer = writer.post("/v1/entries/batch", json=[{"number": number} for number in numbers])
    assert [item["status"] for item in answer.json()] == ["added"] * 50
    refused = writer.post(
        "/v1/entries/batch", json=[{"number": "+33612001999"}, {"number": "nonsense"}]
    )
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("entry 2 of 2 ('nonsense'): ")
    assert verdict(writer, "+33612001999") == "allow"


def test_pages_show_every_managed_entry_once_and_then_those_of_the_files(
    writer: httpx.Client,
) -> None:
    add(writer, "+33612000003")
    add(writer, "+33612000004")
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = writer.get("/v1/entries", params={"limit": 3, "after": after}).json()
        found += page["items"]
        after = page["next"]
        if not after:
            break
    ids = [item["id"] for item in found if item["origin"] == "managed"]
    assert ids == sorted(set(ids), reverse=True)
    files = [item["text"] for item in found if item["origin"] != "managed"]
    assert sorted(files) == ["+33162", "+3316255", "+33612999002", "+33612999003"]
    assert {"policy.yaml"} == {
        item["origin"].partition(":")[0] for item in found if item["origin"] != "managed"
    }


def test_the_entries_that_cover_a_number_come_with_the_one_that_wins_first(
    writer: httpx.Client,
) -> None:
    add(writer, "+33162551", confirm=True, kind="prefix")
    found = writer.get("/v1/entries", params={"covers": "+33162551234"}).json()["items"]
    assert [item["text"] for item in found] == ["+33162551", "+3316255", "+33162"]
    assert [item["action"] for item in found] == ["block", "allow", "block"]


def test_an_entry_is_edited_removed_and_put_back(writer: httpx.Client) -> None:
    entry = add(writer, "+33612000005", reason="one").json()["entry"]
    path = f"/v1/entries/{entry['id']}"
    edited = writer.patch(path, json={"reason": "two", "expires": "2090-01-31"}).json()
    assert edited["status"] == "edited"
    assert (edited["entry"]["reason"], edited["entry"]["expires"] > 0) == ("two", True)
    assert writer.patch(path, json={"reason": "three"}).json()["entry"]["expires"] > 0
    removed = writer.delete(path).json()
    assert removed["status"] == "removed"
    assert writer.get(path).status_code == 404
    assert verdict(writer, "+33612000005") == "allow"
    undone = writer.post(f"/v1/changes/{removed['rev']}/undo").json()
    assert undone["status"] == "undone"
    assert verdict(writer, "+33612000005") == "block"
    assert writer.post(f"/v1/changes/{removed['rev']}/undo").status_code == 422


def test_the_audit_says_who_and_by_what_way(writer: httpx.Client) -> None:
    add(writer, "+33612000006")
    change = writer.get("/v1/changes", params={"limit": 1}).json()["items"][0]
    assert (change["who"], change["source"], change["op"]) == ("write-numbers", "api", "add")
    assert change["after"]["digits"] == "33612000006"


def test_only_an_admin_lets_calls_through(writer: httpx.Client, admin: httpx.Client) -> None:
    assert add(writer, "+33162000777", list="partners").status_code == 403
    told = add(admin, "+33162000777", list="partners", confirm=True).json()
    assert told["status"] == "added"
    assert writer.delete(f"/v1/entries/{told['entry']['id']}").status_code == 403
    assert writer.post(f"/v1/changes/{told['rev']}/undo").status_code == 403
    assert admin.post(f"/v1/changes/{told['rev']}/undo").status_code == 200


def test_what_is_exported_is_a_policy_with_every_managed_entry(writer: httpx.Client) -> None:
    add(writer, "+33612000007")
    policy = yaml.safe_load(writer.get("/v1/entries.yaml").text)
    assert "+33612000007" in policy["lists"]["blacklist"]["numbers"]


def test_an_entry_whose_list_left_the_policy_stays_and_does_nothing(
    site: Site, admin: httpx.Client
) -> None:
    before = site.policy.read_text()
    site.policy.write_text(
        before.replace("lists:\n", "lists:\n  passing: {action: block, may_be_empty: true}\n", 1)
    )
    assert admin.post("/v1/policy/reload").status_code == 200
    entry = add(admin, "+33612000008", list="passing").json()["entry"]
    assert verdict(admin, "+33612000008") == "block"
    site.policy.write_text(before)
    assert admin.post("/v1/policy/reload").status_code == 200
    assert verdict(admin, "+33612000008") == "allow"
    assert "passing" in admin.get(f"/v1/entries/{entry['id']}").json()["fault"]


def test_writers_at_once_lose_nothing(writer: httpx.Client) -> None:
    numbers = [f"+3361200{n:04}" for n in range(3000, 3040)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: add(writer, number), numbers))
    assert {answer.json()["status"] for answer in answers} == {"added"}
    revisions = [answer.json()["rev"] for answer in answers]
    assert len(set(revisions)) == len(numbers)
    assert all(verdict(writer, number) == "block" for number in numbers)
