"""Labels of a lead list: the verdict of the call that the campaign would make, in one word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls import Call, Direction
from gateway.numbers import NumberPlan
from gateway.policy.decide import decide
from gateway.policy.model import (
    Action,
    Campaign,
    Emergency,
    Entry,
    EntryKind,
    Match,
    Mode,
    Party,
    Policy,
    Reason,
    Verdict,
)
from gateway.review.labels import Label, Labels, label
from tests.support.policies import NOON, make_list, make_policy, number, outbound, prefix

FR = NumberPlan.build(region="FR", extensions=["[1-8]xxx"], emergency_region="FR")
US = NumberPlan.build(region="US", format="national", emergency_region="US")
DIALLED = NumberPlan.build(region="FR", strip=["9"], emergency_region="FR")
TRUNKS = {"home": FR, "us": US, "pbx": DIALLED}


def policy_of(*lists: Any, entries: Any = (), trunks: Any = ("home",), **rest: Any) -> Policy:
    campaign = Campaign("spring", ("33140000000",), frozenset(trunks))
    return make_policy(
        lists, entries, trunks=TRUNKS, campaigns={"spring": campaign}, plan=FR, **rest
    )


def one_list(action: str = "block", **rest: Any) -> Policy:
    return policy_of(make_list("it", action, **rest), entries=[prefix("it", "33162")])


def test_a_listed_number_is_blacklisted_with_its_list_entry_and_reason() -> None:
    entries = [number("nuisance", "33162000000", reason="complaint")]
    found = label("0162000000", "spring", policy_of(make_list("nuisance"), entries=entries), NOON)
    assert (found.label, found.list, found.entry) == ("Blacklisted", "nuisance", "+33162000000")
    assert (found.reason, found.note, found.e164) == (Reason.LIST, "complaint", "+33162000000")
    assert (found.trunk, found.outbound.blocked) == ("home", True)
    assert found.outbound.origin == "policy.yaml:3"


def test_a_number_that_nothing_covers_is_clear_both_ways() -> None:
    found = label("+33145000000", "spring", one_list(), NOON)
    assert (found.label, found.reason) == (Label.CLEAR, Reason.DEFAULT)
    assert found.inbound is not None
    assert found.inbound.label is Label.CLEAR
    assert not found.differs


def test_an_allow_list_that_decides_is_an_exception_with_or_without_a_block_below() -> None:
    lists = [make_list("nuisance"), make_list("partners", "allow", 1)]
    entries = [prefix("nuisance", "33162"), prefix("partners", "3316255")]
    found = label("+33162550000", "spring", policy_of(*lists, entries=entries), NOON)
    assert (found.label, found.entry) == (Label.EXCEPTION, "+3316255")
    alone = policy_of(*lists, entries=entries[1:], default=Action.BLOCK)
    assert label("+33162550000", "spring", alone, NOON).label is Label.EXCEPTION
    assert label("+33145000000", "spring", alone, NOON).label is Label.BLACKLISTED


def test_a_binding_list_blacklists_what_an_exception_would_allow() -> None:
    lists = [make_list("dnc", binding=True), make_list("partners", "allow", 1)]
    entries = [prefix("dnc", "33"), prefix("partners", "3316255")]
    found = label("+33162550000", "spring", policy_of(*lists, entries=entries), NOON)
    assert (found.label, found.reason) == (Label.BLACKLISTED, Reason.BINDING)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "no_number"), ("unknown", "no_number"), ("n/a", "invalid"), ("+33", "invalid")],
)
def test_what_is_no_number_is_invalid_and_says_why(text: str, reason: str) -> None:
    found = label(text, "spring", one_list(), NOON)
    assert (found.label, found.reason, found.e164) == (Label.INVALID, reason, "")
    assert not found.outbound.blocked
    blocking = policy_of(default=Action.BLOCK)
    assert label(text, "spring", blocking, NOON).label is Label.INVALID
    assert label(text, "spring", blocking, NOON).outbound.blocked


def test_a_text_that_a_category_list_blocks_for_being_no_number_is_invalid() -> None:
    policy = policy_of(make_list("impossible", match=Match(invalid=True)))
    found = label("n/a", "spring", policy, NOON)
    assert (found.label, found.list, found.reason) == (Label.INVALID, "impossible", Reason.INVALID)
    assert found.outbound.blocked


def test_digits_to_spare_behind_a_blocked_prefix_are_blacklisted() -> None:
    found = label("+331620000001234", "spring", one_list(), NOON)
    assert (found.label, found.entry, found.e164) == (Label.BLACKLISTED, "+33162", "")


def test_a_short_number_and_an_extension_are_clear() -> None:
    assert label("3179", "spring", one_list(), NOON).label is Label.CLEAR
    assert label("2002", "spring", one_list(), NOON).reason is Reason.INTERNAL


def test_an_emergency_number_is_clear_since_its_calls_go_out_and_says_so() -> None:
    policy = policy_of(
        make_list("all"), entries=[Entry("all", EntryKind.SHORT, "112")], trunks=("us", "home")
    )
    found = label("112", "spring", policy, NOON)
    assert (found.label, found.reason, found.emergency) == (Label.CLEAR, Reason.EMERGENCY, True)
    extra = policy_of(emergency=Emergency(frozenset({"114"})))
    assert label("114", "spring", extra, NOON).outbound.emergency


def test_a_number_that_is_for_help_on_one_trunk_only_says_so_whatever_the_other_says() -> None:
    policy = policy_of(
        make_list("all"), entries=[Entry("all", EntryKind.SHORT, "15")], trunks=("us", "home")
    )
    found = label("15", "spring", policy, NOON)
    assert (found.label, found.trunk, found.emergency) == (Label.BLACKLISTED, "us", True)


def test_of_trunks_that_read_a_number_differently_the_worst_counts_and_is_named() -> None:
    policy = policy_of(
        make_list("it"), entries=[prefix("it", "1201555")], trunks=("home", "pbx", "us")
    )
    found = label("2015550123", "spring", policy, NOON)
    assert (found.label, found.trunk, found.differs) == (Label.BLACKLISTED, "us", True)
    assert not label("+12015550123", "spring", policy, NOON).differs


def test_the_caller_is_the_first_number_of_the_campaign() -> None:
    lists = [make_list("own", party=Party.CALLER, direction=Direction.OUTBOUND)]
    policy = policy_of(*lists, entries=[number("own", "33140000000")])
    assert label("+33145000000", "spring", policy, NOON).label is Label.BLACKLISTED
    other = Labels(policy, "spring", NOON, caller="+33140000001")
    assert other.of("+33145000000").label is Label.CLEAR


def test_a_list_of_another_direction_shows_in_the_label_of_that_direction() -> None:
    found = label("+33162000000", "spring", one_list(direction=Direction.INBOUND), NOON)
    assert found.label is Label.CLEAR
    assert found.inbound is not None
    assert (found.inbound.label, found.inbound.entry) == (Label.BLACKLISTED, "+33162")


def test_a_number_in_national_form_calls_in_as_a_carrier_writes_it() -> None:
    policy = policy_of(make_list("it"), entries=[prefix("it", "33162")], trunks=("pbx",))
    found = label("90162000000", "spring", policy, NOON)
    assert found.inbound is not None
    assert (found.label, found.inbound.label) == (Label.BLACKLISTED, Label.BLACKLISTED)


def test_a_shadow_list_tells_what_would_be() -> None:
    found = label("+33162000000", "spring", one_list(mode=Mode.SHADOW), NOON)
    assert found.label is Label.CLEAR
    assert found.would is not None
    assert (found.would.label, found.would.entry) == (Label.BLACKLISTED, "+33162")
    assert label("+33145000000", "spring", one_list(mode=Mode.SHADOW), NOON).would is None


def test_an_entry_counts_until_it_expires() -> None:
    entries = [number("it", "33162000000", expires=int(NOON))]
    policy = policy_of(make_list("it"), entries=entries)
    assert label("+33162000000", "spring", policy, NOON - 1).label is Label.BLACKLISTED
    assert label("+33162000000", "spring", policy, NOON).label is Label.CLEAR


def test_an_unknown_campaign_gets_what_its_calls_would_get() -> None:
    found = label("+33145000000", "autumn", one_list(), NOON)
    assert (found.label, found.reason) == (Label.BLACKLISTED, Reason.CONFIG)
    lenient = policy_of(strict_scope=False)
    assert label("+33145000000", "autumn", lenient, NOON).label is Label.CLEAR


def test_a_campaign_without_trunks_and_no_campaign_read_under_the_general_plan() -> None:
    policy = policy_of(make_list("it"), entries=[prefix("it", "33162")], trunks=())
    assert label("0162000000", "spring", policy, NOON).trunk == ""
    assert label("0162000000", "", policy, NOON).label is Label.BLACKLISTED
    assert Labels(policy, trunk="us").of("0162000000").label is not Label.BLACKLISTED


def test_without_the_inbound_side_all_else_is_the_same() -> None:
    labels = Labels(one_list(), "spring", NOON)
    found = labels.of("+33162000000", inbound=False)
    assert found.inbound is None
    assert found.outbound == labels.of("+33162000000").outbound


# The property: a label is the verdict of the call.

names = st.sampled_from(["a", "b", "c"])
scopes = st.sampled_from([frozenset[str](), frozenset({"home"}), frozenset({"us"})])
dialled = st.one_of(
    st.from_regex(r"(\+33|0|9|\+1|00)?[12][0-9]{1,9}", fullmatch=True),
    st.sampled_from(["", "112", "911", "15", "2002", "unknown", "n/a", "+331620000001"]),
    st.text(max_size=12),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    lists = [
        make_list(
            name,
            action,
            order,
            binding=action == "block" and draw(st.booleans()),
            trunks=draw(scopes),
            campaigns=draw(st.sampled_from([frozenset[str](), frozenset({"spring"})])),
            direction=draw(st.sampled_from([None, *Direction])),
            party=draw(st.sampled_from(list(Party))),
            mode=draw(st.sampled_from(list(Mode))),
        )
        for order, name in enumerate("abc")
        if (action := draw(st.sampled_from(["block", "allow"])))
    ]
    digits = st.from_regex(r"(33|1)[12][0-9]{0,2}", fullmatch=True)
    entries = [prefix(draw(names), draw(digits)) for _ in range(draw(st.integers(0, 6)))]
    if draw(st.booleans()):
        lists.append(make_list("d", order=3, match=Match(invalid=True)))
    return policy_of(
        *lists,
        entries=entries,
        trunks=draw(st.sets(st.sampled_from(list(TRUNKS)))),
        default=draw(st.sampled_from(list(Action))),
        strict_scope=draw(st.booleans()),
    )


@given(policies(), dialled, st.sampled_from(["spring", "", "autumn"]))
def test_a_label_is_what_decide_says_to_the_call(policy: Policy, text: str, name: str) -> None:
    campaign = policy.campaigns.get(name)
    trunks = sorted(campaign.trunks) if campaign else []
    caller = "+33140000000" if campaign else ""
    verdicts = {
        trunk: decide(outbound(text, caller, trunk=trunk, campaign=name), policy)
        for trunk in trunks or [""]
    }
    found = label(text, name, policy, NOON)
    verdict = verdicts[found.trunk]
    assert agrees(found.label, verdict)
    assert found.outbound.blocked == verdict.blocked
    assert (found.list, found.entry, found.e164) == (verdict.list, verdict.entry, verdict.number)
    refused = [item for item in verdicts.values() if item.blocked and item.number]
    if refused:
        assert found.label is Label.BLACKLISTED
    if found.label is Label.CLEAR:
        assert not any(item.blocked for item in verdicts.values())
    inbound = found.inbound
    assert inbound is not None
    calls = [
        Call(
            direction=Direction.INBOUND,
            caller=item.number or text,
            callee=caller,
            at=NOON,
            trunk=trunk,
            campaign=name,
        )
        for trunk, item in verdicts.items()
    ]
    assert any(agrees(inbound.label, decide(call, policy)) for call in calls)


def agrees(label: Label, verdict: Verdict) -> bool:
    """Whether a label may stand for a verdict: only what is no number is in doubt."""
    if label is Label.INVALID:
        return not verdict.number and not verdict.entry
    if verdict.blocked:
        return label is Label.BLACKLISTED
    return label is (Label.EXCEPTION if verdict.list else Label.CLEAR)
