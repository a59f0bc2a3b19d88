"""The guard: what an entry would cover is named before it is added, and kept with the change."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls import Direction
from gateway.entries import (
    Asked,
    Covered,
    NeedsConfirmation,
    Op,
    Understood,
    understand,
    understand_all,
)
from gateway.entries.guard import TOLD, covered, described, entry_text, recorded
from gateway.errors import EntryError
from gateway.numbers import NumberPlan
from gateway.policy.model import Emergency, Entry, EntryKind, ListDef, Mode, Party, Policy
from tests.support.policies import NOON, make_list, make_policy, number, prefix

KINDS = st.sampled_from(EntryKind)
FRANCE = ("15", "17", "18", "112")


def said(
    policy: Policy, digits: str, kind: EntryKind = EntryKind.PREFIX, name: str = "blacklist"
) -> list[tuple[str, str]]:
    item = next(item for item in policy.lists if item.name == name)
    return [(one.what, one.text) for one in covered(kind, digits, item, policy, NOON)]


def policy_with(*others: ListDef, entries: tuple[Entry, ...] = (), **rest: Any) -> Policy:
    return make_policy([make_list("blacklist"), *others], entries, **rest)


@pytest.mark.parametrize("digits", FRANCE)
def test_an_emergency_number_is_covered_as_a_short_code(digits: str) -> None:
    [found] = said(policy_with(), digits, EntryKind.SHORT)
    assert found == ("emergency", f"it covers the emergency number {digits}")


def test_a_prefix_of_emergency_numbers_names_a_few_of_them() -> None:
    [(what, text)] = said(policy_with(), "1", EntryKind.SHORT_PREFIX)
    assert what == "emergency"
    assert text.startswith("it covers the emergency numbers 11")
    assert text.endswith(" more")
    assert said(policy_with(), "999", EntryKind.SHORT_PREFIX) == []


def test_the_emergency_numbers_of_every_trunk_and_the_extra_ones_count() -> None:
    policy = policy_with(
        trunks={"uk": NumberPlan.build(region="GB")}, emergency=Emergency(frozenset({"3114"}))
    )
    assert said(policy, "999", EntryKind.SHORT)
    assert said(policy, "3114", EntryKind.SHORT)
    assert said(policy_with(), "3114", EntryKind.SHORT) == []


def test_where_no_region_is_known_112_and_911_count() -> None:
    policy = policy_with(plan=NumberPlan.build())
    for digits in ("112", "911"):
        assert said(policy, digits, EntryKind.SHORT)
    assert said(policy, "15", EntryKind.SHORT) == []


def test_an_extra_emergency_number_that_reads_as_one_of_its_country_is_covered_as_that() -> None:
    policy = policy_with(emergency=Emergency(frozenset({"0800123456"})))
    for kind, digits in ((EntryKind.NUMBER, "33800123456"), (EntryKind.PREFIX, "338001")):
        assert said(policy, digits, kind) == [
            ("emergency", "it covers the emergency number 0800123456")
        ]
    assert said(policy, "33800123457", EntryKind.NUMBER) == []


def test_digits_behind_a_plus_are_no_emergency_number() -> None:
    assert said(policy_with(), "112") == []


DIDS = {"33199000000": "sale", "33199000001": "sale", "33177000000": "help"}


@pytest.mark.parametrize(
    ("kind", "digits", "text"),
    [
        (EntryKind.NUMBER, "33199000001", "+33199000001, a number of the campaign 'sale'"),
        (
            EntryKind.PREFIX,
            "33199",
            "+33199000000, a number of the campaign 'sale' and 1 more",
        ),
    ],
)
def test_an_own_number_is_covered_with_its_campaign(
    kind: EntryKind, digits: str, text: str
) -> None:
    assert said(policy_with(dids=DIDS), digits, kind) == [("did", f"it covers {text}")]


def test_a_short_code_covers_no_own_number() -> None:
    assert said(policy_with(dids=DIDS), "33199", EntryKind.SHORT_PREFIX) == []


def test_a_country_is_covered_by_a_prefix_alone() -> None:
    assert said(policy_with(), "33") == [("country", "it covers all of +33 (FR)")]
    assert said(policy_with(), "33", EntryKind.SHORT_PREFIX) == []


VIP = make_list("vip", "allow", 1)


def test_an_exception_that_covers_the_entry_is_beaten_by_it() -> None:
    policy = policy_with(VIP, entries=(prefix("vip", "3316"),))
    assert said(policy, "33162") == [
        ("allow", "it beats the exception +3316 of 'vip' (policy.yaml:2)")
    ]


def test_an_exception_of_the_same_digits_wins_unless_the_list_is_narrower() -> None:
    entries = (number("vip", "33162000000"),)
    [(_, text)] = said(policy_with(VIP, entries=entries), "33162000000", EntryKind.NUMBER)
    assert text == "the exception +33162000000 of 'vip' (policy.yaml:3) still beats it"
    narrow = make_list("narrow", order=2, campaigns=frozenset({"sale"}))
    policy = policy_with(VIP, narrow, entries=entries)
    [(_, text)] = said(policy, "33162000000", EntryKind.NUMBER, "narrow")
    assert text.startswith("it beats the exception")


def test_exceptions_inside_a_prefix_are_named_and_counted() -> None:
    entries = tuple(number("vip", f"3316200000{place}") for place in range(5))
    policy = policy_with(VIP, entries=entries)
    [(what, text)] = said(policy, "33162")
    assert what == "allow"
    assert text.startswith("it covers the exceptions +33162000000 of 'vip' (policy.yaml:3), ")
    assert text.endswith(" and 2 more, which still beat it")
    [(_, text)] = said(policy, "33162000000")
    assert text.endswith("which still beats it")


def test_a_binding_list_beats_the_exceptions_inside() -> None:
    binding = make_list("dnc", order=2, binding=True)
    policy = policy_with(VIP, binding, entries=(number("vip", "33162000000"),))
    [(_, text)] = said(policy, "33162", name="dnc")
    assert text.endswith("which it beats")


def test_a_managed_exception_counts_until_it_is_removed() -> None:
    entry = Entry("vip", EntryKind.NUMBER, "33162000000", managed=7)
    policy = policy_with(VIP)
    index = policy.index.with_managed([entry])
    later = make_policy(policy.lists)
    object.__setattr__(later, "index", index)
    assert [what for what, _ in said(later, "33162")] == ["allow"]
    object.__setattr__(later, "index", index.with_managed([], [7]))
    assert said(later, "33162") == []


@pytest.mark.parametrize(
    ("allowing", "blocking"),
    [
        ({"direction": Direction.OUTBOUND}, {"direction": Direction.INBOUND}),
        ({"campaigns": frozenset({"a"})}, {"campaigns": frozenset({"b"})}),
        ({"trunks": frozenset({"a"})}, {"trunks": frozenset({"b"})}),
        ({"extensions": frozenset({"10"})}, {"extensions": frozenset({"20"})}),
        ({"party": Party.CALLER}, {"party": Party.CALLEE}),
        ({"direction": Direction.OUTBOUND}, {"party": Party.CALLER}),
        ({"mode": Mode.SHADOW}, {}),
    ],
)
def test_lists_that_never_look_at_the_same_party_do_not_meet(
    allowing: dict[str, Any], blocking: dict[str, Any]
) -> None:
    apart = make_policy(
        [make_list("vip", "allow", **allowing), make_list("bad", order=1, **blocking)],
        [number("vip", "33162000000"), prefix("vip", "33163")],
    )
    assert said(apart, "33162", name="bad") == []
    assert said(apart, "331631", name="bad") == []


def test_an_expired_exception_is_none() -> None:
    gone = int(NOON) - 1
    entries = (number("vip", "33162000000", expires=gone), prefix("vip", "3316", expires=gone))
    assert said(policy_with(VIP, entries=entries), "33162") == []


def test_an_entry_that_allows_a_country_or_part_of_a_block_is_asked_about() -> None:
    policy = policy_with(VIP, entries=(prefix("blacklist", "3316"),), dids=DIDS)
    assert said(policy, "33", name="vip") == [("country", "it covers all of +33 (FR)")]
    assert said(policy, "33162", name="vip") == [
        ("block", "it lifts a part of the block +3316 of 'blacklist' (policy.yaml:2)")
    ]
    assert said(policy, "33199", name="vip") == []


def test_one_number_out_of_a_blocked_prefix_is_an_everyday_exception() -> None:
    policy = policy_with(VIP, entries=(prefix("blacklist", "3316"),))
    assert said(policy, "33162000000", EntryKind.NUMBER, "vip") == []


def test_an_exception_that_lifts_a_block_of_its_own_digits_is_asked_about() -> None:
    entry = Entry("blacklist", EntryKind.NUMBER, "33162000000", managed=3)
    policy = policy_with(VIP, entries=(entry,))
    [(what, text)] = said(policy, "33162000000", EntryKind.NUMBER, "vip")
    assert (what, text) == ("block", "it lifts the block +33162000000 of 'blacklist' ()")
    written = policy_with(VIP, entries=(number("blacklist", "33162000000"),))
    assert said(written, "33162000000", EntryKind.NUMBER, "vip") == []


def test_a_binding_block_is_lifted_by_nothing() -> None:
    policy = make_policy([make_list("dnc", binding=True), VIP], [prefix("dnc", "3316")])
    assert said(policy, "33162", name="vip") == []


def test_the_name_of_a_file_cannot_break_the_line() -> None:
    item = make_list("blacklist")
    policy = make_policy([item], dids={"33199000000": "two\nlines\x1b[2J"})
    [one] = covered(EntryKind.NUMBER, "33199000000", item, policy, NOON)
    assert one.text.isprintable()


def test_many_clauses_are_told_as_a_few_and_a_count() -> None:
    covers = [Covered("country", f"clause {place}", f"+{place}*") for place in range(TOLD + 3)]
    assert described(covers).endswith("; +4*: clause 4; and 3 more")
    assert len(recorded([Covered("did", "x" * 9000)])) == 4000


@given(kind=KINDS, digits=st.text("0123456789", min_size=1, max_size=15), allow=st.booleans())
def test_whatever_is_covered_is_told_in_few_short_lines(
    kind: EntryKind, digits: str, allow: bool
) -> None:
    item = EVERYTHING.lists[int(allow)]
    found = covered(kind, digits, item, EVERYTHING, NOON)
    assert len(found) <= 5
    for one in found:
        assert one.what in {"emergency", "did", "allow", "country", "block"}
        assert one.entry == entry_text(kind, digits)
        assert one.text.isprintable()
        assert len(one.text) < 500


EVERYTHING = policy_with(
    VIP,
    dids=DIDS,
    entries=(prefix("vip", "331"), prefix("blacklist", "332"), number("vip", "33212345678")),
)


def understood(asked: Asked, policy: Policy, *, forced: bool = False) -> Understood:
    return understand(asked, Op.ADD, policy, who="bob", source="api", forced=forced)


def test_what_is_confirmed_goes_on_and_is_kept_with_the_change() -> None:
    asked = Asked(number="+33199000000")
    policy = policy_with(dids=DIDS)
    with pytest.raises(NeedsConfirmation) as refused:
        understood(asked, policy)
    [one] = refused.value.covers
    assert (one.what, one.entry) == ("did", "+33199000000")
    given_ = understood(Asked(number="+33199000000", confirm=True), policy)
    assert given_.change.covered == one.text
    assert understood(Asked(number="+33140000000", confirm=True), policy).change.covered == ""


def test_a_way_in_that_cannot_ask_goes_on_and_keeps_what_it_covers() -> None:
    policy = policy_with(dids=DIDS)
    forced = understood(Asked(number="+33"), policy, forced=True)
    assert forced.change.covered.startswith("it covers +33199000000, a number of the campaign")
    assert forced.change.covered.endswith("it covers all of +33 (FR)")


def test_a_way_in_that_cannot_ask_never_adds_an_emergency_number() -> None:
    asked = Asked(number="112", kind=EntryKind.SHORT, confirm=True)
    with pytest.raises(EntryError, match="112: it covers the emergency number 112: that is never"):
        understood(asked, policy_with(), forced=True)
    assert understood(asked, policy_with()).change.digits == "112"


def test_adding_what_is_there_already_asks_for_nothing() -> None:
    asked = Asked(number="+33199000000")
    there = Entry("blacklist", EntryKind.NUMBER, "33199000000", managed=1)
    assert understood(asked, policy_with(dids=DIDS, entries=(there,))).change.covered
    gone = Entry("blacklist", EntryKind.NUMBER, "33199000000", expires=1, managed=1)
    with pytest.raises(NeedsConfirmation):
        understood(asked, policy_with(dids=DIDS, entries=(gone,)))


def test_removing_asks_for_nothing() -> None:
    policy = policy_with(dids=DIDS)
    removed = understand(Asked(number="+33*"), Op.REMOVE, policy, who="bob", source="cli")
    assert removed.change.covered == ""


def test_a_fault_of_one_entry_comes_before_the_questions_of_others() -> None:
    policy = policy_with(dids=DIDS)
    asked = [Asked(number="+33199000000"), Asked(number="+33"), Asked(number="+33140000000")]
    with pytest.raises(NeedsConfirmation) as refused:
        understand_all(asked, Op.ADD, policy, who="bob", source="cli")
    assert {one.entry for one in refused.value.covers} == {"+33199000000", "+33*"}
    with pytest.raises(EntryError, match="nonsense") as faulty:
        understand_all([*asked, Asked(number="nonsense")], Op.ADD, policy, who="bob", source="cli")
    assert not isinstance(faulty.value, NeedsConfirmation)


def test_an_expiry_in_the_past_is_still_refused_without_a_confirmation() -> None:
    asked = Asked(number="+33140000000", expires="2020-01-31")
    with pytest.raises(EntryError, match="2020-01-31 is past"):
        understood(asked, policy_with())
    given_ = understood(asked, policy_with(), forced=True).change
    assert given_.expires is not None
    assert 0 < given_.expires < time.time()
