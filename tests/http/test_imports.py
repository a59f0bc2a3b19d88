"""Imports over HTTP: each row added, there already, or refused, and in force with the answer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.tokens import Scope
from tests.browser.site import Site
from tests.http.conftest import TIMEOUT, Ask

PATIENCE = 60.0
ROWS = b"number,reason\n+33613000001,one\n+33613000002,two\n+33613000001,again\nnonsense,bad\n"


@pytest.fixture(scope="module")
def writer(ask: Ask) -> httpx.Client:
    """Whoever may change entries and see numbers, and is no admin."""
    return ask(Scope.WRITE, Scope.NUMBERS)


def imported(client: httpx.Client, body: bytes, **query: Any) -> dict[str, Any]:
    answer = client.post("/v1/import", params=query, content=body)
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def counts(report: dict[str, Any]) -> tuple[int, int, int]:
    return report["added"], report["exists"], report["refused"]


def verdict(client: httpx.Client, number: str) -> str:
    return str(client.post("/v1/check", json={"number": number}).json()["action"])


def test_a_dry_run_says_what_would_be_and_changes_nothing(writer: httpx.Client) -> None:
    report = imported(writer, ROWS, dry_run=True)
    assert counts(report) == (2, 1, 1)
    assert (report["dry_run"], report["in_force"], report["rev"]) == (True, False, 0)
    assert verdict(writer, "+33613000001") == "allow"


def test_what_is_imported_is_in_force_with_the_answer(writer: httpx.Client) -> None:
    report = imported(writer, ROWS, file="leads.csv")
    assert counts(report) == (2, 1, 1)
    assert (report["in_force"], report["why"], report["format"]) == (True, "", "csv")
    assert report["refusals"] == [
        {"line": 5, "text": "nonsense", "why": report["refusals"][0]["why"]}
    ]
    assert verdict(writer, "+33613000001") == verdict(writer, "+33613000002") == "block"
    change = writer.get("/v1/changes", params={"limit": 1}).json()["items"][0]
    assert (change["who"], change["source"]) == ("write-numbers", "import:leads.csv")
    assert change["rev"] == report["rev"]
    assert counts(imported(writer, ROWS)) == (0, 3, 1)


def test_an_import_is_taken_back_by_removing_what_its_rows_name(writer: httpx.Client) -> None:
    body = b"+33613000010\n+33613000011\n"
    assert counts(imported(writer, body)) == (2, 0, 0)
    report = imported(writer, body + b"+33613000012\n", remove=True)
    assert (report["removed"], report["absent"], report["in_force"]) == (2, 1, True)
    assert verdict(writer, "+33613000010") == "allow"


def test_a_form_is_taken_too_and_its_file_gives_the_name(writer: httpx.Client) -> None:
    files = {"file": ("dnc list.txt", b"+33613000020 # asked\n")}
    report = writer.post("/v1/import", files=files).json()
    assert (report["file"], report["format"], report["added"]) == ("dnc list.txt", "text", 1)


def test_formats_lists_and_columns_are_told_as_on_the_command_line(writer: httpx.Client) -> None:
    body = b"Mobile;Notes\n06 13 00 00 30;rude\n"
    report = imported(
        writer, body, column=["Mobile", "reason=Notes"], list="nuisance", expires="90d"
    )
    assert (report["added"], report["format"]) == (1, "csv")
    found = writer.get("/v1/entries", params={"digits": "33613000030"}).json()["items"][0]
    assert (found["list"], found["reason"], found["expires"] > 0) == ("nuisance", "rude", True)


def test_a_row_that_covers_much_is_refused_until_it_is_confirmed(writer: httpx.Client) -> None:
    body = b"prefix\n+35\n+351\n"
    assert counts(imported(writer, body, dry_run=True))[2] == 2
    report = imported(writer, body, dry_run=True, confirm=True)
    assert "+351" not in [item["text"] for item in report["refusals"]]


def test_thousands_of_rows_are_in_force_when_the_answer_comes(writer: httpx.Client) -> None:
    numbers = [f"+33614{n:06}" for n in range(6000)]
    report = imported(writer, "\n".join(numbers).encode())
    assert (report["added"], report["in_force"]) == (6000, True)
    assert verdict(writer, numbers[0]) == verdict(writer, numbers[-1]) == "block"


def test_imports_at_once_lose_nothing_and_no_more_than_two_run(writer: httpx.Client) -> None:
    bodies = ["\n".join(f"+33615{part}{n:05}" for n in range(500)).encode() for part in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda body: writer.post("/v1/import", content=body), bodies))
    done = [place for place, answer in enumerate(answers) if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} <= {429}
    assert all("retry-after" in answer.headers for answer in refused)
    assert done
    for place in done:
        assert answers[place].json()["added"] == 500
        assert verdict(writer, f"+33615{place}00499") == "block"


def test_only_an_admin_imports_into_a_list_that_allows(
    writer: httpx.Client, admin: httpx.Client
) -> None:
    body = b"+33613000040\n"
    for query in ({"list": "partners"}, {"list": "1=partners"}, {"allow_list": "partners"}):
        assert writer.post("/v1/import", params=query, content=body).status_code == 403
    assert imported(admin, body, list="partners", dry_run=True)["added"] == 1
    ftc = {"list": "partners", "from": "freepbx"}
    refused = admin.post("/v1/import", params=ftc, content=body)
    assert refused.status_code == 422
    assert "allows what FreePBX blocks" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ({"from": "excel"}, ROWS),
        ({"list": "no-such-list"}, ROWS),
        ({"allow_list": "nuisance"}, ROWS),
        ({"before": "0033"}, ROWS),
        ({"kind": "country"}, ROWS),
        ({"within": 0}, ROWS),
        ({"expires": "99999d", "min_complaints": "many"}, ROWS),
        ({}, b""),
        ({"from": "ftc"}, b"a,b\n1,2\n"),
        ({}, b"Motif;Fin\nsales;2027-12-31\n"),
    ],
)
def test_what_cannot_be_imported_is_a_problem_in_words(
    admin: httpx.Client, query: dict[str, str], body: bytes
) -> None:
    refused = admin.post("/v1/import", params=query, content=body)
    assert refused.status_code == 422
    assert refused.json()["detail"]


def test_numbers_that_are_refused_are_masked_for_whoever_may_not_see_numbers(ask: Ask) -> None:
    body = b"0033 6 12 34 56 78 90 12 34 56\n"
    report = imported(ask(Scope.WRITE), body)
    assert report["refused"] == 1
    assert "6 12 34" not in str(report["refusals"])


def test_columns_that_were_not_read_are_named(writer: httpx.Client) -> None:
    report = imported(writer, "Téléphone;Motif;Shoe\n+33613000051;x;42\n".encode())
    assert (report["added"], report["unread"]) == (1, ["Shoe"])


def test_nobody_else_imports(ask: Ask) -> None:
    assert ask().post("/v1/import", content=ROWS).status_code == 401
    assert ask(Scope.READ, Scope.NUMBERS).post("/v1/import", content=ROWS).status_code == 403


def awaited(client: httpx.Client, begun: httpx.Response) -> str:
    """The page of the job that was begun, when it has ended."""
    assert begun.status_code == 200, begun.text
    url = begun.headers["hx-push-url"]
    deadline = time.monotonic() + PATIENCE
    while "<progress" in (text := client.get(url).text):
        assert time.monotonic() < deadline, "the import did not end"
        time.sleep(0.02)
    return text


def test_the_page_looks_first_and_then_takes_the_same_file(writer: httpx.Client, ask: Ask) -> None:
    files = {"file": ("page.csv", b"number\n+33613000060\nnonsense\n")}
    begun = writer.post("/blacklist/import", files=files, data={"reason": "seen", "from": "auto"})
    shown = awaited(writer, begun)
    assert "What importing page.csv would do" in shown
    assert "nonsense" in shown
    assert verdict(writer, "+33613000060") == "allow"
    job = begun.headers["hx-push-url"].rpartition("=")[2]
    run = f"/blacklist/import/jobs/{job}/run"
    assert ask(Scope.WRITE).post(run).status_code == 404, "it is somebody else's"
    done = awaited(writer, writer.post(run))
    assert "1 entry added: the next call is decided by it" in done
    assert verdict(writer, "+33613000060") == "block"
    assert writer.post(run).status_code == 409, "what was taken is not taken again"


def test_the_page_says_what_it_cannot_use(writer: httpx.Client, ask: Ask) -> None:
    headers = {"Accept": "text/html", "HX-Request": "true"}
    no_file = writer.post("/blacklist/import", files={"x": (None, "y")}, headers=headers)
    assert (no_file.status_code, "Choose a file" in no_file.text) == (422, True)
    files = {"file": ("page.csv", ROWS)}
    bad = writer.post("/blacklist/import", files=files, data={"before": "33"}, headers=headers)
    assert "country code" in bad.text
    hole = {"list": "partners"}
    assert writer.post("/blacklist/import", files=files, data=hole).status_code == 403
    assert ask(Scope.READ).post("/blacklist/import", files=files).status_code == 403
    assert "not known any more" in writer.get("/blacklist/import?job=0000000000000000").text


def test_a_file_that_cannot_be_read_fails_its_job_in_words(writer: httpx.Client) -> None:
    files = {"file": ("page.csv", b"Motif;Fin\nsales;2027-12-31\n")}
    shown = awaited(writer, writer.post("/blacklist/import", files=files))
    assert "the header has no column number or prefix, but Motif, Fin" in shown


def test_an_upload_by_cookie_needs_the_secret_of_the_session(ask: Ask, site: Site) -> None:
    browser = ask()
    assert browser.post("/login", data={"token": site.token}).status_code == 303
    files = {"file": ("page.csv", ROWS)}
    assert browser.post("/blacklist/import", files=files).status_code == 403
    assert browser.post("/v1/import", files=files).status_code == 403


def test_an_import_that_a_stop_ends_is_finished_by_another(tmp_path: Path) -> None:
    body = "\n".join(f"+33616{n:06}" for n in range(16_000)).encode()
    site = Site(tmp_path / "site")

    def send() -> httpx.Response | None:
        with httpx.Client(auth=("x", site.token), timeout=4 * TIMEOUT, trust_env=False) as client:
            try:
                return client.post(f"{site.url}/v1/import", content=body)
            except httpx.TransportError:
                return None

    site.start()
    try:
        with ThreadPoolExecutor(1) as pool:
            begun = pool.submit(send)
            deadline = time.monotonic() + PATIENCE
            query, auth = {"digits": "33616"}, ("x", site.token)
            while not httpx.get(
                f"{site.url}/v1/entries", params=query, auth=auth, trust_env=False, timeout=TIMEOUT
            ).json()["items"]:
                assert time.monotonic() < deadline, "nothing was imported"
            site.stop()
            answer = begun.result(4 * TIMEOUT)
        assert answer is None or answer.status_code in (200, 503)
        assert "Traceback" not in site.output
        site.start()
        report = send()
        assert report is not None
        counts = report.json()
        assert counts["added"] + counts["exists"] == 16_000
        assert counts["exists"] >= 2000
        assert counts["in_force"]
    finally:
        site.stop()
