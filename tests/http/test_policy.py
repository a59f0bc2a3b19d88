"""The policy over HTTP: what runs, what a bad load said, and what calls would get."""

from __future__ import annotations

import httpx

from tests.browser.site import Site


def test_a_policy_with_a_fault_is_not_loaded_and_its_place_is_told(
    site: Site, admin: httpx.Client
) -> None:
    before = site.policy.read_text()
    revision = admin.get("/v1/policy").json()["revision"]
    site.policy.write_text(before + "surprise: 1\n")
    refused = admin.post("/v1/policy/reload")
    assert refused.status_code == 409
    line = len(before.splitlines()) + 1
    assert f"policy.yaml:{line}:" in refused.json()["result"]["faults"][0]
    state = admin.get("/v1/policy").json()
    assert state["revision"] == revision
    assert "surprise" in state["last_reload"]["faults"][0]
    assert state["degraded"]
    assert admin.get("/readyz").json()["status"] == "degraded"
    site.policy.write_text(before)
    assert admin.post("/v1/policy/reload").json()["status"] == "loaded"
    assert admin.get("/readyz").json() == {"status": "ok", "reasons": []}


def test_every_list_is_shown_with_what_it_does(admin: httpx.Client) -> None:
    lists = {item["name"]: item for item in admin.get("/v1/lists").json()}
    assert {"nuisance", "partners", "do-not-call", "blacklist"} <= lists.keys()
    assert lists["do-not-call"]["binding"]
    assert lists["do-not-call"]["direction"] == "outbound"
    assert lists["nuisance"]["entries"] == 1


def test_a_verdict_comes_with_every_step_that_led_to_it(admin: httpx.Client) -> None:
    told = admin.post("/v1/explain", json={"number": "+33162001122"}).json()
    assert told["verdict"]["entry"] == "+33162"
    assert told["verdict"]["origin"].startswith("policy.yaml:")
    assert told["steps"][-1].startswith("block")


def test_an_emergency_call_goes_out_whatever_is_blocked(admin: httpx.Client) -> None:
    told = admin.post("/v1/check", json={"number": "112", "direction": "outbound"}).json()
    assert (told["action"], told["reason"]) == ("allow", "emergency")


def test_the_metrics_are_those_of_the_gateway(admin: httpx.Client) -> None:
    answer = admin.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "callgate_http_up 1" in answer.text
