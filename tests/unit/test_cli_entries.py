"""``callgate add``, ``remove``, ``list`` and ``export``: by a running gateway or without one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli.environment import Environment
from gateway.entries import Asked, EntryStore
from gateway.entries.export import HEAD, IMPOSSIBLE, UNKNOWN
from gateway.policy.generation import Generation, save_generation
from gateway.policy.loader import load

POLICY = """
numbering: {region: FR}
lists:
  nuisance: {action: block, prefixes: [+33163]}
  spam: {action: block, direction: inbound, may_be_empty: true}
  friends: {action: allow, may_be_empty: true}
"""
LAST_GOOD = "warning: the configured policy cannot be loaded; the last good one, "
UNATTENDED = "no gateway is running: the change is written for its next start\n"


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "callgate.yaml").write_text("state: state\n")
    return tmp_path / "callgate.yaml"


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(config), *arguments])


@contextmanager
def entry_store(config: Path) -> Iterator[EntryStore]:
    store = EntryStore(config.parent / "state/entries.db")
    try:
        yield store
    finally:
        store.close()


def stored(config: Path) -> list[tuple[str, str, str]]:
    with entry_store(config) as store:
        return [(item.list, item.entry.text, item.who) for item in store.managed()]


def test_without_a_gateway_an_entry_is_written_to_the_store_and_that_is_said(config: Path) -> None:
    result = run(config, "add", "0162000000")
    assert result.exit_code == 0
    assert result.output == UNATTENDED + "added +33162000000 to blacklist\n"
    assert stored(config) == [("blacklist", "+33162000000", "alice")]
    checked = run(config, "check", "+33162000000", "--expect", "block")
    assert checked.exit_code == 0


def test_the_state_folder_is_made_for_its_owner_alone(config: Path) -> None:
    run(config, "add", "+33162000000")
    assert (config.parent / "state").stat().st_mode & 0o777 == 0o700


def test_what_is_too_short_is_a_prefix_and_shown_as_one(config: Path) -> None:
    assert "added +33162* to blacklist\n" in run(config, "add", "+33162").output


def test_a_type_overrides_what_is_inferred(config: Path) -> None:
    assert (
        "added +33162* to nuisance"
        in run(config, "add", "--type", "prefix", "--list", "nuisance", "+33162").output
    )
    assert "added 3179 to blacklist" in run(config, "add", "--type", "short", "3179").output


def test_adding_twice_changes_nothing(config: Path) -> None:
    run(config, "add", "+33162000000")
    result = run(config, "add", "+33162000000")
    assert result.exit_code == 0
    assert "+33162000000 is already in blacklist\n" in result.output


def test_all_are_added_or_none(config: Path) -> None:
    result = run(config, "add", "+33162000000", "no number")
    assert result.exit_code == 1
    assert "error: " in result.output
    assert not (config.parent / "state/entries.db").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--list", "nowhere", "+33162000000"), "there is no list 'nowhere'"),
        (("--expires", "soon", "+33162000000"), "must be a day such as 2027-01-31"),
        (("--type", "number", "162000000"), "+"),
    ],
)
def test_what_cannot_be_added_is_explained(
    config: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run(config, "add", *arguments)
    assert result.exit_code == 1
    assert message in result.output


def test_a_wide_prefix_is_refused_unless_it_is_confirmed(config: Path) -> None:
    refused = run(config, "add", "+33")
    assert refused.exit_code == 1
    assert "covers all of +33 (FR)" in refused.output
    assert "--confirm" in refused.output
    assert not (config.parent / "state/entries.db").exists()
    assert "added +33* to blacklist\n" in run(config, "add", "--confirm", "+33").output
    assert "swallows-country" not in run(config, "lint").output


def test_a_removed_entry_is_gone_and_an_absent_one_exits_with_1(config: Path) -> None:
    run(config, "add", "+33162000000")
    removed = run(config, "remove", "+33162000000")
    assert (removed.exit_code, stored(config)) == (0, [])
    assert removed.output.endswith("removed +33162000000 from blacklist\n")
    again = run(config, "remove", "+33162000000")
    assert again.exit_code == 1
    assert "+33162000000 is not among the managed entries of blacklist\n" in again.output


def test_the_list_shows_who_added_what_and_why(config: Path) -> None:
    run(config, "add", "--reason", "robot", "--expires", "2099-01-31", "+33162000000")
    lines = run(config, "list").output.splitlines()
    assert lines[0].split() == ["id", "list", "entry", "type", "reason", "expires", "who", "when"]
    assert lines[1].startswith("1   blacklist  +33162000000  number  robot   2099-0")
    assert " alice " in lines[1]


def test_the_list_as_json_has_every_field(config: Path) -> None:
    run(config, "add", "--list", "nuisance", "+33162000000")
    run(config, "add", "+33164000000")
    (entry,) = json.loads(run(config, "list", "--list", "nuisance", "--json").output)
    assert (entry["text"], entry["kind"], entry["who"]) == ("+33162000000", "number", "alice")


def test_an_empty_list_says_so_and_makes_no_file(config: Path) -> None:
    assert run(config, "list").output == "no managed entries\n"
    assert run(config, "list", "--json").output == "[]\n"
    assert not (config.parent / "state").exists()


def test_the_export_is_a_policy_that_loads(config: Path, tmp_path: Path) -> None:
    run(config, "add", "--list", "spam", "--reason", 'say "no"', "+33162", "+33164000000")
    result = run(config, "export", "--yaml")
    assert result.exit_code == 0
    (tmp_path / "export.yaml").write_text(result.output)
    assert load(tmp_path / "export.yaml").counts["spam"] == 2


BROKEN = POLICY + "  spam: {}\n"


def test_the_export_of_a_broken_policy_warns_where_an_action_is_not_known(config: Path) -> None:
    run(config, "add", "--list", "nuisance", "+33162")
    run(config, "add", "+33164000000")
    (config.parent / "policy.yaml").write_text(BROKEN)
    result = run(config, "export")
    assert result.exit_code == 0
    assert "policy.yaml:7:3:" in result.stderr
    assert "warning: what the lists do is not known; look at each action\n" in result.stderr
    assert result.stdout.startswith(f'{HEAD}lists:\n  # {UNKNOWN}\n  "nuisance":\n')
    assert result.stdout.count(UNKNOWN) == 1
    (config.parent / "export.yaml").write_text(result.stdout)
    assert load(config.parent / "export.yaml").counts == {"nuisance": 1, "blacklist": 1}


SCOPED = """
numbering: {region: FR, trunks: {carrier: {}, other: {region: US}}, extensions: ["[1-8]xxx"]}
lists:
  desk:
    {action: block, direction: inbound, response: 603+, trunks: [carrier], extensions: ["2xxx"],
     may_be_empty: true}
campaigns:
  spring-sale:
    dids: ["+33199000000"]
    trunks: [carrier]
    lists:
      opted-out: {action: block, direction: outbound, binding: true, may_be_empty: true}
"""


def test_the_export_of_lists_of_campaigns_and_trunks_loads_on_its_own(config: Path) -> None:
    (config.parent / "policy.yaml").write_text(SCOPED)
    run(config, "add", "--list", "opted-out", "+33199001111")
    run(config, "add", "--list", "desk", "+33199002222", "+33163")
    result = run(config, "export")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(HEAD)
    (config.parent / "export.yaml").write_text(result.stdout)
    loaded = load(config.parent / "export.yaml")
    assert loaded.counts == {"opted-out": 1, "desk": 2, "blacklist": 0}
    meant = {item.name: item for item in load(config.parent / "policy.yaml").policy.lists}
    for item in loaded.policy.lists:
        assert (item.campaigns, item.trunks, item.extensions, item.network_blocked) == (
            meant[item.name].campaigns,
            meant[item.name].trunks,
            meant[item.name].extensions,
            meant[item.name].network_blocked,
        )


def test_a_number_that_no_policy_takes_is_a_comment_of_the_export(config: Path) -> None:
    assert run(config, "add", "+999123456").exit_code == 0
    result = run(config, "export")
    assert f"    # {IMPOSSIBLE} +999123456\n" in result.stdout
    (config.parent / "export.yaml").write_text(result.stdout)
    assert load(config.parent / "export.yaml").counts == {"blacklist": 0}


def keep_last_good(config: Path) -> None:
    kept = config.parent / "state/last-good/1"
    kept.mkdir(parents=True)
    policy = load(config.parent / "policy.yaml").policy
    save_generation(Generation(policy=policy, written={}, totals={}), kept)
    (kept.parent / "current").symlink_to("1")


def test_a_block_does_not_wait_for_a_clean_policy(config: Path) -> None:
    keep_last_good(config)
    (config.parent / "policy.yaml").write_text(BROKEN)
    result = run(config, "add", "--list", "spam", "0162000000")
    assert result.exit_code == 0
    assert LAST_GOOD in result.stderr
    assert stored(config) == [("spam", "+33162000000", "alice")]


def test_nothing_is_said_to_be_written_that_is_not(config: Path) -> None:
    (config.parent / "policy.yaml").write_text(BROKEN)
    result = run(config, "add", "+33162000000")
    assert result.exit_code == 2
    assert "policy.yaml:7:3:" in result.output
    assert "written" not in result.output


def test_the_export_of_a_broken_policy_knows_the_last_good_lists(config: Path) -> None:
    run(config, "add", "--list", "friends", "+33162")
    keep_last_good(config)
    (config.parent / "policy.yaml").write_text(BROKEN)
    result = run(config, "export")
    assert result.exit_code == 0
    assert LAST_GOOD in result.stderr
    assert '"friends":\n    action: allow\n' in result.stdout
    assert UNKNOWN not in result.stdout


class Gateway:
    """A running gateway, for the command line."""

    def __init__(self, removed: str = "removed") -> None:
        self.removed = removed
        self.asked: list[tuple[str, list[Asked]]] = []
        self.undone = 0

    def add(self, entries: Sequence[Asked]) -> list[dict[str, Any]]:
        return self._answer("added", entries)

    def edit(self, entries: Sequence[Asked]) -> list[dict[str, Any]]:
        return self._answer("edited", entries)

    def remove(self, entries: Sequence[Asked]) -> list[dict[str, Any]]:
        return self._answer(self.removed, entries)

    def undo(self, rev: int) -> dict[str, Any]:
        self.undone = rev
        return {"rev": 9, "status": "undone", "entry": None, "warning": "doubtful"}

    def _answer(self, status: str, entries: Sequence[Asked]) -> list[dict[str, Any]]:
        self.asked.append((status, list(entries)))
        return [
            {
                "list": asked.list,
                "kind": "number",
                "digits": asked.number.lstrip("+"),
                "rev": 1,
                "status": status,
                "entry": None,
                "warning": "doubtful",
            }
            for asked in entries
        ]


@pytest.mark.parametrize(("command", "status"), [("add", "added"), ("remove", "removed")])
def test_a_running_gateway_makes_the_change_itself(
    config: Path, monkeypatch: pytest.MonkeyPatch, command: str, status: str
) -> None:
    gateway = Gateway()
    monkeypatch.setattr(Environment, "gateway", lambda _: gateway)
    result = run(config, command, "--list", "spam", "+33162000000")
    assert result.exit_code == 0
    assert gateway.asked == [(status, [Asked(number="+33162000000", list="spam")])]
    assert f"{status} +33162000000 " in result.output
    assert "warning: doubtful" in result.output
    assert "no gateway" not in result.output
    assert not (config.parent / "state").exists()
