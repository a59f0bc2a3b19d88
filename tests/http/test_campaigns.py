"""Campaigns over HTTP: contacts and their labels, uploads, counts, and files of leads scrubbed."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from gateway.attempts.journal import Journal
from gateway.tokens import Scope
from tests.browser.site import Site
from tests.http.conftest import Ask
from tests.support.attempts import make_attempt

PATIENCE = 60.0
CAMPAIGNS = """\
    dids: [+33140000001]
    trunks: [carrier]
    contacts: contacts.csv
  autumn: {dids: [+33140000002]}
"""
CONTACTS = """\
name,phone
Ada,+33612000101
Bob,06 12 99 90 02
Cid,+33612999003
Dora,+33162551234
Eve,nonsense
"""
LABELS = ["Clear", "Blacklisted", "Blacklisted", "Allowed by exception", "Invalid"]
UPLOADED = "/v1/campaigns/autumn/contacts"
NAMED = "/v1/campaigns/spring-sale/contacts"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with two campaigns: one whose contacts the policy names, one without any."""
    site = Site(tmp_path_factory.mktemp("site"))
    with site.policy.open("a") as policy:
        policy.write(CAMPAIGNS)
    (site.policy.parent / "contacts.csv").write_text(CONTACTS)
    site.start()
    yield site
    site.stop()


@pytest.fixture
def uploaded(admin: httpx.Client) -> Iterator[None]:
    """The campaign without contacts has some."""
    assert admin.put(UPLOADED, content=CONTACTS.encode()).status_code == 200
    yield
    admin.delete(UPLOADED)


def labels(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["label"] for item in answer.json()["items"]]


def test_every_campaign_is_shown_with_what_is_its_own(admin: httpx.Client) -> None:
    found = {item["name"]: item for item in admin.get("/v1/campaigns").json()}
    assert found.keys() == {"spring-sale", "autumn"}
    sale = found["spring-sale"]
    assert (sale["dids"], sale["trunks"]) == (["+33140000001"], ["carrier"])
    assert sale["lists"] == ["opted-out"]
    assert (sale["contacts"], sale["file"]) == ("policy", "contacts.csv")
    assert found["autumn"]["contacts"] == ""
    assert admin.get("/v1/campaigns/spring-sale").json() == sale
    assert admin.get("/v1/campaigns/none").status_code == 404


def test_every_contact_has_its_label_and_those_blacklisted_the_status_220(
    admin: httpx.Client,
) -> None:
    page = admin.get(NAMED).json()
    assert (page["column"], page["columns"], page["next"]) == ("phone", ["name", "phone"], "")
    assert [item["label"] for item in page["items"]] == LABELS
    assert [item["status"] for item in page["items"]] == [None, 220, 220, None, None]
    bob = page["items"][1]
    assert (bob["list"], bob["entry"], bob["e164"]) == (
        "do-not-call",
        "+33612999002",
        "+33612999002",
    )
    assert bob["cells"] == ["Bob", "06 12 99 90 02"]
    assert (bob["reason"], bob["origin"].partition(":")[0]) == ("binding", "policy.yaml")


def test_a_label_is_what_a_call_of_the_campaign_would_get(admin: httpx.Client) -> None:
    for item in admin.get(NAMED).json()["items"]:
        call = {"number": item["number"], "direction": "outbound", "campaign": "spring-sale"}
        told = admin.post("/v1/check", json={**call, "trunk": "carrier"}).json()
        assert (told["action"] == "block") == (item["label"] == "Blacklisted"), item


def test_a_label_changes_with_the_entry_that_makes_it(admin: httpx.Client) -> None:
    added = admin.post("/v1/entries", json={"number": "+33612000101"}).json()
    assert labels(admin.get(NAMED))[0] == "Blacklisted"
    assert admin.get("/v1/campaigns/spring-sale/summary").json()["blacklisted"] == 3
    admin.post(f"/v1/changes/{added['rev']}/undo")
    assert labels(admin.get(NAMED)) == LABELS
    assert admin.get("/v1/campaigns/spring-sale/summary").json()["blacklisted"] == 2


def test_contacts_are_paged_and_asked_for_by_their_label(admin: httpx.Client) -> None:
    found, after = [], ""
    while True:
        page = admin.get(NAMED, params={"limit": 2, "after": after}).json()
        found += [item["row"] for item in page["items"]]
        if not (after := page["next"]):
            break
    assert found == [0, 1, 2, 3, 4]
    two = {"only": ["blacklisted", "exception"]}
    assert labels(admin.get(NAMED, params=two)) == LABELS[1:4]


@pytest.mark.parametrize(
    ("search", "rows"),
    [("bob", [1]), ("+33 6 12 99", [1, 2]), ("0612999002", [1]), ("99900", [1, 2]), ("zoe", [])],
)
def test_contacts_are_found_by_a_cell_and_by_their_number_however_it_is_written(
    admin: httpx.Client, search: str, rows: list[int]
) -> None:
    page = admin.get(NAMED, params={"search": search}).json()
    assert [item["row"] for item in page["items"]] == rows


@pytest.mark.parametrize(
    "query", [{"only": "friendly"}, {"limit": 0}, {"after": "x"}, {"column": "shoe size"}]
)
def test_a_question_about_contacts_that_makes_no_sense_is_a_problem(
    admin: httpx.Client, query: dict[str, str | int]
) -> None:
    assert admin.get(NAMED, params=query).status_code == 422


def test_the_labels_are_counted(admin: httpx.Client) -> None:
    counts = admin.get("/v1/campaigns/spring-sale/summary").json()
    assert (counts["rows"], counts["column"]) == (5, "phone")
    assert [counts[word] for word in ("clear", "blacklisted", "exception", "invalid")] == [
        *(1, 2, 1, 1)
    ]


def test_what_is_exported_is_the_file_with_its_labels(admin: httpx.Client) -> None:
    answer = admin.get(f"{NAMED}.csv")
    assert "spring-sale" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["callgate_label"] for row in rows] == LABELS
    assert [row["name"] for row in rows] == ["Ada", "Bob", "Cid", "Dora", "Eve"]
    clear = admin.get(f"{NAMED}.csv", params={"only": "clear"}).text
    assert [row["name"] for row in csv.DictReader(io.StringIO(clear))] == ["Ada"]


def test_whoever_may_not_see_numbers_sees_labels_and_no_contact(ask: Ask) -> None:
    reader = ask(Scope.READ)
    page = reader.get(NAMED)
    assert labels(page) == LABELS
    first = page.json()["items"][0]
    assert (first["number"], first["e164"], first["cells"]) == ("+********101", "+********101", [])
    assert not [text for text in ("Ada", "999002", "612999", "551234") if text in page.text]
    assert reader.get(f"{NAMED}.csv").status_code == 403
    assert reader.get(NAMED, params={"search": "+3361200"}).status_code == 403
    assert reader.get("/v1/campaigns").json()[1]["dids"] == ["+********001"]


def test_contacts_are_uploaded_replaced_and_removed(admin: httpx.Client, site: Site) -> None:
    assert admin.get(UPLOADED).status_code == 404
    taken = admin.put(UPLOADED, content=CONTACTS.encode()).json()
    assert taken == {"size": len(CONTACTS), "column": "phone"}
    assert labels(admin.get(UPLOADED)) == ["Clear", "Blacklisted", "Clear", *LABELS[3:]]
    file = {"file": ("autumn.csv", b"tel\n+33612000777\n")}
    assert admin.put(UPLOADED, files=file).json()["column"] == "tel"
    assert [item["number"] for item in admin.get(UPLOADED).json()["items"]] == ["+33612000777"]
    assert admin.get("/v1/campaigns/autumn").json()["contacts"] == "uploaded"
    kept = site.config.parent.parent / "state/contacts/autumn.csv"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert admin.delete(UPLOADED).status_code == 200
    assert admin.delete(UPLOADED).status_code == 404
    assert not kept.exists()


@pytest.mark.parametrize("body", [b"", b"name,colour\nAda,red\n", b"phone\nnot\none\n", b"\0\1\2"])
@pytest.mark.usefixtures("uploaded")
def test_what_are_no_contacts_replaces_nothing(admin: httpx.Client, body: bytes) -> None:
    refused = admin.put(UPLOADED, content=body)
    assert refused.status_code == 422
    assert refused.json()["detail"]
    assert len(admin.get(UPLOADED).json()["items"]) == 5


def test_contacts_that_the_policy_names_are_not_uploaded(admin: httpx.Client) -> None:
    refused = admin.put(NAMED, content=CONTACTS.encode())
    assert refused.status_code == 409
    assert "contacts.csv" in refused.json()["detail"]
    assert admin.delete(NAMED).status_code == 409


def test_a_reader_uploads_and_removes_nothing(ask: Ask) -> None:
    reader = ask(Scope.READ, Scope.NUMBERS)
    assert reader.put(UPLOADED, content=CONTACTS.encode()).status_code == 403
    assert reader.delete(UPLOADED).status_code == 403
    assert reader.put("/v1/campaigns/none/contacts", content=b"x").status_code == 403


def test_attempts_are_counted_per_day_and_verdict(admin: httpx.Client, site: Site) -> None:
    journal = Journal(site.config.parent.parent / "state" / "journal", 9)
    now = time.time()
    last = ""
    for verdict in ("allow", "block", "block"):
        last = journal.next_id(now)
        journal.append(make_attempt(last, now, campaign="autumn", verdict=verdict))
    journal.close()
    deadline = time.monotonic() + PATIENCE
    while admin.get(f"/v1/attempts/{last}").status_code != 200:
        assert time.monotonic() < deadline, "the attempt did not arrive"
        time.sleep(0.02)
    days: list[dict[str, Any]] = admin.get("/v1/campaigns/autumn/days", params={"days": 3}).json()
    counts = {(day["direction"], day["verdict"]): day["count"] for day in days}
    assert counts == {("inbound", "allow"): 1, ("inbound", "block"): 2}
    assert {day["date"] for day in days} == {datetime.fromtimestamp(now, UTC).date().isoformat()}
    assert admin.get("/v1/campaigns/spring-sale/days").json() == []
    assert admin.get("/v1/campaigns/autumn/days", params={"days": 0}).status_code == 422


def test_a_file_of_leads_is_scrubbed(admin: httpx.Client) -> None:
    answer = admin.post("/v1/scrub", content=CONTACTS.encode(), params={"campaign": "spring-sale"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["callgate_label"] for row in rows] == LABELS
    assert [row["phone"] for row in rows][1] == "06 12 99 90 02"
    clear = {"only": "clear"}
    without = admin.post("/v1/scrub", files={"file": ("x.csv", CONTACTS.encode())}, params=clear)
    names = [row["name"] for row in csv.DictReader(io.StringIO(without.text))]
    assert names == ["Ada", "Cid"], "outside of the campaign its list does not count"


def test_a_large_file_is_scrubbed_whole(admin: httpx.Client) -> None:
    numbers = [f"+336{n:08}" for n in range(150_000)]
    answer = admin.post("/v1/scrub", content="\n".join(["phone", *numbers]).encode())
    assert answer.status_code == 200
    assert [line.partition(",")[0] for line in answer.text.splitlines()[1:]] == numbers


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ({"campaign": "none"}, b"phone\n+33612000101\n"),
        ({"trunk": "none"}, b"phone\n+33612000101\n"),
        ({"column": "shoe size"}, b"phone\n+33612000101\n"),
        ({}, b""),
        ({}, b"a,b\nc,d\n"),
    ],
)
def test_what_cannot_be_scrubbed_is_a_problem(
    admin: httpx.Client, query: dict[str, str], body: bytes
) -> None:
    assert admin.post("/v1/scrub", params=query, content=body).status_code == 422


def test_a_form_without_a_file_is_a_problem(admin: httpx.Client) -> None:
    sent = {"note": (None, "no file")}
    answer = admin.post("/v1/scrub", files=sent)
    assert answer.status_code == 422
    assert "choose a file" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/campaigns"),
        ("GET", "/v1/campaigns/spring-sale"),
        ("GET", NAMED),
        ("PUT", NAMED),
        ("DELETE", NAMED),
        ("GET", f"{NAMED}.csv"),
        ("GET", "/v1/campaigns/spring-sale/summary"),
        ("GET", "/v1/campaigns/spring-sale/days"),
        ("POST", "/v1/scrub"),
    ],
)
def test_nobody_is_answered_without_a_token(ask: Ask, method: str, path: str) -> None:
    assert ask().request(method, path).status_code == 401
    assert ask(Scope.SCREEN).request(method, path).status_code == 403


def test_the_page_of_a_campaign_shows_what_the_api_does(ask: Ask, admin: httpx.Client) -> None:
    html = {"Accept": "text/html"}
    listed = admin.get("/campaigns", headers=html).text
    assert "/campaigns/spring-sale" in listed
    shown = admin.get("/campaigns/spring-sale", headers=html).text
    assert [shown.count(f">{label}</span>") for label in dict.fromkeys(LABELS)] == [1, 2, 1, 1]
    assert "Bob" in shown
    masked = ask(Scope.READ).get("/campaigns/spring-sale", headers=html)
    assert masked.status_code == 200
    assert not [text for text in ("Bob", "612 99", "99 90 02", "6125512") if text in masked.text]
    rows = admin.get("/campaigns/spring-sale/contacts", params={"only": "exception"}).text
    assert ("Dora" in rows, "Bob" in rows) == (True, False)
    assert admin.get("/campaigns/none", headers=html).status_code == 404
    counted = admin.get("/campaigns/spring-sale/counts", headers=html).text
    assert "5 contacts, numbers in column phone" in counted


def test_the_page_takes_an_upload_and_removes_it(admin: httpx.Client, ask: Ask) -> None:
    path, files = "/campaigns/autumn/contacts", {"file": ("a.csv", CONTACTS.encode())}
    assert ask(Scope.READ).post(path, files=files).status_code == 403
    assert admin.post(path, files=files).headers["hx-refresh"] == "true"
    assert labels(admin.get(UPLOADED))[0] == "Clear"
    bad = {"file": ("a.csv", b"name,colour\nAda,red\n")}
    refused = admin.post(path, files=bad, headers={"Accept": "text/html", "HX-Request": "true"})
    assert refused.status_code == 422
    assert "column of it has telephone numbers" in refused.text
    assert admin.post(f"{path}/remove").status_code == 204
    assert admin.get(UPLOADED).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/campaigns/%00/contacts"),
        ("GET", "/v1/campaigns/..%2f..%2fetc/contacts.csv"),
        ("PUT", "/v1/campaigns/..%2f..%2ftokens/contacts"),
        ("DELETE", "/v1/campaigns/%2e%2e/contacts"),
        ("GET", f"{NAMED}?search=%00"),
        ("GET", f"{NAMED}?search=%ff%fe&only=clear"),
        ("GET", f"{NAMED}?search=(%2B%D9%A1)"),
        ("GET", f"{NAMED}?after=9999999999"),
        ("GET", f"{NAMED}?after=%D9%A1"),
        ("GET", f"{NAMED}.csv?column=%00"),
        ("POST", "/v1/scrub?campaign=%00"),
    ],
)
def test_hostile_names_and_searches_fail_nothing(
    admin: httpx.Client, method: str, path: str
) -> None:
    answer = admin.request(method, path, content=b"\xff\n" if method != "GET" else None)
    assert answer.status_code < 500, answer.text


def test_a_broken_form_is_a_problem(admin: httpx.Client) -> None:
    sent = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"--x\r\n\r\n", b"nothing of the kind", b""):
        answer = admin.post("/v1/scrub", content=body, headers=sent)
        assert answer.status_code in (400, 422), body
        assert answer.headers["content-type"] == "application/problem+json"
    sent = {"Content-Type": "multipart/form-data"}
    assert admin.post("/v1/scrub", content=b"x", headers=sent).status_code in (400, 422)
