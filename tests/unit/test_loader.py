"""Loading: every fixture, every fault with its exact report, and what the values become."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.calls import Call, Direction
from gateway.errors import ConfigError, Fault
from gateway.policy.decide import decide
from gateway.policy.explain import explain
from gateway.policy.loader import Loaded, load
from gateway.policy.model import (
    Action,
    Emergency,
    Entry,
    EntryKind,
    Match,
    Mode,
    OnError,
    Origin,
    Party,
)
from gateway.yamlmodel import SHOWN_FAULTS
from tests.support.policies import inbound

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "tests" / "policies"
GOOD = sorted((POLICIES / "good").glob("*.yaml"))
BAD = sorted((POLICIES / "bad").glob("*.yaml"))


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy in the folder where people are, so that its faults name it shortly."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "policy.yaml"


def loaded(path: Path, text: str, managed: Iterator[Entry] | tuple[Entry, ...] = ()) -> Loaded:
    path.write_text(text)
    return load(path, managed=managed, managed_seq=7)


def faults(path: Path, text: str | bytes) -> list[str]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [str(fault) for fault in caught.value.faults]


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", GOOD, ids=stem)
def test_a_good_policy_loads(path: Path) -> None:
    found = load(path)
    assert found.warnings == ()
    assert sum(found.counts.values()) == len(found.policy.index)


@pytest.mark.parametrize("path", BAD, ids=stem)
def test_a_bad_policy_gives_exactly_its_report(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) + "\n" == path.with_suffix(".txt").read_text()


def test_every_report_belongs_to_a_bad_policy() -> None:
    assert {path.stem for path in (POLICIES / "bad").glob("*.txt")} == {path.stem for path in BAD}


def test_the_shipped_policy_blocks_what_it_says() -> None:
    policy = load(ROOT / "config" / "policy.yaml").policy
    expected = {
        "+33162000000": (Action.BLOCK, "nuisance", 603),
        "+33162551234": (Action.ALLOW, "partners", 0),
        "+33199008801": (Action.BLOCK, "nuisance", 603),
        "+33199009999": (Action.ALLOW, "", 0),
    }
    for caller, verdict in expected.items():
        call = Call(
            direction=Direction.INBOUND,
            caller=caller,
            callee="+33199000000",
            at=1.8e9,
            trunk="carrier",
        )
        found = decide(call, policy)
        assert (found.action, found.list, found.response) == verdict
        assert found.campaign == "spring-sale"


def test_a_missing_policy_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file"):
        load(tmp_path / "absent.yaml")


def test_every_key_reaches_its_value() -> None:
    policy = load(POLICIES / "good" / "everything.yaml").policy
    lists = {item.name: item for item in policy.lists}
    every = lists["every-key"]
    assert [item.order for item in policy.lists] == list(range(len(policy.lists)))
    assert (every.action, every.direction, every.party) == (Action.BLOCK, None, Party.ANY)
    assert every.campaigns == frozenset({"north"})
    assert every.trunks == frozenset({"main", "us"})
    assert every.extensions == frozenset({"1001", "2002"})
    assert (every.region, every.response) == ("FR", 607)
    assert (every.reason, every.mode, every.binding) == ("complaints", Mode.ENFORCE, True)
    assert every.origin == Origin("everything.yaml", 17, 3)
    assert lists["north-out"].campaigns == {"north"}
    assert lists["north-out"].direction is Direction.OUTBOUND
    assert lists["blacklist"].response == 486
    assert lists["norway"].match == Match(
        regions=frozenset({"NO", "SE"}), types=frozenset({"premium_rate", "shared_cost"})
    )
    assert lists["broken"].match == Match(invalid=True)
    assert policy.default is Action.BLOCK
    assert policy.on_error == OnError(Action.BLOCK, Action.ALLOW)
    assert policy.emergency == Emergency(frozenset({"114", "1414"}), 90.0)
    assert (policy.strict_scope, policy.timezone) == (False, "America/New_York")
    assert policy.dids == {"33140000000": "north", "33140000001": "north"}
    assert policy.campaigns["north"].contacts == "lists/full.csv"
    assert policy.campaigns["south"].dids == ()


def test_a_list_of_unassigned_numbers_is_shadow_unless_it_says_otherwise() -> None:
    policy = load(POLICIES / "good" / "everything.yaml").policy
    modes = {item.name: item.mode for item in policy.lists}
    assert (modes["guess"], modes["sure"]) == (Mode.SHADOW, Mode.ENFORCE)


def test_a_list_may_ask_for_603_plus(policy: Path) -> None:
    text = "lists:\n  feed: {action: block, response: 603+, prefixes: [+33162]}\n"
    (feed, _) = loaded(policy, text).policy.lists
    assert (feed.response, feed.network_blocked) == (603, True)
    assert "SIP 603+" in explain(inbound("+33162000000"), loaded(policy, text).policy).steps[-1]


def test_a_trunk_takes_from_numbering_what_it_leaves_out() -> None:
    policy = load(POLICIES / "good" / "everything.yaml").policy
    main, us, bare = (policy.trunks[name] for name in ("main", "us", "bare"))
    assert main is policy.plan
    assert (us.region, us.format, us.strip, us.extensions) == ("US", "e164", (), ("2XX",))
    assert us.international_prefixes is None
    assert (us.emergency_region, bare.emergency_region) == ("US", "FR")
    assert (bare.region, bare.format, set(bare.strip)) == ("FR", "national", {"9", "*67", "#31#"})
    assert set(bare.international_prefixes or ()) == {"00", "011"}


def test_entries_know_where_they_are_written_and_when_they_end() -> None:
    found = load(POLICIES / "good" / "everything.yaml")
    entries = {
        (entry.list, entry.kind, entry.digits): entry for entry in found.policy.index.entries()
    }
    end_of_2040 = 2240629200
    number = entries["every-key", EntryKind.NUMBER, "33123456788"]
    assert (str(number.origin), number.expires) == ("everything.yaml:33", end_of_2040)
    own = entries["every-key", EntryKind.NUMBER, "33123456786"]
    assert (own.reason, own.expires) == ("twice", 2190556800)
    from_csv = entries["every-key", EntryKind.NUMBER, "33123456784"]
    assert (from_csv.reason, str(from_csv.origin)) == ('said; "never again"', "lists/full.csv:2")
    from_text = entries["every-key", EntryKind.PREFIX, "33162"]
    assert from_text.expires == end_of_2040
    assert entries["every-key", EntryKind.SHORT, "118218"].reason == "directory"
    assert found.confirmed == {("every-key", EntryKind.PREFIX, "33")}


def test_the_managed_list_always_exists_and_comes_last(policy: Path) -> None:
    last = loaded(policy, "lists: {a: {action: allow, prefixes: [+33162]}}").policy.lists[-1]
    assert (last.name, last.action, last.direction, last.order) == (
        "blacklist",
        Action.BLOCK,
        None,
        1,
    )


def test_managed_entries_are_in_force_and_not_counted(policy: Path) -> None:
    entry = Entry("blacklist", EntryKind.NUMBER, "33123456789", managed=4)
    found = loaded(policy, "lists: {}", (entry,))
    assert list(found.policy.index.entries()) == [entry]
    assert found.counts == {"blacklist": 0}
    assert found.policy.revision.endswith("+7")


def test_managed_entries_without_a_list_are_kept_aside_with_a_warning(policy: Path) -> None:
    entries = (
        Entry("gone", EntryKind.NUMBER, "33123456789", managed=1),
        Entry("gone", EntryKind.NUMBER, "33123456788", managed=2),
        Entry("premium", EntryKind.NUMBER, "33123456788", managed=3),
    )
    text = "lists: {premium: {action: block, match: {type: [premium_rate]}}}"
    found = loaded(policy, text, entries)
    assert len(found.policy.index) == 0
    assert [str(warning) for warning in found.warnings] == [
        "policy.yaml: lists.gone: 2 managed entries are inactive: there is no such list",
        "policy.yaml: lists.premium: 1 managed entry is inactive: this list is a match",
    ]


def test_the_revision_follows_contents_and_names_of_all_files(policy: Path) -> None:
    text = "lists: {a: {action: block, files: [one.txt]}}"
    (policy.parent / "one.txt").write_text("+33123456789\n")
    first = loaded(policy, text)
    assert loaded(policy, text).policy.revision == first.policy.revision
    assert [stamp.name for stamp in first.files] == ["policy.yaml", "one.txt"]
    (policy.parent / "one.txt").write_text("+33123456788\n")
    second = loaded(policy, text)
    (policy.parent / "two.txt").write_text("+33123456788\n")
    third = loaded(policy, text.replace("one", "two"))
    assert len({found.policy.revision for found in (first, second, third)}) == 3


def test_stamps_say_what_was_read(policy: Path) -> None:
    stamp = loaded(policy, "lists: {}").files[0]
    status = policy.stat()
    assert (stamp.path, stamp.size, stamp.mtime_ns) == (policy, status.st_size, status.st_mtime_ns)
    assert stamp.sha256 == hashlib.sha256(b"lists: {}").hexdigest()


def test_a_list_file_may_serve_two_lists_and_lie_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (tmp_path / "shared.txt").write_text("+33162*\n0162000000\n")
    found = loaded(
        folder / "policy.yaml",
        "lists:\n"
        "  a: {action: block, region: FR, direction: inbound, files: [../shared.txt]}\n"
        f"  b: {{action: block, region: FR, files: [{tmp_path}/shared.txt]}}\n",
    )
    assert found.counts == {"a": 2, "b": 2, "blacklist": 0}
    assert len(found.files) == 3


def test_a_file_named_twice_is_read_once(policy: Path) -> None:
    (policy.parent / "one.txt").write_text("+33162*\n")
    text = "lists: {a: {action: block, files: [one.txt]}, b: {action: allow, files: [one.txt]}}"
    assert len(loaded(policy, text).files) == 2


def test_an_unreadable_file_is_a_fault_wherever_it_is_named(policy: Path) -> None:
    text = "lists: {a: {action: block, files: [no]}, b: {action: allow, files: [no]}}"
    assert faults(policy, text) == [
        "policy.yaml:1:36: lists.a.files[0]: no cannot be read: No such file or directory",
        "policy.yaml:1:69: lists.b.files[0]: no cannot be read: No such file or directory",
    ]


def test_faults_name_their_files_as_seen_from_the_working_folder(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (policy.parent / "config/lists").mkdir(parents=True)
    (policy.parent / "config/lists/a.txt").write_text("nobody\n")
    policy = policy.parent / "config/policy.yaml"
    text = "default: alow\nlists: {a: {action: block, files: [lists/a.txt]}}\n"
    inside = [fault.partition(":")[0] for fault in faults(policy, text)]
    monkeypatch.chdir(policy.parent / "lists")
    outside = [fault.partition(":")[0] for fault in faults(policy, text)]
    assert inside == ["config/policy.yaml", "config/lists/a.txt"]
    assert outside == [str(policy), "a.txt"]
    (policy.parent / "lists/a.txt").write_text("+33123456789\n")
    good = loaded(policy, text.replace("alow", "allow"))
    assert good.policy.lists[0].origin.file == "policy.yaml"


def test_a_path_that_cannot_be_one_is_a_fault(policy: Path) -> None:
    (fault,) = faults(policy, 'lists: {a: {action: block, files: ["a\\0b"]}}')
    assert fault == "policy.yaml:1:36: lists.a.files[0]: a\\x00b is no path"
    (fault,) = faults(policy, 'campaigns: {a: {contacts: "a\\0b"}}')
    assert fault.endswith("is not there or no file")


def test_a_file_that_changes_once_while_it_is_read_is_read_again(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.write_text("lists: {}")
    changing(monkeypatch, policy, times=1)
    assert load(policy).files[0].size == policy.stat().st_size


def test_a_file_that_keeps_changing_is_a_fault(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.write_text("lists: {}")
    changing(monkeypatch, policy, times=4)
    with pytest.raises(ConfigError, match="changed while it was being read"):
        load(policy)


def changing(monkeypatch: pytest.MonkeyPatch, path: Path, times: int) -> None:
    """Let somebody append to a file, the first times, just after it was opened and looked at."""
    real, left = os.fstat, [times]

    def fstat(number: int) -> os.stat_result:
        status = real(number)
        if left[0]:
            left[0] -= 1
            with path.open("a") as file:
                file.write(" " * 9)
        return status

    monkeypatch.setattr(os, "fstat", fstat)


def test_a_file_that_shrinks_under_the_reader_is_a_fault(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.write_text("lists: {} # " + "x" * 100)
    real = os.fstat

    def fstat(number: int) -> os.stat_result:
        status = real(number)
        parts = list(status)
        parts[6] += 1
        return os.stat_result(parts, {"st_mtime_ns": status.st_mtime_ns})

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(ConfigError, match="changed while it was being read"):
        load(policy)


def test_many_faults_of_one_file_are_counted_after_the_first(policy: Path) -> None:
    entries = ", ".join(["nobody"] * (SHOWN_FAULTS + 25))
    found = faults(policy, f"lists: {{a: {{action: block, numbers: [{entries}]}}}}")
    assert len(found) == SHOWN_FAULTS + 1
    assert found[-1] == "policy.yaml: and 25 more faults in this file"


def test_faults_after_dropped_items_keep_their_own_places(policy: Path) -> None:
    text = "lists: {a: {action: block, prefixes: [[x], +, {prefx: +33}, nobody, +33162]}}"
    assert faults(policy, text) == [
        "policy.yaml:1:39: lists.a.prefixes[0]: must be a mapping of keys to values",
        "policy.yaml:1:44: lists.a.prefixes[1]: '+' has nothing after +",
        "policy.yaml:1:47: lists.a.prefixes[2].prefix: this key is required",
        "policy.yaml:1:48: lists.a.prefixes[2].prefx: unknown key; did you mean 'prefix'?",
        "policy.yaml:1:61: lists.a.prefixes[3]: 'nobody' is no phone number: "
        "write it as +33123456789",
    ]


def test_a_key_that_stands_in_elsewhere_is_unknown_where_it_does_not_belong(policy: Path) -> None:
    assert faults(policy, "on_error: {action: x}\nlists: {a: {action: x, prefixes: [+33162]}}") == [
        "policy.yaml:1:12: on_error.action: unknown key",
        "policy.yaml:2:21: lists.a.action: must be 'allow' or 'block', not 'x'",
    ]


def test_a_name_that_no_file_can_have_is_a_fault(policy: Path) -> None:
    (fault,) = faults(policy, f"campaigns: {{a: {{contacts: {'x' * 300}}}}}")
    assert fault.endswith("is not there or no file")


def test_a_report_is_printable_whatever_the_file_held(policy: Path) -> None:
    (fault,) = faults(policy, 'timezone: "\\e[31m\\n"')
    assert fault.isprintable()


def test_no_fault_is_reported_about_a_file_that_is_only_named_as_contacts(policy: Path) -> None:
    (policy.parent / "contacts.csv").write_bytes(b"\xff\x00")
    found = loaded(policy, "campaigns: {a: {contacts: contacts.csv}}")
    assert [stamp.name for stamp in found.files] == ["policy.yaml"]


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_load_or_are_refused(policy: Path, data: bytes) -> None:
    policy.write_bytes(data)
    with contextlib.suppress(ConfigError):
        assert load(policy).policy.revision


KEYS = st.sampled_from(
    """timezone numbering region trunks strip extensions emergency extra callback_window default
    on_error inbound lists action direction party campaigns response expires mode binding
    numbers prefixes short short_prefixes files match type anonymous dids contacts number
    prefix reason confirm may_be_empty drop_active blacklist a b""".split()  # noqa: SIM905
)
WORDS = st.sampled_from(
    """~ +33162 +33123456789 0162 FR block allow true a blacklist 30m 603 2030-01-31 UTC
    premium_rate [1-8]xxx one.txt ' *a""".split()  # noqa: SIM905
)
TREES = st.recursive(
    WORDS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(KEYS, inner), max_size=4).map(
            lambda items: f"{{{', '.join(f'{key}: {value}' for key, value in items)}}}"
        )
    ),
    max_leaves=12,
)


@given(st.lists(st.tuples(KEYS, TREES), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_yaml_loads_or_is_refused(policy: Path, items: list[tuple[str, str]]) -> None:
    policy.write_text("\n".join(f"{key}: {value}" for key, value in items))
    try:
        load(policy)
    except ConfigError as error:
        found = error.faults
    else:
        found = ()
    assert all(isinstance(fault, Fault) and fault.message for fault in found)
