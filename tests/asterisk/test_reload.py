"""A policy that changes between two calls."""

from __future__ import annotations

from collections.abc import Callable

from tests.asterisk.conftest import Place
from tests.asterisk.gateway import Gateway

DID = "+33140000000"
CALLER = "+33612345678"


def test_a_reload_between_two_calls_decides_the_second(
    place: Place, own_gateway: Callable[..., Gateway]
) -> None:
    gateway = own_gateway()
    assert place("carrier", DID, CALLER).reached == [DID]
    text = gateway.policy.read_text()
    gateway.policy.write_text(text.replace("[+33162]", f"[+33162, {CALLER}]"))
    gateway.run("reload")
    assert place("carrier", DID, CALLER).outcome.statuses == [100, 603]
    first, second = gateway.new_attempts(2)
    assert (first.verdict, second.verdict) == ("allow", "block")
    assert first.revision != second.revision


def test_a_bad_policy_leaves_the_good_one_in_force(
    place: Place, own_gateway: Callable[..., Gateway]
) -> None:
    gateway = own_gateway()
    gateway.policy.write_text("lists: [")
    gateway.run("reload", expect=2)
    assert place("carrier", DID, "+33162000000").outcome.statuses == [100, 603]
    (attempt,) = gateway.new_attempts(1)
    assert attempt.list == "nuisance"
