"""The decision: each rule of precedence by example, and against the slow reference."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.calls import Call, Direction, Presentation
from gateway.numbers import NumberPlan
from gateway.policy.decide import decide
from gateway.policy.explain import explain
from gateway.policy.index import build_index
from gateway.policy.model import (
    Action,
    Campaign,
    Emergency,
    Entry,
    EntryKind,
    ListDef,
    Match,
    Mode,
    Party,
    Policy,
    Reason,
    Verdict,
)
from tests.support.examples import tries
from tests.support.policies import (
    NOON,
    inbound,
    make_list,
    make_policy,
    number,
    outbound,
    prefix,
)
from tests.support.reference import reference

NUISANCE = make_list("nuisance")
PARTNERS = make_list("partners", "allow", 1)


def summary(verdict: Verdict) -> tuple[str, str, str, str]:
    return (verdict.action, verdict.reason, verdict.list, verdict.entry)


def test_a_prefix_blocks_the_caller_of_an_inbound_call() -> None:
    verdict = decide(
        inbound("+33162000000"), make_policy([NUISANCE], [prefix("nuisance", "33162")])
    )
    assert summary(verdict) == ("block", "list", "nuisance", "+33162")
    assert (verdict.party, verdict.response, verdict.number) == ("caller", 603, "+33162000000")
    assert verdict.origin == "policy.yaml:2"


def test_the_same_prefix_blocks_the_callee_of_an_outbound_call() -> None:
    verdict = decide(outbound("0162000000"), make_policy([NUISANCE], [prefix("nuisance", "33162")]))
    assert summary(verdict) == ("block", "list", "nuisance", "+33162")
    assert (verdict.party, verdict.response) == ("callee", 403)


@pytest.mark.parametrize(
    "dialled",
    [
        *("01620000001", "016200000099", "+3316200000099", "0033162000000999", "3316200000099"),
        *("00+33162000000", "000033162000000", "+3300162000000", "0033033162000000"),
        *("+33+33162000000", "0162000000#", "36510162000000"),
    ],
)
def test_a_number_made_impossible_does_not_slip_past_a_prefix(dialled: str) -> None:
    plan = NumberPlan.build(region="FR", strip=["3651"])
    policy = make_policy([NUISANCE], [prefix("nuisance", "33162")], plan=plan)
    assert summary(decide(outbound(dialled), policy)) == ("block", "list", "nuisance", "+33162")


def test_an_impossible_number_is_no_exact_number() -> None:
    policy = make_policy([NUISANCE], [number("nuisance", "33162000000")])
    for dialled in ("01620000001", "+33+33162000000", "0162000000#"):
        assert decide(outbound(dialled), policy).reason is Reason.DEFAULT


def test_a_digit_to_spare_does_not_lead_past_a_binding_number_into_an_allowed_prefix() -> None:
    policy = make_policy(
        [
            make_list("do-not-call", binding=True),
            replace(PARTNERS, order=1),
            make_list("impossible", order=2, match=Match(invalid=True)),
        ],
        [number("do-not-call", "33162550001"), prefix("partners", "3316255")],
    )
    assert decide(outbound("+33162550002"), policy).list == "partners"
    assert decide(outbound("+331625500010"), policy).list == "impossible"


def test_a_short_code_as_dialled_comes_before_what_it_may_reach() -> None:
    allowed = Entry("partners", EntryKind.SHORT, "016200000099")
    policy = make_policy([NUISANCE, PARTNERS], [prefix("nuisance", "33162"), allowed])
    assert decide(outbound("016200000099"), policy).list == "partners"
    assert decide(outbound("016200000098"), policy).list == "nuisance"


def test_a_longer_allow_wins_over_a_shorter_block() -> None:
    policy = make_policy(
        [NUISANCE, PARTNERS], [prefix("nuisance", "33162"), prefix("partners", "3316255")]
    )
    assert decide(inbound("+33162550000"), policy).action is Action.ALLOW
    assert decide(inbound("+33162560000"), policy).action is Action.BLOCK


def test_a_longer_block_wins_over_a_shorter_allow() -> None:
    policy = make_policy(
        [NUISANCE, PARTNERS], [number("nuisance", "33162550001"), prefix("partners", "3316255")]
    )
    assert decide(inbound("+33162550001"), policy).action is Action.BLOCK


def test_an_exact_number_is_longer_than_any_prefix() -> None:
    policy = make_policy(
        [NUISANCE, PARTNERS], [prefix("nuisance", "33162550001"), number("partners", "33162550001")]
    )
    assert decide(inbound("+33162550001"), policy).action is Action.ALLOW


def test_allow_beats_block_at_equal_length() -> None:
    entries = [prefix("nuisance", "33162"), prefix("partners", "33162")]
    assert not decide(inbound("+33162000000"), make_policy([NUISANCE, PARTNERS], entries)).blocked


def test_a_narrower_scope_wins_a_tie_before_allow_does() -> None:
    campaigned = make_list("opted-out", order=2, campaigns=frozenset({"spring"}))
    policy = make_policy(
        [PARTNERS, campaigned],
        [prefix("partners", "33162"), prefix("opted-out", "33162")],
        campaigns={"spring": Campaign("spring")},
    )
    assert decide(inbound("+33162000000", campaign="spring"), policy).list == "opted-out"
    assert decide(inbound("+33162000000"), policy).list == "partners"


def test_yaml_beats_a_managed_entry_of_equal_length() -> None:
    entries = [prefix("nuisance", "33162"), structs.replace(prefix("partners", "33162"), managed=1)]
    assert decide(inbound("+33162000000"), make_policy([NUISANCE, PARTNERS], entries)).blocked


def test_file_order_is_the_last_tie_break() -> None:
    second = make_list("second", order=1, response=607)
    entries = [prefix("second", "33162"), prefix("nuisance", "33162")]
    assert decide(inbound("+33162000000"), make_policy([NUISANCE, second], entries)).response == 603


def test_no_allow_overrides_a_binding_list() -> None:
    binding = make_list("dnc", order=2, direction=Direction.OUTBOUND, binding=True)
    policy = make_policy(
        [PARTNERS, binding], [number("partners", "33162550001"), prefix("dnc", "33")]
    )
    verdict = decide(outbound("+33162550001"), policy)
    assert summary(verdict) == ("block", "binding", "dnc", "+33")
    assert decide(inbound("+33162550001"), policy).list == "partners"


def test_an_allow_protects_only_the_party_that_it_matched() -> None:
    own = make_list("own", "allow", party=Party.CALLEE)
    policy = make_policy([own, NUISANCE], [prefix("own", "33140"), prefix("nuisance", "33162")])
    assert decide(inbound("+33162000000", "+33140000000"), policy).list == "nuisance"
    anonymous = make_list("hidden", order=1, match=Match(anonymous=True))
    policy = make_policy([own, anonymous], [prefix("own", "33140")])
    assert decide(inbound("anonymous", "+33140000000"), policy).list == "hidden"


def test_a_block_of_either_party_blocks_and_the_remote_party_is_told_first() -> None:
    anyone = make_list("anyone", party=Party.ANY)
    policy = make_policy([anyone], [prefix("anyone", "33162"), prefix("anyone", "33140")])
    assert decide(inbound("+33162000000", "+33140000000"), policy).party == "caller"
    assert decide(outbound("+33162000000", "+33140000000"), policy).party == "callee"
    assert decide(inbound("+33199000000", "+33140000000"), policy).party == "callee"


def test_an_expired_entry_leaves_the_next_shorter_one() -> None:
    entries = [prefix("partners", "3316255", expires=int(NOON)), prefix("nuisance", "33162")]
    policy = make_policy([NUISANCE, PARTNERS], entries)
    assert decide(inbound("+33162550000", at=NOON - 0.001), policy).action is Action.ALLOW
    assert decide(inbound("+33162550000", at=NOON), policy).action is Action.BLOCK


@pytest.mark.parametrize("callee", ["112", "15", "911", "114", "9112", "sip:112@10.0.0.1"])
def test_an_emergency_number_passes_a_policy_that_blocks_everything(callee: str) -> None:
    everyone = make_list("everyone", binding=True)
    policy = make_policy(
        [everyone],
        [Entry("everyone", EntryKind.SHORT_PREFIX, "1"), Entry("everyone", EntryKind.PREFIX, "9")],
        default=Action.BLOCK,
        emergency=Emergency(extra=frozenset({"114", "911"})),
        plan=NumberPlan.build(region="FR", strip=["9"], extensions=["xxx"], emergency_region="FR"),
    )
    verdict = decide(outbound(callee, trunk="unknown"), policy)
    assert (verdict.action, verdict.reason) == ("allow", "emergency")


def test_a_forged_emergency_caller_is_not_exempt() -> None:
    policy = make_policy([NUISANCE], [Entry("nuisance", EntryKind.SHORT, "112")])
    assert decide(inbound("112"), policy).blocked


def test_longer_digits_that_begin_with_an_emergency_number_are_not_exempt() -> None:
    policy = make_policy(
        [],
        default=Action.BLOCK,
        plan=NumberPlan.build(region="US", emergency_region="US"),
    )
    assert decide(outbound("9115551234"), policy).blocked
    assert not decide(outbound("911"), policy).blocked


def test_an_emergency_service_may_call_back_within_the_window() -> None:
    policy = make_policy([NUISANCE], [prefix("nuisance", "33162")])
    call = inbound("+33162000000", emergency_at=NOON - 1800)
    assert decide(call, policy).reason == "emergency_callback"
    assert decide(structs.replace(call, at=NOON + 1), policy).blocked


def test_an_unknown_trunk_blocks_outbound_and_is_marked_inbound() -> None:
    policy = make_policy([NUISANCE], [prefix("nuisance", "33162")])
    verdict = decide(outbound("+33199000000", trunk="typo"), policy)
    assert (verdict.reason, verdict.response, verdict.unknown_scope) == ("config", 403, True)
    verdict = decide(inbound("+33162000000", trunk="typo"), policy)
    assert (verdict.list, verdict.unknown_scope) == ("nuisance", True)
    lenient = replace_policy(policy, strict_scope=False)
    assert not decide(outbound("+33199000000", campaign="typo"), lenient).blocked


def test_a_call_of_an_unknown_scope_is_decided_by_global_lists_alone() -> None:
    opted_out = make_list("opted-out", campaigns=frozenset({"spring"}))
    policy = make_policy(
        [opted_out],
        [prefix("opted-out", "33162")],
        campaigns={"spring": Campaign("spring", ("33140000000",))},
        dids={"33140000000": "spring"},
    )
    for unknown in ({"campaign": "typo"}, {"campaign": "spring", "trunk": "typo"}):
        verdict = decide(inbound("+33162000000", **unknown), policy)
        assert (verdict.action, verdict.reason, verdict.campaign) == ("allow", "default", "")
        assert verdict.unknown_scope


def replace_policy(policy: Policy, **changes: object) -> Policy:
    return replace(policy, **changes)  # type: ignore[arg-type]


def test_the_campaign_is_found_by_its_number_in_both_directions() -> None:
    opted_out = make_list("opted-out", campaigns=frozenset({"spring"}))
    policy = make_policy(
        [opted_out],
        [prefix("opted-out", "33162")],
        campaigns={"spring": Campaign("spring", ("33140000000",))},
        dids={"33140000000": "spring"},
    )
    assert decide(inbound("+33162000000", "0140000000"), policy).campaign == "spring"
    assert decide(outbound("+33162000000", "+33140000000"), policy).blocked
    assert not decide(inbound("+33162000000", "+33140000001"), policy).blocked


def test_a_withheld_number_that_is_allowed_by_name_gets_in() -> None:
    hidden = make_list("hidden", order=2, match=Match(anonymous=True))
    policy = make_policy([PARTNERS, hidden], [prefix("partners", "33162")])
    restricted = inbound("+33162000000", presentation=Presentation.RESTRICTED)
    assert decide(restricted, policy).list == "partners"
    verdict = decide(structs.replace(restricted, caller="+33199000000"), policy)
    assert (verdict.list, verdict.response) == ("hidden", 433)


def test_presentation_of_our_own_caller_does_not_make_the_callee_anonymous() -> None:
    hidden = make_list("hidden", match=Match(anonymous=True))
    call = outbound("+33199000000", presentation=Presentation.RESTRICTED)
    assert not decide(call, make_policy([hidden])).blocked


def test_keys_of_a_category_are_anded_and_values_ored() -> None:
    premium = make_list(
        "premium", match=Match(regions=frozenset({"FR", "BE"}), types=frozenset({"premium_rate"}))
    )
    policy = make_policy([premium])
    assert decide(outbound("+33899000000"), policy).list == "premium"
    assert not decide(outbound("+33140000000"), policy).blocked
    assert not decide(outbound("+49900123456"), policy).blocked


def test_an_extension_is_internal_outbound_and_no_extension_inbound() -> None:
    policy = make_policy([], default=Action.BLOCK)
    assert decide(outbound("1234"), policy).reason == "internal"
    assert decide(inbound("1234"), policy).blocked


def test_a_shadow_list_is_told_and_never_enforced() -> None:
    trial = make_list("trial", mode=Mode.SHADOW)
    verdict = decide(inbound("+33162000000"), make_policy([trial], [prefix("trial", "33162")]))
    assert not verdict.blocked
    assert verdict.shadow is not None
    assert summary(verdict.shadow) == ("block", "list", "trial", "+33162")
    assert decide(inbound("+33199000000"), make_policy([trial])).shadow is None


def test_an_explanation_tells_every_step_and_the_same_verdict() -> None:
    trial = make_list("trial", order=1, mode=Mode.SHADOW)
    policy = make_policy(
        [NUISANCE, trial], [prefix("nuisance", "33162", expires=1), prefix("trial", "33162")]
    )
    told = explain(inbound("+33162000000"), policy)
    text = "\n".join(told.steps)
    assert told.verdict == decide(inbound("+33162000000"), policy)
    assert "'+33162000000' reads as +33162000000" in text
    assert "+33162 of list nuisance has expired" in text
    assert "would have been: block, reason list, SIP 603, list trial entry +33162" in text


NUMBERS = [
    "+33162550001", "+33162550002", "0162550001", "+33162", "+33199000000", "+33899000000",
    "1234", "3179", "112", "anonymous", "", "+1", "0033162550001", "+12025550123", "x",
    "01625500011", "000033162550001", "+33+33162", "31790", "33162550001#", "+3316255000199999",
]  # fmt: skip
DIGITS = ["33162550001", "3316255000", "3316255", "33162", "33", "331990", "1202", "33899000000"]


@st.composite
def generated_list(draw: st.DrawFn, order: int) -> ListDef:
    category = draw(st.integers(0, 4)) == 0
    match = Match(
        anonymous=draw(st.booleans()),
        no_number=draw(st.integers(0, 4)) == 0,
        invalid=draw(st.integers(0, 4)) == 0,
        unassigned=draw(st.integers(0, 4)) == 0,
        regions=draw(st.sampled_from([frozenset[str](), frozenset({"FR"}), frozenset({"US"})])),
        types=draw(st.sampled_from([frozenset[str](), frozenset({"premium_rate"})])),
    )
    action = draw(st.sampled_from(Action))
    return make_list(
        f"list{order}",
        action.value,
        order,
        direction=draw(st.sampled_from([None, *Direction])),
        party=draw(st.sampled_from(Party)),
        campaigns=draw(st.sampled_from([frozenset[str](), frozenset({"spring"})])),
        trunks=draw(st.sampled_from([frozenset[str](), frozenset({"carrier"})])),
        extensions=draw(st.sampled_from([frozenset[str](), frozenset({"100"})])),
        response=draw(st.sampled_from([0, 607])),
        mode=draw(st.sampled_from(Mode)),
        binding=action is Action.BLOCK and not category and draw(st.integers(0, 3)) == 0,
        match=match if category else None,
    )


@st.composite
def generated_policy(draw: st.DrawFn) -> tuple[Policy, list[Entry]]:
    lists = [draw(generated_list(order)) for order in range(draw(st.integers(1, 6)))]
    holders = [item.name for item in lists if item.match is None]
    entries = [
        Entry(
            list=draw(st.sampled_from(holders)),
            kind=(kind := draw(st.sampled_from(EntryKind))),
            digits=draw(st.sampled_from(["112", "3179", "31", "1"] if kind.short else DIGITS)),
            expires=draw(st.sampled_from([0, int(NOON), int(NOON) + 1])),
            managed=draw(st.sampled_from([0, place])),
        )
        for place in range(1, draw(st.integers(1, 20)) if holders else 1)
    ]
    policy = make_policy(
        lists,
        entries,
        trunks={"carrier": NumberPlan.build(region="US", emergency_region="US")},
        campaigns={"spring": Campaign("spring", ("33162550001",))},
        dids={"33162550001": "spring"},
        default=draw(st.sampled_from(Action)),
        strict_scope=draw(st.booleans()),
    )
    return policy, entries


CALLS = st.builds(
    Call,
    direction=st.sampled_from(Direction),
    caller=st.sampled_from(NUMBERS),
    callee=st.sampled_from(NUMBERS),
    at=st.sampled_from([NOON - 1, NOON, NOON + 1]),
    trunk=st.sampled_from(["", "carrier", "typo"]),
    campaign=st.sampled_from(["", "spring", "typo"]),
    extension=st.sampled_from(["", "100"]),
    presentation=st.sampled_from(Presentation),
    emergency_at=st.sampled_from([0.0, NOON - 1000, NOON - 3600]),
)


@tries(600)
@given(generated_policy(), CALLS)
def test_the_decision_agrees_with_the_slow_reference(
    made: tuple[Policy, list[Entry]], call: Call
) -> None:
    policy, entries = made
    verdict = decide(call, policy)
    expected = reference(call, policy, entries)
    assert summary(verdict) == expected
    would = reference(call, policy, entries, shadow=True)
    if verdict.shadow is not None:
        assert summary(verdict.shadow) == would
    else:
        assert would == expected
    assert explain(call, policy).verdict == verdict
    assert bool(verdict.response) == verdict.blocked


@tries(400)
@given(generated_policy(), st.sampled_from(Direction), st.text(), st.text(), st.text())
def test_the_decision_never_raises_on_any_text(
    made: tuple[Policy, list[Entry]], direction: Direction, caller: str, callee: str, other: str
) -> None:
    call = Call(
        direction=direction,
        caller=caller,
        callee=callee,
        at=NOON,
        trunk=other,
        campaign=other,
        extension=other,
    )
    assert decide(call, made[0]).action in Action


def test_an_index_of_another_order_gives_the_same_verdict() -> None:
    entries = [prefix("partners", "3316255"), prefix("nuisance", "33162")]
    policy = make_policy([NUISANCE, PARTNERS], entries)
    turned = replace_policy(policy, index=build_index(reversed(entries), policy.lists))
    assert decide(inbound("+33162550000"), policy) == decide(inbound("+33162550000"), turned)
