"""Replays over HTTP: a draft is tried on past calls; it reads no more than it may, and writes
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.attempts.journal import Journal
from gateway.attempts.model import Attempt
from gateway.tokens import Scope
from tests.browser.site import Site
from tests.http.conftest import Ask
from tests.support.attempts import make_attempt

PATIENCE = 60.0
DRAFT = """\
numbering: {region: FR, trunks: {carrier: {region: FR}}}
lists:
  fresh: {action: block, direction: inbound, prefixes: [+33140]}
campaigns: {spring-sale: {}}
"""


@pytest.fixture(scope="module")
def past(site: Site, admin: httpx.Client) -> Iterator[list[Attempt]]:
    """Six calls: three that the policy blocks, and three that it lets through."""
    journal = Journal(site.config.parent.parent / "state" / "journal", 9)
    now = time.time() - 60
    made = []
    for n in range(6):
        caller = f"+33{162 if n % 2 else 140}00000{n}"
        block = {} if n % 2 else {"verdict": "allow", "reason": "default", "list": "", "entry": ""}
        made.append(
            make_attempt(
                journal.next_id(now + n),
                now + n,
                caller=caller,
                caller_e164=caller,
                callee="+33199000001",
                callee_e164="+33199000001",
                trunk="carrier",
                response=603 if n % 2 else 0,
                **block,
            )
        )
        journal.append(made[-1])
    deadline = time.monotonic() + PATIENCE
    while admin.get(f"/v1/attempts/{made[-1].id}").status_code != 200:
        assert time.monotonic() < deadline, "the attempts did not arrive"
        time.sleep(0.02)
    yield made
    journal.close()


def replayed(client: httpx.Client, draft: str, **query: Any) -> dict[str, Any]:
    """The job when it has ended."""
    begun = client.post("/v1/replay", params=query, content=draft.encode())
    assert begun.status_code == 202, begun.text
    deadline = time.monotonic() + PATIENCE
    while (job := client.get(begun.headers["location"]).json())["state"] == "running":
        assert time.monotonic() < deadline, "the replay did not end"
        time.sleep(0.02)
    found: dict[str, Any] = job
    return found


@pytest.mark.parametrize("against", ["current", "recorded"])
def test_calls_that_a_draft_decides_otherwise_are_grouped_by_what_decides_them(
    admin: httpx.Client, past: list[Attempt], against: str
) -> None:
    job = replayed(admin, DRAFT, against=against, since="1h")
    assert (job["state"], job["error"]) == ("done", "")
    result = job["result"]
    assert (result["replayed"], result["newly_blocked"], result["newly_allowed"]) == (6, 3, 3)
    groups = {group["change"]: group for group in result["groups"]}
    assert (groups["blocked"]["list"], groups["blocked"]["entry"]) == ("fresh", "+33140")
    assert groups["blocked"]["origin"].startswith("(draft):3")
    assert (groups["allowed"]["list"], groups["allowed"]["numbers"]) == ("nuisance", 3)
    assert {example["attempt"] for example in groups["blocked"]["examples"]} == {
        attempt.id for attempt in past[::2]
    }


def test_the_policy_as_it_is_changes_nothing(
    admin: httpx.Client, site: Site, past: list[Attempt]
) -> None:
    result = replayed(admin, site.policy.read_text())["result"]
    assert (result["replayed"], result["groups"]) == (len(past), [])


def test_managed_entries_count_in_the_draft_unless_they_are_left_out(
    admin: httpx.Client, site: Site, past: list[Attempt]
) -> None:
    number = past[0].caller_e164
    added = admin.post("/v1/entries", json={"number": number}).json()
    try:
        text = site.policy.read_text()
        assert replayed(admin, text)["result"]["groups"] == []
        assert replayed(admin, text, managed=False)["result"]["newly_allowed"] == 1
    finally:
        admin.post(f"/v1/changes/{added['rev']}/undo")


def test_a_draft_may_name_files_beside_the_policy(
    admin: httpx.Client, site: Site, past: list[Attempt]
) -> None:
    (site.policy.parent / "extra.csv").write_text(f"number\n{past[0].caller_e164}\n")
    draft = DRAFT.replace("prefixes: [+33140]", "files: [extra.csv]")
    job = replayed(admin, draft)
    assert job["result"]["newly_blocked"] == 1
    groups = {group["change"]: group for group in job["result"]["groups"]}
    assert groups["blocked"]["origin"] == "extra.csv:2"


def test_a_draft_reads_nothing_outside_of_the_policys_folder(
    admin: httpx.Client, site: Site, past: list[Attempt], tmp_path: Path
) -> None:
    assert past
    secret = tmp_path / "secret.csv"
    secret.write_text(f"number\n{past[0].caller_e164}\n")
    (site.policy.parent / "link.csv").symlink_to(secret)
    for file in (str(secret), "../state/tokens.json", "link.csv", "/etc/passwd", "/proc/self/fd/0"):
        for key in ("files: [{}]", "numbers: [+33199111222], files: [{}]"):
            draft = DRAFT.replace("prefixes: [+33140]", key.format(file))
            job = replayed(admin, draft)
            assert job["state"] == "failed"
            assert "lies outside of the folder" in job["error"], file
        contacts = DRAFT.replace("spring-sale: {}", f"spring-sale: {{contacts: {file}}}")
        assert "lies outside of the folder" in replayed(admin, contacts)["error"]


def test_no_fault_quotes_a_file_of_the_folder(admin: httpx.Client, site: Site) -> None:
    assert "s3cret" in site.config.read_text()
    draft = DRAFT.replace("prefixes: [+33140]", f"files: [{site.config.name}]")
    job = replayed(admin, draft)
    assert job["state"] == "failed"
    assert f"{site.config.name}:1" in job["error"]
    assert "s3cret" not in job["error"]


def test_a_draft_with_faults_is_told_with_its_lines(admin: httpx.Client) -> None:
    job = replayed(admin, DRAFT + "surprise: 1\n")
    assert (job["state"], job["result"]) == ("failed", None)
    assert "(draft):5:1: surprise" in job["error"]


def test_a_replay_writes_nothing(admin: httpx.Client, site: Site, past: list[Attempt]) -> None:
    assert past
    folder = site.policy.parent

    def files() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    before, revision = files(), admin.get("/v1/policy").json()["revision"]
    replayed(admin, DRAFT)
    assert files() == before
    assert admin.get("/v1/policy").json()["revision"] == revision


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ({"since": "yesterday"}, b"lists: {}", 422),
        ({"since": "1000", "until": "500"}, b"lists: {}", 422),
        ({"against": "nothing"}, b"lists: {}", 422),
        ({}, b"", 422),
        ({}, b"#" * (4 * 2**20 + 1), 413),
    ],
)
def test_a_replay_that_makes_no_sense_is_a_problem(
    admin: httpx.Client, query: dict[str, str], body: bytes, status: int
) -> None:
    refused = admin.post("/v1/replay", params=query, content=body)
    assert refused.status_code == status
    assert refused.json()["detail"]


def test_a_replay_takes_an_admin(ask: Ask, admin: httpx.Client) -> None:
    writer = ask(Scope.WRITE, Scope.NUMBERS)
    assert writer.post("/v1/replay", content=DRAFT.encode()).status_code == 403
    begun = admin.post("/v1/replay", content=DRAFT.encode())
    assert writer.get(begun.headers["location"]).status_code == 403
    assert ask().post("/v1/replay", content=DRAFT.encode()).status_code == 401
    assert admin.get("/v1/replay/0123456789abcdef").status_code == 404
    assert admin.get("/v1/replay/none").status_code == 422


def test_the_page_tries_a_draft(admin: httpx.Client, ask: Ask, past: list[Attempt]) -> None:
    assert past
    shown = admin.get("/replay").text
    assert "do-not-call" in shown, "the draft begins as the policy"
    assert "do-not-call" not in ask(Scope.WRITE, Scope.NUMBERS).get("/replay").text
    form = {"draft": (None, DRAFT), "since": (None, "1d"), "managed": (None, "true")}
    assert ask(Scope.WRITE, Scope.NUMBERS).post("/replay", files=form).status_code == 403
    begun = admin.post("/replay", files=form)
    assert begun.status_code == 200, begun.text
    deadline = time.monotonic() + PATIENCE
    while "<progress" in (text := admin.get(begun.headers["hx-push-url"]).text):
        assert time.monotonic() < deadline, "the replay did not end"
        time.sleep(0.02)
    assert "<strong>3</strong> would newly be blocked" in text
    assert "Newly allowed" in text
