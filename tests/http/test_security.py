"""Who is let in, from where, and how far."""

from __future__ import annotations

import html
import re

import httpx
import pytest

from gateway.tokens import Scope, Tokens
from tests.browser.site import Site
from tests.http.conftest import TIMEOUT, Ask

EVERYTHING = [
    ("GET", "/v1/policy"),
    ("POST", "/v1/policy/reload"),
    ("GET", "/v1/lists"),
    ("GET", "/v1/entries"),
    ("POST", "/v1/entries"),
    ("GET", "/v1/entries.yaml"),
    ("GET", "/v1/changes"),
    ("POST", "/v1/check"),
    ("GET", "/v1/attempts"),
    ("GET", "/v1/attempts/stream"),
    ("GET", "/v1/attempts.csv"),
    ("GET", "/v1/stats"),
    ("GET", "/metrics"),
]


@pytest.fixture
def browser(ask: Ask, site: Site) -> httpx.Client:
    """A client that keeps cookies, as a browser does, and is logged in."""
    client = ask()
    answer = client.post("/login", data={"token": site.token})
    assert answer.status_code == 303
    return client


def csrf(browser: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', browser.get("/").text)
    assert found
    return found[1]


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_nobody_is_answered_without_a_token(ask: Ask, method: str, path: str) -> None:
    answer = ask().request(method, path)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_health_needs_no_token_and_tells_nothing(ask: Ask) -> None:
    assert ask().get("/healthz").json() == {"status": "ok", "reasons": []}
    assert ask().get("/readyz").json()["status"] == "ok"


def test_a_token_is_taken_as_the_password_of_basic_too(ask: Ask, site: Site) -> None:
    answer = ask().get("/v1/policy", auth=("anybody", site.token))
    assert answer.status_code == 200


def test_a_page_that_needs_a_login_leads_to_it(ask: Ask) -> None:
    answer = ask().get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize(
    ("asked", "login"),
    [
        ("/blacklist", "/login?next=/blacklist"),
        ("/attempts?period=1d&list=a%20b", "/login?next=/attempts%3Fperiod%3D1d%26list%3Da%2520b"),
    ],
)
def test_the_login_goes_on_to_the_page_that_was_asked_for(
    ask: Ask, site: Site, asked: str, login: str
) -> None:
    client = ask()
    answer = client.get(asked, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, login)
    field = re.search(r'name="next" value="([^"]*)"', client.get(login).text)
    assert field
    sent = {"token": site.token, "next": html.unescape(field[1])}
    wrong = client.post("/login", data={**sent, "token": "wrong"})
    assert field[0] in wrong.text, "a mistake does not lose the way"
    assert client.post("/login", data=sent).headers["location"] == asked
    assert client.get(login).headers["location"] == asked, "who is logged in goes on at once"


def test_a_page_whose_session_has_ended_is_come_back_to(ask: Ask) -> None:
    sent = {"HX-Request": "true", "HX-Current-URL": "http://127.0.0.1:1/blacklist?q=%2B33"}
    answer = ask().get("/blacklist/rows", headers=sent)
    assert answer.headers["hx-redirect"] == "/login?next=/blacklist%3Fq%3D%252B33"
    answer = ask().get("/parts/figures", headers={"HX-Request": "true"})
    assert answer.headers["hx-redirect"] == "/login"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://evil.example/",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        " //evil.example",
        "/a\\..\\evil",
        "/\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "evil.example",
        "/" + "a" * 3000,
    ],
)
def test_the_login_leads_to_no_other_site(ask: Ask, site: Site, elsewhere: str) -> None:
    client = ask()
    assert 'name="next" value="/"' in client.get("/login", params={"next": elsewhere}).text
    answer = client.post("/login", data={"token": site.token, "next": elsewhere})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    answer = client.get("/login", params={"next": elsewhere})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"])
def test_a_name_that_is_not_ours_is_refused(ask: Ask, site: Site, host: str) -> None:
    answer = ask().get("/v1/policy", headers={"Host": host}, auth=("x", site.token))
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost:8080", "LOCALHOST", "127.0.0.1", "[::1]:80"])
def test_localhost_and_bare_addresses_are_ours(ask: Ask, host: str) -> None:
    assert ask().get("/healthz", headers={"Host": host}).status_code == 200


def test_the_cookie_is_for_no_script_and_no_other_site(site: Site) -> None:
    answer = httpx.post(f"{site.url}/login", data={"token": site.token}, trust_env=False)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()


def test_a_change_by_cookie_needs_the_secret_of_the_session(browser: httpx.Client) -> None:
    assert browser.post("/v1/policy/reload").status_code == 403
    sent = {"X-CSRF-Token": csrf(browser)}
    assert browser.post("/v1/policy/reload", headers=sent).status_code == 200


def test_a_change_by_cookie_does_not_come_from_elsewhere(browser: httpx.Client) -> None:
    sent = {"X-CSRF-Token": csrf(browser), "Origin": "http://evil.example"}
    assert browser.post("/v1/policy/reload", headers=sent).status_code == 403
    sent = {"X-CSRF-Token": csrf(browser), "Sec-Fetch-Site": "cross-site"}
    assert browser.post("/v1/policy/reload", headers=sent).status_code == 403


def test_another_site_cannot_log_somebody_in(site: Site) -> None:
    data, headers = {"token": site.token}, {"Origin": "http://evil.example"}
    answer = httpx.post(f"{site.url}/login", data=data, headers=headers, trust_env=False)
    assert answer.status_code == 403


def test_a_session_ends_with_its_logout_also_for_a_stolen_cookie(
    ask: Ask, browser: httpx.Client
) -> None:
    stolen = browser.cookies["cg_session"]
    browser.post("/logout", data={"csrf": csrf(browser)})
    thief = ask()
    thief.cookies.set("cg_session", stolen)
    assert thief.get("/v1/policy").status_code == 401


def test_a_forged_cookie_is_worth_nothing(ask: Ask, browser: httpx.Client) -> None:
    cookie = browser.cookies["cg_session"]
    forged = ("A" if cookie[0] != "A" else "B") + cookie[1:]
    thief = ask()
    thief.cookies.set("cg_session", forged)
    assert thief.get("/v1/policy").status_code == 401


def test_a_revoked_token_ends_its_sessions(ask: Ask, tokens: Tokens) -> None:
    text = tokens.create("leaver", [Scope.READ])
    client = ask()
    client.post("/login", data={"token": text})
    assert client.get("/v1/policy").status_code == 200
    tokens.revoke("leaver")
    assert client.get("/v1/policy").status_code == 401


def test_an_expired_token_is_unknown(ask: Ask, tokens: Tokens) -> None:
    text = tokens.create("old", [Scope.ADMIN], expires=1)
    assert ask().get("/v1/policy", auth=("x", text)).status_code == 401


def test_a_reader_changes_nothing(ask: Ask) -> None:
    reader = ask(Scope.READ)
    assert reader.post("/v1/entries", json={"number": "+33123456789"}).status_code == 403
    assert reader.post("/v1/policy/reload").status_code == 403


def test_a_pbx_may_only_have_calls_screened(ask: Ask) -> None:
    assert ask(Scope.SCREEN).get("/v1/attempts").status_code == 403


def test_whoever_may_not_see_numbers_sees_their_last_three_digits(
    ask: Ask, admin: httpx.Client
) -> None:
    admin.post("/v1/entries", json={"number": "+33199000042"})
    query = {"covers": "+33199000042"}
    seen = ask(Scope.READ).get("/v1/entries", params=query).json()["items"]
    assert [item["text"] for item in seen if item["kind"] == "number"] == ["+********042"]
    whole = ask(Scope.READ, Scope.NUMBERS).get("/v1/entries", params=query).json()["items"]
    assert "+33199000042" in [item["text"] for item in whole]


def test_a_prefix_as_long_as_a_number_is_masked_alike_everywhere(
    ask: Ask, admin: httpx.Client
) -> None:
    for number in ("+331990077", "+33199"):
        sent = {"number": number, "kind": "prefix", "confirm": True}
        assert admin.post("/v1/entries", json=sent).is_success
    reader = ask(Scope.READ)
    query = {"covers": "+33199007766"}
    seen = [item["text"] for item in reader.get("/v1/entries", params=query).json()["items"]]
    assert "+******077" in seen
    assert "+33199" in seen
    for path in ("/blacklist", "/blacklist?q=%2B33199007766", "/check?number=%2B33199007766"):
        page = reader.get(path).text
        assert "+******077" in page, path
        assert "+33199<" in page or "+33199*" in page, path
        assert "+331990077<" not in page, path


def test_an_entry_whose_time_is_over_does_not_look_alive(admin: httpx.Client) -> None:
    for number, expires in (("+33198", "2020-01-31"), ("+3319", "2090-01-31")):
        sent = {"number": number, "kind": "prefix", "expires": expires, "confirm": True}
        assert admin.post("/v1/entries", json=sent).is_success
    query = {"covers": "+33198000042"}
    seen = admin.get("/v1/entries", params=query).json()["items"]
    faults = {item["text"]: item["fault"] for item in seen}
    assert (faults["+33198"], faults["+3319"]) == ("expired", "")
    assert seen[-1]["text"] == "+33198", "what decides comes first"
    row = admin.get("/blacklist?q=%2B33198").text.partition('<tbody id="entries">')[2]
    row = row.partition("</tr>")[0]
    assert "Expired" in row
    assert "Blocks" not in row


def test_whoever_may_not_export_is_offered_no_export(ask: Ask) -> None:
    assert "/v1/entries.yaml" not in ask(Scope.READ).get("/blacklist").text
    assert "/v1/entries.yaml" in ask(Scope.READ, Scope.NUMBERS).get("/blacklist").text


def test_a_body_has_a_bound_whatever_it_says_of_its_length(admin: httpx.Client) -> None:
    assert admin.post("/v1/check", content=b"x" * (2**20 + 1)).status_code == 413

    def endless() -> object:
        for _ in range(20):
            yield b" " * 100_000

    sent = {"Content-Type": "application/json"}
    assert admin.post("/v1/check", content=endless(), headers=sent).status_code == 413  # type: ignore[arg-type]


def test_every_answer_is_sealed(ask: Ask, site: Site) -> None:
    for path in ("/login", "/healthz", "/v1/policy", "/nowhere"):
        headers = ask().get(path, auth=("x", site.token)).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY", path
        assert "script-src 'self'" in headers["content-security-policy"], path
        assert "unsafe-inline" not in headers["content-security-policy"], path
        assert headers["cache-control"] == "no-store", path


def test_after_ten_wrong_tokens_an_address_is_not_heard_for_a_while(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    site = Site(tmp_path_factory.mktemp("barred"))
    site.start()
    try:
        with httpx.Client(base_url=site.url, timeout=TIMEOUT, trust_env=False) as client:
            wrong = "cg_00000000_" + "A" * 43
            answers = [client.get("/v1/policy", auth=("x", wrong)) for _ in range(11)]
            assert [answer.status_code for answer in answers] == [401] * 10 + [429]
            assert int(answers[-1].headers["retry-after"]) > 0
            assert client.post("/login", data={"token": wrong}).status_code == 429
            good = client.get("/v1/policy", auth=("x", site.token))
            assert good.status_code == 200, "a program with a good token is not locked out"
    finally:
        site.stop()
