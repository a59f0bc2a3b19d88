"""The guard on a real FreeSWITCH: parked calls go on or end, originated legs are killed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.asterisk.callee import Callee
from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import PATIENCE, SECRET
from tests.asterisk.sip import Caller
from tests.freeswitch.conftest import SOURCE, Place
from tests.freeswitch.pbx import FreeSwitch

BLOCKED = "0612999002"
GUARDS = """
guards:
  freeswitch:
    connect: "127.0.0.1:{port}"
    password: {secret}
    mode: {mode}
    allowed: "* XML guarded"
    audit: 500ms
    deadline: 10s
"""
HOOKED = (
    "originate {{origination_caller_id_number=+33140000000}}sofia/gateway/hooked/{} &sleep(600000)"
)
LISTS = "lists:\n  dropping: {action: block, drop_active: true, may_be_empty: true}\n"
Guarded = Callable[[str], Gateway]


@pytest.fixture
def guarded(tmp_path: Path, pbx: FreeSwitch) -> Iterator[Guarded]:
    """Starts a gateway whose guard, in the mode named, has its link to FreeSWITCH.

    Every call must end by itself, but those that sleep: a test leaves them up on purpose.
    """
    started: list[Gateway] = []

    def start(mode: str) -> Gateway:
        gateway = Gateway(tmp_path / "gateway", source=SOURCE)
        with gateway.config.open("a") as config:
            config.write(GUARDS.format(port=pbx.console, secret=SECRET, mode=mode))
        gateway.policy.write_text(gateway.policy.read_text().replace("lists:\n", LISTS, 1))
        gateway.start()
        started.append(gateway)
        pbx.ask(gateway.address)
        wait_for_link(gateway)
        return gateway

    yield start
    pbx.wait_until_idle(but=",sleep,")
    pbx.api("hupall")
    for gateway in started:
        gateway.stop()


def wait_for_link(gateway: Gateway) -> None:
    deadline = time.monotonic() + PATIENCE
    while not json.loads(gateway.run("status", "--json"))["guards"]["esl_inbound"]:
        assert time.monotonic() < deadline, gateway.output
        time.sleep(0.05)


def test_a_blocked_parked_call_ends_and_nothing_leaves(guarded: Guarded, place: Place) -> None:
    gateway = guarded("park")
    placed = place("carrier", f"park{BLOCKED}")
    (attempt,) = gateway.new_attempts(1)
    assert placed.outcome.final == 403
    assert placed.reached == []
    assert (attempt.frontend, attempt.verdict, attempt.callee) == ("esl_inbound", "block", BLOCKED)
    assert attempt.delivery == "confirmed"


def test_an_allowed_parked_call_goes_on(guarded: Guarded, place: Place) -> None:
    gateway = guarded("park")
    placed = place("carrier", "park0612000002")
    (attempt,) = gateway.new_attempts(1)
    assert placed.outcome.answered
    assert placed.reached == ["0612000002"]
    assert (attempt.verdict, attempt.delivery) == ("allow", "confirmed")


def test_a_call_that_is_parked_again_is_decided_again(guarded: Guarded, place: Place) -> None:
    gateway = guarded("park")
    placed = place("carrier", "park0612000077")
    attempts = gateway.new_attempts(2)
    assert sorted(attempt.verdict for attempt in attempts) == ["allow", "block"]
    assert {attempt.delivery for attempt in attempts} == {"confirmed"}
    assert placed.outcome.final == 403
    assert placed.reached == []


def test_a_call_that_the_dialplan_asks_about_is_not_the_guards(
    guarded: Guarded, place: Place
) -> None:
    """Its socket parks it too."""
    gateway = guarded("park")
    placed = place("phone", "0612000002")
    assert placed.outcome.answered
    assert placed.reached == ["0612000002"]
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.frontend, attempt.verdict) == ("esl", "allow")


def test_of_many_parked_calls_none_leaves(guarded: Guarded, caller: Caller, callee: Callee) -> None:
    gateway, before = guarded("park"), len(callee.invites)
    senders = [f"+33612{place:06d}" for place in range(100)]
    outcomes = caller.calls("carrier", f"park{BLOCKED}", senders, rate=20)
    assert {outcome.final for outcome in outcomes.values()} == {403}
    assert callee.invites[before:] == []
    assert len(gateway.new_attempts(100)) == 100


def test_a_call_that_was_parked_before_the_guard_came_is_taken(
    guarded: Guarded, pbx: FreeSwitch
) -> None:
    pbx.api(f"bgapi originate loopback/park{BLOCKED}/public &sleep(600000)")
    deadline = time.monotonic() + PATIENCE
    while ",park," not in pbx.api("show channels"):
        assert time.monotonic() < deadline, pbx.api("show channels")
        time.sleep(0.05)
    (attempt,) = guarded("park").new_attempts(1)
    assert (attempt.verdict, attempt.callee) == ("block", BLOCKED)
    pbx.wait_until_idle()


def test_a_leg_that_nobody_asked_about_is_killed(guarded: Guarded, pbx: FreeSwitch) -> None:
    gateway = guarded("kill")
    pbx.api(f"bgapi originate sofia/gateway/carrier/{BLOCKED} &sleep(600000)")
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.frontend, attempt.trunk) == ("esl_inbound", "carrier")
    assert (attempt.verdict, attempt.callee, attempt.delivery) == ("block", BLOCKED, "confirmed")
    pbx.wait_until_idle()


@pytest.mark.parametrize(
    "target",
    [
        "{origination_uuid=dialler_7@10.0.0.1}sofia/gateway/carrier/%s",
        "{CALLGATE_FOR=+33612000002}sofia/gateway/carrier/%s",
        "sofia/public/%s@127.0.0.1:$PORT",
        "sofia/public/sip:%s@127.0.0.1:$PORT;transport=udp",
    ],
    ids=["with an id of its own", "marked for another", "by its address", "by its URI"],
)
def test_a_leg_is_killed_however_it_was_originated(
    guarded: Guarded, pbx: FreeSwitch, callee: Callee, target: str
) -> None:
    gateway = guarded("kill")
    target = target.replace("$PORT", str(callee.port)) % BLOCKED
    pbx.api(f"bgapi originate {target} &sleep(600000)")
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.verdict, attempt.callee, attempt.delivery) == ("block", BLOCKED, "confirmed")
    pbx.wait_until_idle()


def test_a_call_that_the_dialplan_asked_about_is_not_decided_twice(
    guarded: Guarded, place: Place
) -> None:
    gateway = guarded("kill")
    placed = place("phone", "0612000002")
    assert placed.outcome.answered
    (attempt,) = gateway.new_attempts(1)
    assert attempt.frontend == "esl"


def test_a_leg_that_the_hook_asked_about_is_not_decided_twice(
    guarded: Guarded, pbx: FreeSwitch, callee: Callee, shared_gateway: Gateway
) -> None:
    """The hook of the trunk asks the shared gateway; the guard is another's."""
    shared_gateway.forget()
    gateway, before = guarded("kill"), len(callee.invites)
    assert pbx.api(HOOKED.format("0612000002")).startswith("+OK")
    assert pbx.api(HOOKED.format(BLOCKED)) == "-ERR CALL_REJECTED"
    asked = shared_gateway.new_attempts(2)
    assert [(attempt.frontend, attempt.verdict) for attempt in asked] == [
        ("esl", "allow"),
        ("esl", "block"),
    ]
    pbx.api(f"bgapi originate sofia/gateway/carrier/{BLOCKED} &sleep(600000)")
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.frontend, attempt.callee) == ("esl_inbound", BLOCKED)
    assert callee.invites[before].number == "0612000002"
    pbx.wait_until_idle(but=",sleep,")
    assert len(pbx.channels) == 1


def test_a_leg_that_is_older_than_the_link_is_killed(guarded: Guarded, pbx: FreeSwitch) -> None:
    for number in (BLOCKED, "0612000002"):
        pbx.api(f"bgapi originate sofia/gateway/carrier/{number} &sleep(600000)")
    pbx.wait_for_channels(2, "CS_EXECUTE")
    attempts = guarded("kill").new_attempts(2)
    assert {attempt.callee: attempt.verdict for attempt in attempts} == {
        BLOCKED: "block",
        "0612000002": "allow",
    }
    pbx.wait_for_channels(1, "CS_EXECUTE")


def test_a_number_that_is_added_hangs_up_its_live_call(
    guarded: Guarded, pbx: FreeSwitch, callee: Callee
) -> None:
    gateway = guarded("kill")
    for number in ("0612000003", "0612000004"):
        pbx.api(f"bgapi originate sofia/gateway/carrier/{number} &sleep(600000)")
    gateway.new_attempts(2)
    assert callee.invites
    gateway.run("add", "--list", "dropping", "+33612000003")
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.list, attempt.verdict) == ("dropping", "block")
    assert attempt.delivery == "confirmed"
    deadline = time.monotonic() + PATIENCE
    while len(pbx.channels) > 1:
        assert time.monotonic() < deadline, pbx.api("show channels")
        time.sleep(0.05)
    assert "0612000004" in pbx.api("show channels")
