"""Screening over HTTP: a verdict and its attempt, or an error that no PBX takes for a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import httpx
import pytest

from gateway.attempts.model import Delivery
from gateway.pbx.xml_curl import NOT_FOUND
from gateway.tokens import Scope, Tokens
from gateway.web.api.screen import MOST, MOST_CHANNEL
from gateway.web.app import create_app
from gateway.web.context import Web
from gateway.web.options import Options
from tests.browser.site import Site
from tests.http.conftest import Ask

JSON, FORM, DIALPLAN = "/v1/screen", "/v1/screen/asterisk", "/v1/freeswitch/dialplan"
BLOCKED = {"direction": "inbound", "caller": "+33162000000", "callee": "+33140000000"}
ALLOWED = {**BLOCKED, "caller": "+33612000001"}
LOOKUP = {
    "section": "dialplan",
    "Hunt-Context": "public",
    "Hunt-Caller-ID-Number": "+33162000000",
    "Hunt-Destination-Number": "+33140000000",
}
BOUND = "?inbound=public&next=screened&trunk=carrier"


@pytest.fixture(scope="module")
def pbx(ask: Ask) -> httpx.Client:
    return ask(Scope.SCREEN)


@pytest.fixture(autouse=True)
def _only_own_attempts(site: Site) -> None:
    site.forget()


def test_a_call_is_blocked_and_recorded(pbx: httpx.Client, site: Site) -> None:
    answer = pbx.post(JSON, json={**BLOCKED, "pbx": "kamailio", "channel_id": "call-1"})
    (attempt,) = site.new_attempts(1)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "verdict": "block",
            "response": 603,
            "cause": 16,
            "reason": "list",
            "list": "nuisance",
            "entry": "+33162",
            "number": "+33162000000",
            "attempt": attempt.id,
        },
    )
    assert (attempt.frontend, attempt.pbx, attempt.channel_id) == ("http", "kamailio", "call-1")
    assert attempt.delivery == Delivery.SENT


def test_an_allowed_call_has_no_response(pbx: httpx.Client, site: Site) -> None:
    told = pbx.post(JSON, json=ALLOWED).json()
    (attempt,) = site.new_attempts(1)
    assert (told["verdict"], told["response"], attempt.verdict) == ("allow", None, "allow")


def test_a_call_that_has_happened_is_only_recorded(pbx: httpx.Client, site: Site) -> None:
    assert pbx.post(JSON, json={**BLOCKED, "report": True}).json()["verdict"] == "block"
    (attempt,) = site.new_attempts(1)
    assert attempt.delivery == Delivery.REPORTED


def test_asterisk_is_told_its_variables(pbx: httpx.Client, site: Site) -> None:
    answer = pbx.post(FORM, data=BLOCKED)
    told = dict(parse_qsl(answer.text))
    (attempt,) = site.new_attempts(1)
    assert (told["CALLGATE_VERDICT"], told["CALLGATE_RESPONSE"]) == ("block", "603")
    assert told["CALLGATE_ATTEMPT"] == attempt.id
    assert attempt.pbx == "asterisk"


def test_freeswitch_is_told_what_to_run(pbx: httpx.Client, site: Site) -> None:
    answer = pbx.post(DIALPLAN + BOUND, data=LOOKUP)
    assert answer.headers["content-type"].startswith("text/xml")
    applications = [node.attrib for node in ElementTree.fromstring(answer.text).iter("action")]
    assert {"application": "respond", "data": "603"} in applications
    (attempt,) = site.new_attempts(1)
    assert (attempt.pbx, attempt.trunk, attempt.list) == ("freeswitch", "carrier", "nuisance")


def test_a_lookup_that_nobody_wants_screened_is_no_attempt(pbx: httpx.Client, site: Site) -> None:
    for context in ("screened", "voicemail"):
        answer = pbx.post(DIALPLAN + BOUND, data={**LOOKUP, "Hunt-Context": context})
        assert (answer.status_code, answer.text) == (200, NOT_FOUND)
    pbx.post(JSON, json=ALLOWED)
    (attempt,) = site.new_attempts(1)
    assert attempt.pbx == ""


@pytest.mark.parametrize("path", [JSON, FORM, DIALPLAN + BOUND])
def test_hostile_is_a_block_and_not_an_error(pbx: httpx.Client, site: Site, path: str) -> None:
    body: dict[str, Any] = {"json": {**ALLOWED, "caller": "+336\n"}}
    if path != JSON:
        body = {"data": {**(ALLOWED if path == FORM else LOOKUP)}}
        name = "caller" if path == FORM else "Hunt-Caller-ID-Number"
        body["data"][name] = "+336\n"
    answer = pbx.post(path, **body)
    assert answer.status_code == 200
    assert "block" in answer.text
    (attempt,) = site.new_attempts(1)
    assert (attempt.verdict, attempt.reason) == ("block", "hostile")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (JSON, b""),
        (JSON, b'{"direction": "inbound", "caller": "1"}'),
        (JSON, b'{"direction": "inbound", "caller": "1", "callee": "2", "colour": "red"}'),
        (FORM, b""),
        (FORM, b"direction=inbound&caller=1"),
        (DIALPLAN + BOUND, b"direction=inbound"),
        (DIALPLAN, b"section=dialplan&Hunt-Context=public"),
        (DIALPLAN + "?colour=red", b"section=dialplan&Hunt-Context=public"),
    ],
)
def test_what_describes_no_call_is_an_error_and_no_verdict(
    pbx: httpx.Client, path: str, body: bytes
) -> None:
    answer = pbx.post(path, content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "allow" not in answer.text


@pytest.mark.parametrize(
    ("path", "most"), [(JSON, MOST), (FORM, MOST), (DIALPLAN + BOUND, MOST_CHANNEL)]
)
def test_a_body_has_a_bound(pbx: httpx.Client, path: str, most: int) -> None:
    assert pbx.post(path, content=b"x" * (most + 1)).status_code == 413


@pytest.mark.parametrize("path", [JSON, FORM, DIALPLAN + BOUND])
def test_only_a_token_with_the_scope_may_ask(ask: Ask, site: Site, path: str) -> None:
    assert ask().post(path).status_code == 401
    assert ask(Scope.WRITE, Scope.NUMBERS).post(path).status_code == 403
    browser = ask()
    browser.post("/login", data={"token": site.token})
    assert browser.post(path, data=BLOCKED).status_code == 401, "a cookie is no token"


def test_a_token_may_come_as_the_password(ask: Ask, tokens: Tokens, site: Site) -> None:
    token = tokens.create("by-password", [Scope.SCREEN])
    answer = ask().post(JSON, json=ALLOWED, auth=("asterisk", token))
    assert answer.json()["verdict"] == "allow"
    site.new_attempts(1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (JSON, {"json": ALLOWED}),
        (FORM, {"data": ALLOWED}),
        (DIALPLAN + BOUND, {"data": LOOKUP}),
    ],
)
async def test_a_gateway_that_does_not_answer_is_an_error_and_no_verdict(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    token = Tokens(tmp_path).create("pbx", [Scope.SCREEN])
    options = Options(
        descriptor=0, parent=0, state=str(tmp_path), policy="policy.yaml", http={}, log={}
    )
    web = Web(options)
    transport = httpx.ASGITransport(create_app(web, version="0"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post(path, **body, headers={"Authorization": f"Bearer {token}"})
    await web.close()
    assert answer.status_code == 503
    assert "allow" not in answer.text
