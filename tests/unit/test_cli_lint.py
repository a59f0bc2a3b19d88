"""``callgate lint``: findings with their places, and exit codes for continuous integration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "policy.yaml"


def lint(policy: Path, text: str, *arguments: str) -> Result:
    policy.write_text(text)
    return CliRunner().invoke(main, ["lint", "--policy", str(policy), *arguments])


GOOD = "lists:\n  a: {action: block, prefixes: [+33162]}\n"
SHADOWED = "lists:\n  a: {action: block, prefixes: [+33162, +331625]}\n"
WIDE = "lists:\n  a: {action: block, prefixes: [+33]}\n"


def test_a_policy_without_findings_is_counted_and_exits_with_0(policy: Path) -> None:
    result = lint(policy, GOOD)
    assert result.exit_code == 0
    assert result.output == "policy.yaml: 2 lists, 1 entry, nothing to remark\n"


def test_a_note_is_told_and_only_strict_fails_for_it(policy: Path) -> None:
    result = lint(policy, SHADOWED)
    assert result.exit_code == 0
    assert result.output.startswith("policy.yaml:2: note: +331625 of 'a' is covered by +33162 ")
    assert lint(policy, SHADOWED, "--strict").exit_code == 1


def test_a_warning_exits_with_1(policy: Path) -> None:
    result = lint(policy, WIDE)
    assert result.exit_code == 1
    assert "warning: +33 of 'a' covers all of +33 (FR)" in result.output


def test_a_policy_that_does_not_load_exits_with_2(policy: Path) -> None:
    result = lint(policy, "lists: {a: {action: block, prefixes: ['33']}}\n")
    assert result.exit_code == 2
    assert "error: policy.yaml:1:" in result.output


def test_json_names_level_code_and_place(policy: Path) -> None:
    (finding,) = json.loads(lint(policy, WIDE, "--json").output)
    assert (finding["level"], finding["code"]) == ("warning", "swallows-country")
    assert (finding["file"], finding["line"]) == ("policy.yaml", 2)
