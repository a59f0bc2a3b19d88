"""Attacks over HTTP, each as whoever would try it: with little rights, or with hostile words."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.tokens import Scope, Tokens
from tests.browser.site import Site
from tests.http.conftest import TIMEOUT, Ask

SECRET = "612999003"
"""Of +33612999003, a number that the policy of these tests names: what a reader must not learn."""
HIDDEN = "33188400517"
"""A managed entry that a reader must not learn."""
CONTACTS = "name;phone\nZoe Martin;+33612777001\nJean Petit;ask Marie 0612777\n"


@pytest.fixture(scope="module", autouse=True)
def _entry(admin: httpx.Client) -> None:
    assert admin.post("/v1/entries", json={"number": f"+{HIDDEN}", "reason": "x"}).is_success


@pytest.fixture(scope="module")
def reader(ask: Ask) -> httpx.Client:
    return ask(Scope.READ)


@pytest.fixture(scope="module")
def writer(ask: Ask) -> httpx.Client:
    return ask(Scope.WRITE)


@pytest.fixture(scope="module")
def pbx(ask: Ask) -> httpx.Client:
    return ask(Scope.SCREEN)


def id_of(admin: httpx.Client, number: str) -> int:
    (found,) = [
        item
        for item in admin.get("/v1/entries", params={"digits": number}).json()["items"]
        if item["text"] == f"+{number}"
    ]
    return int(found["id"])


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/attempts", {"prefix": "+3361"}),
        ("/v1/attempts", {"number": "+33612999003"}),
        ("/v1/attempts", {"entry": "+33612999003"}),
        ("/v1/attempts.csv", {"prefix": "+3361"}),
        ("/v1/entries", {"digits": HIDDEN[:8]}),
        ("/v1/entries", {"text": HIDDEN[:8]}),
        ("/v1/entries", {"text": HIDDEN[3]}),
        ("/v1/changes", {"digits": HIDDEN[:8]}),
        ("/attempts", {"number": "+3361*"}),
        ("/attempts/rows", {"prefix": "+3361"}),
        ("/attempts/rows", {"entry": "+33612999003"}),
        ("/blacklist", {"q": HIDDEN[:8]}),
        ("/blacklist/rows", {"q": f"+{HIDDEN[:8]}"}),
        ("/audit", {"number": HIDDEN[:8]}),
    ],
)
def test_a_number_is_not_guessed_digit_by_digit_through_a_filter(
    reader: httpx.Client, path: str, query: dict[str, str]
) -> None:
    assert reader.get(path, params=query).status_code == 403


@pytest.mark.parametrize("path", ["/v1/entries/preview", "/blacklist/preview"])
@pytest.mark.parametrize("number", ["+3361*", "+33188*", "+336129990*"])
def test_a_preview_of_a_prefix_does_not_tell_the_numbers_below_it(
    reader: httpx.Client, path: str, number: str
) -> None:
    asked: dict[str, str] = {"number": number, "list": "do-not-call"}
    if path.startswith("/v1"):
        answer = reader.post(path, json=asked)
    else:
        answer = reader.get(path, params=asked)
    assert answer.is_success
    digits = "".join(filter(str.isdigit, answer.text))
    assert "999002" not in digits
    assert SECRET not in digits
    assert HIDDEN not in digits


def test_a_confirmation_does_not_tell_an_exception_s_number(
    admin: httpx.Client, writer: httpx.Client
) -> None:
    exception = {"number": "+33612999555", "list": "partners"}
    assert admin.post("/v1/entries", json=exception).is_success
    answer = writer.post("/v1/entries", json={"number": "+3361299*", "list": "nuisance"})
    assert answer.status_code == 409
    assert "999555" not in "".join(filter(str.isdigit, answer.text))
    sent = {"number": "+3361299*", "list": "nuisance", "confirm": True}
    added = writer.post("/v1/entries", json=sent)
    assert added.is_success
    for path in ("/v1/changes", "/audit"):
        assert "999555" not in "".join(filter(str.isdigit, writer.get(path).text)), path
    assert admin.post(f"/v1/changes/{added.json()['rev']}/undo").is_success


def test_a_change_that_changes_nothing_does_not_tell_a_number(
    admin: httpx.Client, writer: httpx.Client
) -> None:
    path = f"/v1/entries/{id_of(admin, HIDDEN)}"
    removed = writer.delete(path)
    undone = writer.post(f"/v1/changes/{removed.json()['rev']}/undo")
    for answer in (removed, undone, writer.patch(path, json={"reason": "y"})):
        assert answer.is_success
        assert HIDDEN not in answer.text


def test_counts_do_not_tell_which_number_was_blocked(
    reader: httpx.Client, admin: httpx.Client, pbx: httpx.Client, site: Site
) -> None:
    site.forget()
    call = {"direction": "outbound", "caller": "", "callee": "+33612999002"}
    assert pbx.post("/v1/screen", json=call).json()["verdict"] == "block"
    site.new_attempts(1)
    assert "+33612999002" in admin.get("/v1/stats").text
    assert "+33612999002" not in reader.get("/v1/stats").text


@pytest.fixture
def contacts(admin: httpx.Client) -> str:
    path = "/v1/campaigns/spring-sale/contacts"
    assert admin.put(path, content=CONTACTS.encode()).is_success
    return path


def test_no_other_column_of_contacts_is_shown_as_the_number(
    contacts: str, reader: httpx.Client
) -> None:
    for column in ("name", "1", "nope"):
        answer = reader.get(contacts, params={"column": column})
        assert answer.status_code == 403
        assert "Zoe" not in answer.text
    shown = reader.get(contacts).text
    assert "Zoe" not in shown
    assert "Marie" not in shown


def test_a_revoked_token_ends_its_streams(ask: Ask, tokens: Tokens, pbx: httpx.Client) -> None:
    text = tokens.create("watcher", [Scope.READ])
    call = {"direction": "inbound", "caller": "+33612000777", "callee": "+33140000000"}
    for path in ("/v1/attempts/stream", "/parts/live"):
        if path == "/parts/live":
            text = tokens.create("watcher", [Scope.READ])
        with ask().stream("GET", path, headers={"Authorization": f"Bearer {text}"}) as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": here"
            tokens.revoke("watcher")
            assert pbx.post("/v1/screen", json=call).is_success
            assert not any(line.startswith("data:") for line in lines), path


def test_wrong_tokens_of_others_behind_the_same_proxy_keep_nobody_from_logging_in(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    site = Site(tmp_path_factory.mktemp("proxied"))
    site.start()
    try:
        with httpx.Client(base_url=site.url, timeout=TIMEOUT, trust_env=False) as client:
            for _ in range(11):
                wrong = client.post("/login", data={"token": "cg_00000000_" + "A" * 43})
            assert wrong.status_code == 429
            assert client.post("/login", data={"token": site.token}).status_code == 303
    finally:
        site.stop()


@pytest.mark.parametrize("elsewhere", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://a.b"}])
def test_another_site_cannot_use_a_password_that_the_browser_keeps(
    ask: Ask, site: Site, elsewhere: dict[str, str]
) -> None:
    headers = {"Content-Type": "text/plain", **elsewhere}
    answer = ask().post(
        "/v1/import",
        params={"dry_run": True},
        content=b"+33188",
        headers=headers,
        auth=("x", site.token),
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("GET", "/v1/entries?after=m%C2%B2", {}),
        ("GET", "/v1/entries?after=f%C2%B2", {}),
        ("GET", "/blacklist/rows?after=m%C2%B2", {}),
        ("GET", "/v1/entries?text=%ED%A0%80%00", {}),
        ("GET", "/v1/stats?since=inf", {}),
        ("GET", "/v1/stats?since=1e300", {}),
        ("GET", "/v1/stats?since=nan", {}),
        ("GET", "/v1/stats?until=nan", {}),
        ("GET", "/v1/attempts/%00%ED%A0%80", {}),
        ("GET", "/v1/attempts?number=%00", {}),
        ("GET", "/campaigns/..%2f..%2fetc", {}),
        ("GET", "/static/..%2fapp.py", {}),
        ("GET", "/static/%00", {}),
        ("POST", "/blacklist/99999999999999999999999/remove", {}),
        ("POST", "/blacklist/99999999999999999999999/edit", {}),
        ("POST", "/blacklist/-1/remove", {}),
        ("POST", "/blacklist/undo/99999999999999999999999", {}),
        ("POST", "/blacklist/undo/-99999999999999999999999", {}),
        ("POST", "/blacklist/undo/0", {}),
        ("POST", "/login", {"headers": {"Origin": "http://[::1"}}),
        ("POST", "/login", {"data": {"token": "\ud800".encode("utf-8", "surrogatepass")}}),
        ("POST", "/login", {"data": {"token": "é²٣"}}),
        ("POST", "/v1/check", {"content": b'{"\\ud800": 1}'}),
        ("POST", "/v1/check", {"content": b'{"number": "\\ud800"}'}),
        ("POST", "/v1/check", {"content": b'{"number": "\\u0000+33"}'}),
        ("POST", "/v1/check", {"content": b"[" * 100_000}),
        ("POST", "/v1/check", {"content": b'{"at": ' + b"9" * 5000 + b"}"}),
        ("POST", "/v1/check", {"content": b'{"at": 1e11, "number": "+33612"}'}),
        ("POST", "/v1/entries", {"content": b'{"number": "+33", "list": "\\ud800"}'}),
        ("POST", "/v1/entries", {"content": b'{"number": "+33188", "reason": "\\ud800"}'}),
        ("POST", "/v2/Account/Blacklist", {"content": b'{"phoneNumbers": ["\\ud800"]}'}),
        ("POST", "/v2/Account/Blacklist", {"content": b'{"phoneNumbers": ["\\u0000"]}'}),
        ("POST", "/v2/Account/Blacklist/Search", {"content": b'{"skip": 1e400}'}),
        ("POST", "/v1/replay?since=1e300", {"content": b"x"}),
        ("POST", "/v1/replay?since=99999999w", {"content": b"x"}),
        ("POST", "/v1/import?file=%00&dry_run=1", {"content": b"\xff\xfe\x00"}),
        ("GET", "/v1/policy", {"headers": {"Authorization": b"Bearer \xff\xfe"}}),
        ("GET", "/v1/policy", {"headers": {"Authorization": "Basic /////w=="}}),
        ("GET", "/", {"headers": {"Cookie": "cg_session=WzEsMl0.aaaa.bbbb"}}),
    ],
)
def test_no_hostile_request_makes_it_fail(
    admin: httpx.Client, method: str, path: str, sent: dict[str, Any]
) -> None:
    sent = dict(sent)
    headers = sent.pop("headers", {})
    if "content" in sent and "replay" not in path and "import" not in path:
        headers = {"Content-Type": "application/json", **headers}
    answer = admin.request(method, path, headers=headers, **sent)
    assert answer.status_code < 500, answer.text


HOSTILE_NAMES = [
    "<script>alert(1)</script>",
    "x\rdata: forged",
    "x\r\revent: attempt\rdata: forged\r\r",
    "x\n\nevent: attempt\ndata: forged\n\n",
    '"><img src=x onerror=alert(1)>',
    "' hx-get=/v1 hx-trigger=load '",
]


def test_a_hostile_name_is_no_event_and_no_markup_in_live_rows(
    admin: httpx.Client, pbx: httpx.Client
) -> None:
    with admin.stream("GET", "/parts/live") as stream:
        raw = stream.iter_raw()
        assert next(raw).startswith(b": here")
        for name in HOSTILE_NAMES:
            call = {"direction": "inbound", "caller": name, "callee": "+33140000000"}
            assert pbx.post("/v1/screen", json={**call, "caller_name": name}).is_success
        got = b""
        while got.count(b"event: attempt\n") < len(HOSTILE_NAMES):
            got += next(raw)
    assert b"\r" not in got
    assert not [line for line in got.split(b"\n") if line.startswith(b"data: forged")]
    assert b"<script" not in got
    assert b"<img" not in got


def test_a_fact_given_twice_decides_no_call(pbx: httpx.Client) -> None:
    """As a name does that somebody put into the JSON without escaping it."""
    twice = (
        b'{"direction": "inbound", "caller": "+33162000000", "callee": "+33140000000",'
        b' "caller_name": "x", "caller": "+33612000001"}'
    )
    answer = pbx.post("/v1/screen", content=twice)
    assert answer.status_code == 200
    assert (answer.json()["verdict"], answer.json()["reason"]) == ("block", "hostile")


@pytest.mark.parametrize("name", [b"x" * 2000, b"\\ud800", b"a\\udcffb"])
def test_no_caller_chooses_the_outage_by_what_he_is_called(pbx: httpx.Client, name: bytes) -> None:
    for field in (b"caller_name", b"caller", b"channel_id"):
        facts = {"direction": "inbound", "caller": "+33612000001", "callee": "+33140000000"}
        facts.pop(field.decode(), None)
        body = json.dumps(facts).encode()[:-1] + b', "' + field + b'": "' + name + b'"}'
        assert pbx.post("/v1/screen", content=body).status_code == 200, field


def test_readiness_tells_no_stranger_what_the_policy_says(
    ask: Ask, admin: httpx.Client, site: Site
) -> None:
    policy = Path(site.config).parent / "policy.yaml"
    before = policy.read_text()
    try:
        policy.write_text(before + "nonsense: [+33612888999]\n")
        assert admin.post("/v1/policy/reload").status_code == 409
        answer = ask().get("/readyz")
        assert answer.json()["status"] == "degraded"
        assert "nonsense" not in answer.text
        assert str(policy.parent) not in answer.text
    finally:
        policy.write_text(before)
        admin.post("/v1/policy/reload")


def test_many_files_that_are_scrubbed_at_a_time_hold_up_neither_calls_nor_pages(
    reader: httpx.Client, admin: httpx.Client, pbx: httpx.Client
) -> None:
    """Bounds of time prove nothing here: that all of it ends well does, within the client's."""
    leads = "\n".join(["phone", *(f"+3361{number:07}" for number in range(20_000))]).encode()
    call = {"direction": "inbound", "caller": "+33162000000", "callee": "+33140000000"}
    with ExitStack() as stack:
        answers = [
            stack.enter_context(reader.stream("POST", "/v1/scrub", content=leads))
            for _ in range(12)
        ]
        assert pbx.post("/v1/screen", json=call).json()["verdict"] == "block"
        assert admin.get("/v1/policy").is_success
        for answer in answers:
            assert sum(1 for _ in answer.iter_lines()) == 20_001


def test_whoever_takes_no_answer_makes_room(site: Site) -> None:
    """More of them than there is room for, with more to take than any buffer holds."""
    ask = b"GET /static/vendor/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 8
    address = ("127.0.0.1", int(site.url.rpartition(":")[2]))
    with ExitStack() as stack:
        for _ in range(210):
            peer = stack.enter_context(closing(socket.socket()))
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(address)
            peer.sendall(ask)
        deadline = time.monotonic() + TIMEOUT
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"{site.url}/healthz", trust_env=False, timeout=TIMEOUT).is_success:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.1)
