"""``callgate edit`` and ``undo``, and what ``add`` and ``remove`` say that was not asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import changes, main
from gateway.cli.environment import Environment
from gateway.entries import Asked, ManagedEntry
from tests.unit.test_cli_entries import UNATTENDED, Gateway, entry_store, run

POLICY = """
numbering: {region: FR}
lists:
  nuisance: {action: block, prefixes: [+33163], numbers: [+33164000000]}
  robots: {action: block, direction: inbound, may_be_empty: true}
  partners: {action: allow, prefixes: [+331645], numbers: [+33165000000]}
  guests: {action: allow, direction: outbound, prefixes: [+331665]}
campaigns:
  spring-sale: {dids: ["+33199000000", "+33199000001"]}
"""


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "callgate.yaml").write_text("state: state\n")
    return tmp_path / "callgate.yaml"


def only(config: Path) -> ManagedEntry:
    with entry_store(config) as store:
        (entry,) = store.managed()
    return entry


def test_adding_an_entry_anew_says_what_it_keeps_and_how_to_change_it(config: Path) -> None:
    run(config, "add", "+33162000000", "--reason", "robot", "--expires", "2099-01-31")
    other = run(config, "add", "+33162000000", "--reason", "complaint")
    assert "+33162000000 is already in blacklist\n" in other.stdout
    assert (
        "warning: it keeps its reason 'robot' and its expiry 2099-02-01T00:00:00Z: "
        "`callgate edit` changes them\n"
    ) in other.stderr
    assert only(config).reason == "robot"


def test_adding_what_is_there_already_says_nothing_more(config: Path) -> None:
    run(config, "add", "+33162000000", "--reason", "robot")
    assert run(config, "add", "+33162000000").stderr == UNATTENDED
    assert run(config, "add", "+33162000000", "--reason", "robot").stderr == UNATTENDED


def test_an_edit_changes_what_is_given_and_keeps_the_rest(config: Path) -> None:
    run(config, "add", "+33162000000", "--reason", "robot")
    result = run(config, "edit", "0162000000", "--expires", "2099-01-31")
    assert (result.exit_code, result.stdout) == (0, "edited +33162000000 in blacklist\n")
    assert (only(config).reason, only(config).expires) == ("robot", 4073587200)
    run(config, "edit", "+33162000000", "--reason", "complaint")
    assert (only(config).reason, only(config).expires) == ("complaint", 4073587200)
    run(config, "edit", "+33162000000", "--reason", "", "--expires", "")
    assert (only(config).reason, only(config).expires) == ("", 0)


def test_an_edit_without_anything_to_change_is_wrong_usage(config: Path) -> None:
    result = run(config, "edit", "+33162000000")
    assert result.exit_code == 2
    assert "Give --reason, --expires or both." in result.output


def test_an_edit_of_what_is_not_there_exits_with_1(config: Path) -> None:
    result = run(config, "edit", "+33163", "--reason", "robot")
    assert result.exit_code == 1
    assert "+33163* is not among the managed entries of blacklist\n" in result.stdout
    assert "+33163* is in nuisance, at policy.yaml:4: remove it there\n" in result.stderr


@pytest.mark.parametrize("command", ["add", "edit"])
def test_an_expiry_in_the_past_is_refused_unless_it_is_confirmed(
    config: Path, command: str
) -> None:
    if command == "edit":
        run(config, "add", "+33162000000")
    result = run(config, command, "+33162000000", "--expires", "2020-01-31")
    assert result.exit_code == 1
    assert "error: 2020-01-31 is past: confirm it (--confirm) if that is meant\n" in result.stderr
    asked = (command, "+33162000000", "--expires", "2020-01-31", "--confirm")
    assert run(config, *asked).exit_code == 0


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("+33199000000", "it covers +33199000000, a number of the campaign 'spring-sale'"),
        ("+3319900000*", "it covers +33199000000, a number of the campaign 'spring-sale' and 1 mo"),
        ("+33164500000", "it beats the exception +331645 of 'partners' (policy.yaml:6)"),
        ("+33165000000", "the exception +33165000000 of 'partners' (policy.yaml:6) still beats it"),
    ],
)
def test_an_entry_against_the_policy_is_added_when_it_is_confirmed(
    config: Path, number: str, told: str
) -> None:
    refused = run(config, "add", number)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert told in refused.stderr
    assert "--confirm" in refused.stderr
    result = run(config, "add", "--confirm", number)
    assert result.exit_code == 0
    assert "added " in result.stdout
    assert f"warning: {told}" in result.stderr


def test_an_exception_for_the_other_direction_is_none(config: Path) -> None:
    assert "exception" in run(config, "add", "+33166500001").stderr
    assert run(config, "add", "--list", "robots", "+33166500002").exit_code == 0


def test_an_allowed_number_runs_against_no_exception(config: Path) -> None:
    assert run(config, "add", "--list", "partners", "+33164500000").exit_code == 0


def test_what_a_confirmed_change_covered_is_kept_and_shown(config: Path) -> None:
    run(config, "add", "--confirm", "+33165000000")
    covered = "the exception +33165000000 of 'partners' (policy.yaml:6) still beats it"
    heading, line = run(config, "undo").stdout.splitlines()
    assert heading.endswith("  covered")
    assert line.endswith(covered)
    assert [item["covered"] for item in json.loads(run(config, "undo", "--json").stdout)] == [
        covered
    ]


def test_everything_that_is_to_be_confirmed_is_told_at_once(config: Path) -> None:
    result = run(config, "add", "+33199000000", "+33162000000", "+33165000000")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: +33199000000: it covers +33199000000, a number of the campaign 'spring-sale'; "
        "+33165000000: the exception +33165000000 of 'partners' (policy.yaml:6) still beats it: "
        "confirm it (--confirm) if that is meant\n"
    )
    assert not (config.parent / "state/entries.db").exists()


class Terminal:
    """Standard input or output that says it is a terminal."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def isatty(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def at_terminal(config: Path, typed: str, *arguments: str) -> Result:
    """What a command does whose input and standard error are a terminal."""

    class Streams:
        def __getattr__(self, name: str) -> Any:
            return Terminal(getattr(sys, name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "sys", Streams())
        return CliRunner().invoke(main, ["--config", str(config), *arguments], input=typed)


def test_on_a_terminal_a_confirmation_is_asked_for(config: Path) -> None:
    given = at_terminal(config, "y\n", "add", "+33199000000")
    assert given.exit_code == 0
    assert "+33199000000: it covers +33199000000, a number of the campaign" in given.stderr
    assert "Add it all the same? [y/N]" in given.stderr
    assert given.stdout.endswith("added +33199000000 to blacklist\n")


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_nothing_is_added_without_a_yes(config: Path, typed: str) -> None:
    refused = at_terminal(config, typed, "add", "+33199000000")
    assert refused.exit_code == 1
    assert not (config.parent / "state/entries.db").exists()


@pytest.mark.parametrize("option", ["--json", "--no-input"])
def test_a_program_is_asked_nothing(config: Path, option: str) -> None:
    refused = at_terminal(config, "y\n", "add", option, "+33199000000")
    assert refused.exit_code == 1
    assert "Add it" not in refused.stderr
    assert "confirm it (--confirm)" in refused.stderr


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("+33162000000", "+33162000000 is in robots: name it with --list robots\n"),
        ("+33164000000", "+33164000000 is in nuisance, at policy.yaml:4: remove it there\n"),
        ("+33163000000", "+33163* of nuisance, at policy.yaml:4, covers it\n"),
    ],
)
def test_removing_what_is_elsewhere_says_where_it_is(config: Path, number: str, told: str) -> None:
    run(config, "add", "--list", "robots", "+33162000000")
    result = run(config, "remove", number)
    assert result.exit_code == 1
    assert result.stderr.endswith(told)


def test_a_faulty_policy_is_no_hindrance_to_say_where_an_entry_is(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, "add", "--list", "robots", "+33162000000")
    (config.parent / "policy.yaml").write_text("lists: 7\n")
    gateway = Gateway(removed="absent")
    monkeypatch.setattr(Environment, "gateway", lambda _: gateway)
    result = run(config, "remove", "+33162000000")
    assert result.stderr.endswith("+33162000000 is in robots: name it with --list robots\n")


def test_an_undone_change_is_taken_back_and_can_be_undone_itself(config: Path) -> None:
    run(config, "add", "+33162000000", "--reason", "robot")
    run(config, "remove", "+33162000000")
    undone = run(config, "undo", "2")
    assert (undone.exit_code, undone.stdout) == (0, "undone: change 2, by change 3\n")
    assert undone.stderr == UNATTENDED
    assert only(config).reason == "robot"
    assert json.loads(run(config, "undo", "3", "--json").stdout)["status"] == "undone"


@pytest.mark.parametrize(
    ("added", "rev", "told"),
    [
        (False, "1", "error: there is no change 1\n"),
        (True, "7", "error: there is no change 7\n"),
        (True, "1", "error: change 1 cannot be undone: its entry was changed after it\n"),
    ],
)
def test_what_cannot_be_undone_is_explained(config: Path, added: bool, rev: str, told: str) -> None:
    if added:
        run(config, "add", "+33162000000")
        run(config, "edit", "+33162000000", "--reason", "robot")
    result = run(config, "undo", rev)
    assert (result.exit_code, result.stderr) == (1, told)


def test_the_changes_that_can_be_undone_are_listed_newest_first(config: Path) -> None:
    assert run(config, "undo").stderr == "no changes of managed entries\n"
    run(config, "add", "+33162000000", "--reason", "robot")
    run(config, "undo", "1")
    lines = [line.split() for line in run(config, "undo").stdout.splitlines()]
    columns = "rev change entry list reason expires who when covered"
    assert lines[0] == columns.split()
    assert lines[1][:5] == ["2", "undo", "1", "+33162000000", "blacklist"]
    assert lines[2][:6] == ["1", "add", "+33162000000", "blacklist", "robot", "alice"]
    assert [item["rev"] for item in json.loads(run(config, "undo", "--json").stdout)] == [2, 1]


def test_a_running_gateway_edits_and_undoes(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway()
    monkeypatch.setattr(Environment, "gateway", lambda _: gateway)
    edited = run(config, "edit", "+33162000000", "--reason", "robot")
    assert edited.stdout == "edited +33162000000 in blacklist\n"
    asked = Asked(number="+33162000000", reason="robot", expires=None)
    assert gateway.asked == [("edited", [asked])]
    undone = run(config, "undo", "4")
    assert (undone.stdout, gateway.undone) == ("undone: change 4, by change 9\n", 4)
    assert undone.stderr == "warning: doubtful\n"
