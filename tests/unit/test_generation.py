"""A compiled policy on the disk is the policy that was compiled, or it is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from gateway.errors import StoreError
from gateway.numbers import NumberPlan
from gateway.policy.decide import decide
from gateway.policy.generation import Generation, open_generation, save_generation, self_test
from gateway.policy.index import build_index
from gateway.policy.loader import load
from gateway.policy.model import EntryKind, Policy
from tests.support.policies import inbound, make_list, make_policy, number, outbound, prefix

POLICY = """\
timezone: Europe/Paris
numbering:
  region: FR
  extensions: ["[1-8]xxx"]
  trunks:
    us: {region: US, format: e164, strip: [9], international_prefixes: ["011"]}
    same: {}
emergency: {extra: ["114"], callback_window: 10m}
default: block
on_error: {inbound: block, outbound: allow}
strict_scope: false
lists:
  nuisance: {action: block, response: 607, reason: "it's ☎", numbers: [+33123456789]}
  vip: {action: allow, direction: inbound, party: any, trunks: [us], prefixes: [+44]}
  dnc: {action: block, direction: outbound, binding: true, prefixes: [+3316]}
  odd: {action: block, match: {type: [premium_rate], region: [FR, GB], anonymous: true}}
  maybe: {action: block, mode: shadow, short: [3179], extensions: ["100"]}
campaigns:
  sale:
    dids: ["+33140000000"]
    trunks: [us]
    lists:
      opted-out: {action: block, short_prefixes: [31]}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return load(path).policy


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "generation"
    place.mkdir()
    return place


def generation(policy: Policy) -> Generation:
    counts = policy.index.counts()
    return Generation(policy=policy, written=counts, totals=counts)


def test_every_part_of_a_policy_comes_back(policy: Policy, place: Path) -> None:
    save_generation(generation(policy), place)
    opened = open_generation(place, verify=True)
    for field in dataclasses.fields(Policy):
        if field.name != "index":
            assert getattr(opened.policy, field.name) == getattr(policy, field.name), field.name
    assert list(opened.policy.index.entries()) == list(policy.index.entries())
    assert opened.totals == policy.index.counts()


def test_a_reopened_policy_decides_alike(policy: Policy, place: Path) -> None:
    save_generation(generation(policy), place)
    opened = open_generation(place).policy
    calls = [
        inbound("+33123456789"),
        inbound("+442079460000", trunk="us"),
        outbound("+33162000000"),
        outbound("9011442079460000", trunk="us"),
        outbound("3179", extension="100"),
        outbound("112"),
        inbound("anonymous"),
    ]
    for call in calls:
        assert decide(call, opened) == decide(call, policy)


def test_a_sound_generation_passes_its_self_test(policy: Policy, place: Path) -> None:
    save_generation(generation(policy), place)
    assert list(self_test(open_generation(place).policy, policy.index)) == []


def test_the_self_test_finds_an_entry_that_does_not_answer() -> None:
    lists = [make_list("nuisance")]
    compiled = build_index([prefix("nuisance", "33162"), number("nuisance", "33199")], lists)
    other = make_policy(lists, [prefix("nuisance", "33162"), number("nuisance", "33198")])
    [fault] = self_test(other, compiled)
    assert "+33199" in fault
    [fault] = self_test(make_policy(lists, [prefix("nuisance", "33162")]), compiled)
    assert fault == "2 entries were compiled, 1 are there"


def test_the_self_test_finds_an_emergency_number_that_is_not_let_out(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gateway.policy.generation.emergency_numbers", lambda *_: ("112", "0140000000")
    )
    faults = list(self_test(policy, policy.index))
    assert "emergency number 0140000000 would not be let out of trunk us" in faults
    assert not any("number 112 " in fault for fault in faults)


@pytest.mark.parametrize("name", ["policy.json", "index"])
def test_a_missing_or_torn_file_is_refused(policy: Policy, place: Path, name: str) -> None:
    save_generation(generation(policy), place)
    data = (place / name).read_bytes()
    (place / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError):
        open_generation(place)
    (place / name).unlink()
    with pytest.raises(StoreError):
        open_generation(place)


def test_one_changed_bit_of_the_index_is_found(policy: Policy, place: Path) -> None:
    save_generation(generation(policy), place)
    data = bytearray((place / "index").read_bytes())
    data[-1] ^= 1
    (place / "index").write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        open_generation(place, verify=True)


def test_a_generation_of_another_version_is_refused(policy: Policy, place: Path) -> None:
    save_generation(generation(policy), place)
    facts = msgspec.json.decode((place / "policy.json").read_bytes())
    facts["format"] += 1
    (place / "policy.json").write_bytes(msgspec.json.encode(facts))
    with pytest.raises(StoreError, match="another version"):
        open_generation(place)


def test_a_plan_that_is_shared_stays_shared(place: Path) -> None:
    plan = NumberPlan.build(region="GB")
    policy = make_policy(
        [make_list("a")], [number("a", "44", managed=3)], plan=plan, trunks={"x": plan}
    )
    save_generation(generation(policy), place)
    opened = open_generation(place).policy
    assert opened.trunks["x"] is opened.plan is plan
    assert next(iter(opened.index.entries())).managed == 3
    assert next(iter(opened.index.entries())).kind is EntryKind.NUMBER
