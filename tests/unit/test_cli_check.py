"""``callgate check`` and ``explain``: output that scripts and people can rely on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli.environment import Environment
from gateway.entries import NewChange, Op
from gateway.errors import ControlError
from gateway.policy.generation import Generation, save_generation
from gateway.policy.model import Policy

POLICY = """
timezone: Europe/Paris
numbering:
  region: FR
  trunks:
    us: {region: US, format: national}
lists:
  nuisance:
    action: block
    prefixes: [+33162]
    numbers:
      - {number: +33987654321, reason: complaint, expires: 2027-01-31}
  partners:
    action: allow
    prefixes: [+3316255]
  premium:
    action: block
    direction: outbound
    mode: shadow
    prefixes: [+33899]
"""


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path / "policy.yaml"


@pytest.fixture
def config(tmp_path: Path, policy: Path) -> Path:
    assert policy.exists()
    (tmp_path / "callgate.yaml").write_text("state: state\n")
    return tmp_path / "callgate.yaml"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def asked(policy: Path, *arguments: str) -> dict[str, Any]:
    result = run("check", "--policy", str(policy), "--json", *arguments)
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.output)
    return answer


def test_a_blocked_number_is_told_with_the_entry_that_blocks_it(policy: Path) -> None:
    result = run("check", "--policy", str(policy), "+33162000000")
    assert result.exit_code == 0
    assert result.output == (
        "block +33162000000\n"
        "  reason    list\n"
        "  list      nuisance\n"
        "  entry     +33162 (prefix, policy.yaml:10)\n"
        "  response  603\n"
    )


def test_an_allowed_number_is_told_with_the_reason(policy: Path) -> None:
    result = run("check", "--policy", str(policy), "+33140000000")
    assert result.output == "allow +33140000000\n  reason  default\n"


def test_the_json_has_what_scripts_were_promised(policy: Path) -> None:
    answer = asked(policy, "0033 1 62 00 00 00")
    assert answer["verdict"] == "block"
    assert answer["reason"] == "list"
    assert answer["list"] == "nuisance"
    assert answer["entry"] == "+33162"
    assert answer["number"] == "+33162000000"
    assert answer["response"] == 603
    assert answer["shadow"] is None


def test_the_number_is_the_callee_of_an_outbound_call(policy: Path) -> None:
    answer = asked(policy, "--direction", "outbound", "0162000000")
    assert (answer["verdict"], answer["response"], answer["party"]) == ("block", 403, "callee")


def test_a_shadow_verdict_is_told_apart(policy: Path) -> None:
    answer = asked(policy, "--direction", "outbound", "0899000000")
    assert answer["verdict"] == "allow"
    assert answer["shadow"]["verdict"] == "block"
    result = run("check", "--policy", str(policy), "--direction", "outbound", "0899000000")
    assert "with shadow lists enforced: block\n" in result.output


def test_a_trunk_changes_how_the_number_is_read(policy: Path) -> None:
    assert asked(policy, "--trunk", "us", "2015550123")["number"] == "+12015550123"


def test_the_time_of_the_call_is_read_in_the_time_zone_of_the_policy(policy: Path) -> None:
    before = asked(policy, "--at", "2027-01-31T23:59", "+33987654321")
    after = asked(policy, "--at", "2027-02-01T00:00", "+33987654321")
    elsewhere = asked(policy, "--at", "2027-01-31T23:00+00:00", "+33987654321")
    assert (before["verdict"], before["note"]) == ("block", "complaint")
    assert after["verdict"] == "allow"
    assert elsewhere["verdict"] == "allow"


@pytest.mark.parametrize(("expect", "code"), [("block", 0), ("allow", 1)])
def test_an_expectation_sets_the_exit_code(policy: Path, expect: str, code: int) -> None:
    result = run("check", "--policy", str(policy), "--expect", expect, "+33162000000")
    assert result.exit_code == code
    assert ("expected allow, got block" in result.output) is bool(code)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which number? Give NUMBER or --caller."),
        (("--direction", "outbound"), "which number? Give NUMBER or --callee."),
        (("--caller", "+331", "+332"), "NUMBER is the caller of an inbound call"),
        (
            ("--at", "tomorrow", "+331"),
            "'tomorrow' is neither a time such as",
        ),
        (("--direction", "sideways", "+331"), "'sideways' is not one of"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_why(
    policy: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run("check", "--policy", str(policy), *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_every_fault_of_a_policy_is_told_and_the_exit_code_is_2(policy: Path) -> None:
    policy.write_text("lists:\n  a: {action: blok, numbers: []}\n  b: {acton: block}\n")
    result = run("check", "--policy", str(policy), "+331")
    assert result.exit_code == 2
    faults = [line for line in result.output.splitlines() if line.startswith("error: policy.yaml:")]
    assert len(faults) >= 2


def test_the_configured_policy_is_read_with_its_managed_entries(config: Path) -> None:
    from gateway.entries import EntryStore

    (config.parent / "state").mkdir()
    store = EntryStore(config.parent / "state/entries.db")
    store.apply(NewChange(op=Op.ADD, who="test", source="cli", digits="33140000000"))
    store.close()
    result = run("--config", str(config), "check", "--json", "+33140000000")
    answer = json.loads(result.output)
    assert (answer["verdict"], answer["list"]) == ("block", "blacklist")
    assert answer["revision"].endswith("+1")


def test_settings_that_are_not_there_are_an_error_of_configuration(tmp_path: Path) -> None:
    result = run("--config", str(tmp_path / "no.yaml"), "check", "+331")
    assert result.exit_code == 2
    assert "no.yaml: cannot be read: No such file or directory" in result.output


def test_explain_tells_the_steps_and_ends_with_the_verdict(policy: Path) -> None:
    result = run("explain", "--policy", str(policy), "+33162550001")
    assert result.exit_code == 0
    steps = result.output.splitlines()
    assert steps[0].startswith(" 1. policy revision ")
    assert "list partners (policy.yaml:15): allow" in result.output
    assert "allow, reason list" in steps[-1]


@pytest.mark.parametrize(
    ("named", "step"),
    [
        ((), "trunk none, campaign none"),
        (("--trunk", "us"), "trunk us, campaign none"),
        (
            ("--trunk", "main"),
            "trunk 'main' (the policy lacks it), campaign none; "
            "only lists for every trunk and campaign apply",
        ),
        (
            ("--trunk", "us", "--campaign", "sale"),
            "trunk us, campaign 'sale' (the policy lacks it); "
            "only lists for every trunk and campaign apply",
        ),
    ],
)
def test_explain_names_the_trunk_that_the_policy_lacks(
    policy: Path, named: tuple[str, ...], step: str
) -> None:
    result = run("explain", "--policy", str(policy), *named, "+33162550001")
    assert result.output.splitlines()[1] == f" 2. {step}"


def test_explain_as_json_is_the_verdict_with_its_steps(policy: Path) -> None:
    result = run("explain", "--policy", str(policy), "--json", "+33162550001")
    answer = json.loads(result.output)
    assert answer["verdict"] == "allow"
    assert len(answer["steps"]) > 3


def test_what_a_caller_wrote_cannot_run_on_the_terminal(policy: Path) -> None:
    result = run("check", "--policy", str(policy), "\x1b[31mred")
    assert "\x1b" not in result.output


class Running:
    """A running gateway that says of its policy what it was made with."""

    def __init__(self, **policy: str) -> None:
        self.policy = policy

    def status(self, *, timeout: float) -> dict[str, Any]:
        assert timeout <= 1
        if not self.policy:
            raise ControlError("it does not answer")
        return {"policy": self.policy}


@pytest.mark.parametrize("command", ["check", "explain"])
@pytest.mark.parametrize(
    ("gateway", "warning"),
    [
        (
            Running(degraded="the last reload failed", revision="abc+1"),
            "warning: the gateway runs another policy, abc+1; {} answers here: "
            "the last reload failed\n",
        ),
        (
            Running(degraded="", revision="abc+1"),
            "warning: the gateway runs another policy, abc+1; {} answers here\n",
        ),
        (Running(degraded="", revision="{}"), ""),
        (Running(), ""),
        (None, ""),
    ],
)
def test_that_a_gateway_runs_another_policy_is_said(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    gateway: Running | None,
    warning: str,
) -> None:
    revision = Environment(config).load().policy.revision
    if gateway and gateway.policy:
        gateway = Running(**{key: text.format(revision) for key, text in gateway.policy.items()})
    monkeypatch.setattr(Environment, "gateway", lambda _: gateway)
    result = run("--config", str(config), command, "+33162000000")
    assert (result.exit_code, result.stderr) == (0, warning.format(revision))


@pytest.fixture
def kept(config: Path) -> Policy:
    """The last good policy, beside one that does not load and an entry that came after."""
    policy = Environment(config).load().policy
    folder = config.parent / "state/last-good/1"
    folder.mkdir(parents=True)
    save_generation(Generation(policy=policy, written={}, totals={}), folder)
    (folder.parent / "current").symlink_to("1")
    with Environment(config).entries(create=True) as store:
        assert store
        store.apply(NewChange(op=Op.ADD, who="test", source="cli", digits="33140000000"))
    (config.parent / "policy.yaml").write_text("lists: {a: {acton: block}}\n")
    return policy


def test_a_policy_that_does_not_load_leaves_the_answer_to_the_last_good_one(
    config: Path, kept: Policy
) -> None:
    revision = f"{kept.revision.partition('+')[0]}+1"
    result = run("--config", str(config), "check", "+33162000000", "--expect", "block")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "block +33162000000")
    assert "policy.yaml:1:" in result.stderr
    assert result.stderr.endswith(
        f"warning: the configured policy cannot be loaded; the last good one, {revision}, answers\n"
    )
    added = run("--config", str(config), "explain", "--json", "+33140000000")
    answer = json.loads(added.stdout)
    assert (answer["list"], answer["policy"]) == ("blacklist", "last-good")
    assert answer["revision"] == revision


def test_without_a_last_good_policy_the_faults_are_the_answer(config: Path, kept: Policy) -> None:
    assert kept
    shutil.rmtree(config.parent / "state/last-good")
    result = run("--config", str(config), "check", "+33162000000")
    assert result.exit_code == 2
    assert "error: policy.yaml:1:" in result.output


def test_a_state_folder_that_is_closed_to_this_user_says_as_whom_to_ask(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if path.name == "entries.db":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    result = run("--config", str(config), "check", "+33162000000")
    assert result.exit_code == 1
    assert "entries.db: Permission denied; run this as the user of the gateway" in result.output


def test_the_json_says_which_policy_answered(config: Path, policy: Path) -> None:
    configured = run("--config", str(config), "check", "--json", "+331")
    assert json.loads(configured.stdout)["policy"] == "configured"
    assert asked(policy, "+33140000000")["policy"] == "draft"


@pytest.mark.parametrize(
    ("emergency_at", "verdict"),
    [
        ("2027-01-31T17:31", "allow"),
        ("2027-01-31T17:29", "block"),
        ("2027-01-31T16:31+00:00", "allow"),
    ],
)
def test_an_emergency_call_before_lets_the_call_back_in(
    policy: Path, emergency_at: str, verdict: str
) -> None:
    answer = asked(
        policy, "--at", "2027-01-31T18:00", "--emergency-at", emergency_at, "+33162000000"
    )
    assert answer["verdict"] == verdict
    assert (answer["reason"] == "emergency_callback") is (verdict == "allow")
