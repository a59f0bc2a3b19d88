"""The routes of the hosted product: its clients find what they know."""

from __future__ import annotations

import httpx
import pytest

from gateway.tokens import Scope
from tests.http.conftest import Ask

PATH = "/v2/Account/Blacklist"


@pytest.fixture(scope="module")
def client(ask: Ask) -> httpx.Client:
    """A client as the hosted product has them."""
    return ask(Scope.WRITE, Scope.NUMBERS)


def add(client: httpx.Client, *numbers: str) -> httpx.Response:
    return client.post(PATH, json={"phoneNumbers": list(numbers)})


def remove(client: httpx.Client, *numbers: str) -> httpx.Response:
    return client.request("DELETE", PATH, json={"phoneNumbers": list(numbers)})


def verdict(client: httpx.Client, number: str, direction: str) -> str:
    answer = client.post("/v1/check", json={"number": number, "direction": direction})
    return str(answer.json()["action"])


def listed(client: httpx.Client, **wanted: object) -> tuple[int, list[str]]:
    found = client.post(f"{PATH}/Search", json=wanted).json()
    return found["count"], [item["phoneNumber"] for item in found["results"]]


def test_a_number_and_a_country_are_blocked_both_ways_and_let_go_again(
    client: httpx.Client,
) -> None:
    assert add(client, "+33612000001", "+41").json() is True
    assert add(client, "+33612000001", "+41").json() is True, "what is there is no error"
    for direction in ("inbound", "outbound"):
        assert verdict(client, "+33612000001", direction) == "block"
        assert verdict(client, "+41446681800", direction) == "block"
        assert verdict(client, "+336120000012", direction) == "allow", "a number is no prefix"
    assert remove(client, "+33612000001", "+41").json() is True
    assert remove(client, "+33612000001", "+41").json() is True
    assert verdict(client, "+41446681800", "outbound") == "allow"


def test_what_a_country_covers_stands_in_the_audit_though_nobody_was_asked(
    client: httpx.Client,
) -> None:
    add(client, "+42")
    change = client.get("/v1/changes", params={"digits": "42"}).json()["items"][0]
    assert (change["source"], change["op"]) == ("account", "add")
    assert "+42" in change["covered"]
    remove(client, "+42")


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (["+33612000002", "+33612000002"], "twice"),
        (["+33612000002", " +33612000002"], "twice"),
        (["+" + "1" * 25], "25 characters"),
        ([], "at least one"),
        (["612000002"], "+33612000002"),
        (["112"], ""),
    ],
)
def test_a_list_that_breaks_the_rules_is_refused_whole(
    client: httpx.Client, numbers: list[str], says: str
) -> None:
    before = listed(client)
    refused = add(client, *numbers)
    assert refused.status_code == 400
    assert says in " ".join(refused.json()["errors"]["phoneNumbers"])
    assert listed(client) == before


def test_the_list_is_searched_in_parts_the_newest_first(client: httpx.Client) -> None:
    numbers = [f"+3361200{n:04}" for n in range(2000, 2010)]
    for number in numbers:
        add(client, number)
    count, found = listed(client, skip=0, limit=4)
    assert count >= len(numbers)
    assert found == numbers[:-5:-1]
    assert listed(client, skip=4, limit=4)[1] == numbers[-5:-9:-1]
    assert set(numbers) <= set(listed(client, isAscending=True)[1])


def test_a_search_without_a_body_is_the_beginning_of_the_list(client: httpx.Client) -> None:
    assert client.post(f"{PATH}/Search").status_code == 200


def test_whoever_may_not_see_numbers_sees_their_last_three_digits(
    ask: Ask, client: httpx.Client
) -> None:
    add(client, "+33612000777")
    found = listed(ask(Scope.READ))[1]
    assert "+********777" in found
    assert "+33612000777" not in found
