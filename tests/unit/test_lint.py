"""Findings: each code on the smallest policy that has it, and what is no finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.policy.lint import Code, Level, lint
from gateway.policy.loader import load
from gateway.policy.model import Entry, EntryKind

ROOT = Path(__file__).parents[2]
NOON_2030 = 1893499200.0


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def findings(path: Path, text: str, managed: tuple[Entry, ...] = ()) -> list[str]:
    path.write_text("numbering: {region: FR, trunks: {a: {}, b: {}}}\n" + text)
    return [str(finding) for finding in lint(load(path, managed=managed), NOON_2030)]


def test_the_shipped_policy_has_no_findings() -> None:
    assert lint(load(ROOT / "config" / "policy.yaml"), 1.8e9) == []


def test_an_entry_written_twice_is_a_duplicate(policy: Path) -> None:
    (policy.parent / "x.txt").write_text("+33123456789\n\n+33123456789\n")
    text = (
        "lists:\n"
        "  one: {action: block, prefixes: [+33162, +33162], files: [x.txt]}\n"
        "  two: {action: block, short: [3179, 3179]}\n"
    )
    assert findings(policy, text) == [
        "policy.yaml:3: note: +33162 of 'one' is also at policy.yaml:3 [duplicate]",
        "policy.yaml:4: note: 3179 of 'two' is also at policy.yaml:4 [duplicate]",
        "x.txt:3: note: +33123456789 of 'one' is also at x.txt:1 [duplicate]",
    ]


def test_the_same_entry_in_lists_of_another_effect_is_no_duplicate(policy: Path) -> None:
    text = (
        "lists:\n"
        "  in: {action: block, direction: inbound, prefixes: [+33162]}\n"
        "  out: {action: block, direction: outbound, prefixes: [+33162]}\n"
        "  try: {action: block, mode: shadow, prefixes: [+33162]}\n"
        "  not: {action: allow, trunks: [a], prefixes: [+33162]}\n"
    )
    assert findings(policy, text) == []


def test_an_entry_under_a_shorter_one_of_the_same_effect_is_shadowed(policy: Path) -> None:
    text = (
        "lists:\n"
        "  one: {action: block, prefixes: [+33162, +331625], numbers: [+33162551234]}\n"
        "  two: {action: block, numbers: [+33162551235], short: [3179], short_prefixes: [31]}\n"
    )
    assert findings(policy, text) == [
        "policy.yaml:3: note: +331625 of 'one' is covered by +33162 at policy.yaml:3 [shadowed]",
        "policy.yaml:3: note: +33162551234 of 'one' is covered by +331625 at policy.yaml:3 "
        "[shadowed]",
        "policy.yaml:4: note: 3179 of 'two' is covered by 31 at policy.yaml:4 [shadowed]",
        "policy.yaml:4: note: +33162551235 of 'two' is covered by +331625 at policy.yaml:3 "
        "[shadowed]",
    ]


def test_an_exception_from_an_exception_is_not_shadowed(policy: Path) -> None:
    text = (
        "lists:\n"
        "  block: {action: block, prefixes: [+33162], numbers: [+33162551234]}\n"
        "  allow: {action: allow, prefixes: [+3316255]}\n"
    )
    assert findings(policy, text) == []


def test_an_entry_that_outlives_the_shorter_one_is_not_shadowed(policy: Path) -> None:
    text = (
        "lists:\n  one:\n    action: block\n"
        "    prefixes: [{prefix: +33162, expires: 2031-01-31}, +331625]\n"
        "    numbers: [{number: +33162651234, expires: 2031-01-30}]\n"
    )
    assert findings(policy, text)[0].startswith("policy.yaml:6: note: +33162651234")
    assert len(findings(policy, text)) == 1


@pytest.mark.parametrize(
    "binding",
    ["numbers: [+33162551234]", "prefixes: [+3316255]", "prefixes: [+33162], direction: outbound"],
)
def test_an_allow_under_a_binding_list_can_never_win(policy: Path, binding: str) -> None:
    text = (
        f"lists:\n  law: {{action: block, binding: true, {binding}}}\n"
        "  friends: {action: allow, direction: outbound, numbers: [+33162551234]}\n"
    )
    assert "+33162551234 of 'friends' can never win" in findings(policy, text)[0]


@pytest.mark.parametrize(
    "law",
    [
        "direction: inbound, prefixes: [+33162]",
        "trunks: [a], prefixes: [+33162]",
        "party: caller, prefixes: [+33162]",
        "mode: shadow, prefixes: [+33162]",
        "numbers: [+33162551299]",
        "prefixes: [{prefix: +33162, expires: 2031-01-31}]",
    ],
)
def test_an_allow_that_a_binding_list_leaves_room_can_win(policy: Path, law: str) -> None:
    text = (
        f"lists:\n  law: {{action: block, binding: true, {law}}}\n"
        "  friends: {action: allow, direction: outbound, numbers: [+33162551234]}\n"
    )
    assert findings(policy, text) == []


def test_a_prefix_that_is_allowed_is_not_beaten_by_one_binding_number(policy: Path) -> None:
    text = (
        "lists:\n  law: {action: block, binding: true, numbers: [+33162551234]}\n"
        "  friends: {action: allow, prefixes: [+3316255]}\n"
    )
    assert findings(policy, text) == []


def test_a_short_prefix_that_covers_an_emergency_number_needs_confirmation(policy: Path) -> None:
    text = "lists: {a: {action: block, short_prefixes: [11], short: [112, 1120]}}"
    found = findings(policy, text)
    assert len([line for line in found if "[swallows-emergency]" in line]) == 2
    assert any("112 of 'a' covers the emergency number 112" in line for line in found)


def test_a_number_of_a_campaign_needs_confirmation(policy: Path) -> None:
    text = (
        "lists:\n  a: {action: block, prefixes: [+331400], numbers: [+33140000000, +33140000009]}\n"
        "campaigns: {spring: {dids: [+33140000000]}}\n"
    )
    assert [line for line in findings(policy, text) if "own-number" in line] == [
        "policy.yaml:3: warning: +331400 of 'a' covers +33140000000, a number of 'spring'; "
        "write confirm: true on it if that is meant [swallows-own-number]",
        "policy.yaml:3: warning: +33140000000 of 'a' covers +33140000000, a number of 'spring'; "
        "write confirm: true on it if that is meant [swallows-own-number]",
    ]


@pytest.mark.parametrize(
    ("prefix", "code", "what"),
    [
        ("+35", "swallows-country", "all of the 10 country codes that begin with +35"),
        ("+33", "swallows-country", "all of +33 (FR)"),
        ("+352", "swallows-country", "all of +352 (LU)"),
        ("+331", "wide-prefix", "all numbers of +33 (FR) that begin with 1"),
        ("+3526", "wide-prefix", "all numbers of +352 (LU) that begin with 6"),
    ],
)
def test_a_country_or_a_large_part_of_one_needs_confirmation(
    policy: Path, prefix: str, code: str, what: str
) -> None:
    assert findings(policy, f"lists: {{a: {{action: block, prefixes: [{prefix}]}}}}") == [
        f"policy.yaml:2: warning: {prefix} of 'a' covers {what}; "
        f"write confirm: true on it if that is meant [{code}]"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{action: block, prefixes: [{prefix: +33, confirm: true}]}",
        "{action: block, prefixes: [{prefix: +331, confirm: true}]}",
        "{action: block, mode: shadow, prefixes: [+33]}",
        "{action: allow, prefixes: [+33]}",
        "{action: block, prefixes: [+3314]}",
    ],
)
def test_what_is_confirmed_or_does_no_harm_is_no_finding(policy: Path, text: str) -> None:
    assert findings(policy, f"lists: {{a: {text}}}") == []


def test_an_expired_entry_is_noted(policy: Path) -> None:
    text = (
        "lists:\n  a:\n    action: block\n"
        "    prefixes: [{prefix: +33162, expires: 2029-12-31},"
        " {prefix: +33163, expires: 2030-01-01}]"
    )
    assert findings(policy, text) == [
        "policy.yaml:5: note: +33162 of 'a' has expired [expired]",
    ]


def test_a_list_on_trunks_that_its_campaigns_do_not_use_is_unreachable(policy: Path) -> None:
    text = (
        "lists:\n"
        "  never: {action: block, campaigns: [c], trunks: [b], prefixes: [+33162]}\n"
        "  partly: {action: block, campaigns: [c, d], trunks: [a, b], prefixes: [+33162]}\n"
        "  fine: {action: block, campaigns: [d], trunks: [b], prefixes: [+33162]}\n"
        "campaigns: {c: {trunks: [a]}, d: {}}\n"
    )
    assert findings(policy, text) == [
        "policy.yaml:3: warning: no call reaches 'never': its campaigns use none of its trunks "
        "[unreachable-list]",
        "policy.yaml:4: warning: 'partly' names the trunk 'b', which 'c' does not use "
        "[trunk-not-of-campaign]",
    ]


@pytest.mark.parametrize(
    ("match", "never"),
    [
        ("{no_number: true, region: [FR]}", True),
        ("{no_number: true, invalid: true}", True),
        ("{invalid: true, type: [mobile]}", True),
        ("{invalid: true, unassigned: true}", True),
        ("{anonymous: true, region: [FR]}", False),
        ("{anonymous: true, no_number: true}", False),
        ("{region: [FR], type: [mobile]}", False),
    ],
)
def test_a_match_that_contradicts_itself_is_a_finding(
    policy: Path, match: str, never: bool
) -> None:
    found = findings(policy, f"lists: {{a: {{action: block, match: {match}}}}}")
    assert [line for line in found if "[match-never]" in line] == (
        ["policy.yaml:2: warning: nothing can be all that 'a' matches at once [match-never]"]
        if never
        else []
    )


def test_managed_entries_are_held_against_the_files(policy: Path) -> None:
    managed = (Entry("a", EntryKind.NUMBER, "33162551234", managed=1),)
    found = findings(policy, "lists: {a: {action: block, prefixes: [+33162]}}", managed)
    assert len(found) == 1
    assert "+33162551234 of 'a' is covered by +33162 at policy.yaml:2 [shadowed]" in found[0]


def test_many_findings_of_one_code_are_counted_after_the_first(policy: Path) -> None:
    (policy.parent / "x.txt").write_text("+33123456789\n" * 12)
    policy.write_text("lists: {a: {action: block, files: [x.txt]}}")
    found = lint(load(policy), shown=5)
    assert [finding.code for finding in found] == [Code.DUPLICATE] * 6
    assert (found[-1].level, found[-1].message) == (Level.NOTE, "and 6 more of this kind")
