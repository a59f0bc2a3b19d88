"""``callgate attempts``: lists, filters, prints JSON and CSV, and harms no reader."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.attempts.export import FIELDS
from gateway.attempts.model import Attempt, Shadow
from gateway.attempts.store import AttemptStore
from gateway.cli import main

NOON = 1_700_000_000.0


def attempt(number: int, **rest: object) -> Attempt:
    facts: dict[str, object] = {
        "id": f"id-{number:06}",
        "at": NOON + number,
        "direction": "inbound",
        "verdict": "block",
        "reason": "list",
        "revision": "0123456789ab+0",
        "caller": f"016200000{number}",
        "caller_e164": f"+3316200000{number}",
        "callee_e164": "+33140000000",
        "list": "nuisance",
        "entry": "+33162",
        "response": 603,
        "delivery": "confirmed",
    }
    return Attempt(**{**facts, **rest})  # type: ignore[arg-type]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "callgate.yaml").write_text("state: state\n")
    (tmp_path / "policy.yaml").write_text("numbering: {region: FR}\n")
    (tmp_path / "state").mkdir()
    return tmp_path / "callgate.yaml"


def fill(config: Path, *attempts: Attempt) -> None:
    store = AttemptStore(config.parent / "state/attempts.db")
    store.add(attempts, [])
    store.close()


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(config), "attempts", *arguments])


def ids(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [json.loads(line)["id"] for line in result.stdout.splitlines()]


def test_before_the_first_call_it_says_so_and_is_no_error(config: Path) -> None:
    result = run(config)
    assert result.exit_code == 0
    assert result.output == "no attempts yet: no call was screened here\n"


def test_the_table_has_the_newest_call_first(config: Path) -> None:
    fill(config, attempt(1), attempt(2))
    lines = run(config).output.splitlines()
    assert lines[0].split() == [
        *("time", "direction", "caller", "callee", "verdict"),
        *("reason", "list", "entry", "sip", "delivery", "id"),
    ]
    assert "+33162000002" in lines[1]
    assert "+33162000001" in lines[2]
    assert lines[1].endswith(
        "+33140000000  block    list    nuisance  +33162  603  confirmed  id-000002"
    )


@pytest.mark.parametrize("width", [0, 40, 80, 140, 200])
def test_what_was_found_by_its_number_is_told_whole_by_the_id_shown(
    config: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr("gateway.cli.output.terminal_width", lambda: width)
    long = "0mws1vlop-0towwdvvrvey-0-005u"
    fill(config, attempt(1), attempt(2, id=long))
    shown = run(config, "--number", "+33162000002").stdout.split()
    assert shown[-1] == long
    told = run(config, "--id", shown[-1])
    assert told.exit_code == 0
    assert "the caller '0162000002' reads as +33162000002" in told.stdout


def test_json_is_one_object_a_line_with_every_field(config: Path) -> None:
    fill(config, attempt(1, shadow=Shadow(verdict="allow", reason="default")))
    found = json.loads(run(config, "--json").output)
    assert tuple(found) == FIELDS
    assert found["time"] == "2023-11-14T22:13:21.000Z"
    assert found["shadow"]["verdict"] == "allow"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--number", "+33 1 99-00.00 (00)"),
        ("--prefix", "+33199"),
        ("--campaign", "spring-sale"),
        ("--direction", "outbound"),
        ("--verdict", "allow"),
        ("--reason", "default"),
        ("--list", "partners"),
        ("--since", "2023-11-15T00:00"),
    ],
)
def test_each_filter_finds_the_call_it_asks_for(config: Path, option: str, value: str) -> None:
    wanted = attempt(
        2,
        at=NOON + 86_400 * 2,
        caller_e164="+33199000000",
        campaign="spring-sale",
        direction="outbound",
        verdict="allow",
        reason="default",
        list="partners",
    )
    fill(config, attempt(1), wanted, attempt(3))
    assert ids(run(config, "--json", option, value)) == ["id-000002"]


@pytest.mark.parametrize("prefix", ["+33199", "0199", "01 99*", "0033199"])
def test_a_prefix_is_read_as_the_policy_reads_it(config: Path, prefix: str) -> None:
    fill(config, attempt(1), attempt(2, caller_e164="+33199000000"))
    assert ids(run(config, "--json", "--prefix", prefix)) == ["id-000002"]


def test_a_prefix_with_a_plus_waits_for_no_policy(config: Path) -> None:
    (config.parent / "policy.yaml").unlink()
    fill(config, attempt(1))
    assert ids(run(config, "--json", "--prefix", "+33162")) == ["id-000001"]


@pytest.mark.parametrize("format", [(), ("--json",), ("--csv",)])
def test_what_the_limit_left_out_is_hinted_at(config: Path, format: tuple[str, ...]) -> None:
    fill(config, attempt(1), attempt(2))
    cut = run(config, *format, "--limit", "1")
    assert cut.stderr == "these are the newest 1: --limit 0 gives all\n"
    assert run(config, *format, "--limit", "2").stderr == ""
    assert run(config, *format, "--limit", "0").stderr == ""


def test_until_ends_the_search(config: Path) -> None:
    fill(config, attempt(1), attempt(2, at=NOON + 86_400 * 2))
    assert ids(run(config, "--json", "--until", "2023-11-15T12:00")) == ["id-000001"]


def test_the_limit_counts_the_newest_and_0_is_all_pages(config: Path) -> None:
    fill(config, *[attempt(number, caller_e164="+33162000000") for number in range(1200)])
    assert ids(run(config, "--json", "--limit", "2")) == ["id-001199", "id-001198"]
    assert len(ids(run(config, "--json"))) == 50
    assert len(ids(run(config, "--json", "--limit", "0"))) == 1200
    assert len(ids(run(config, "--json", "--limit", "700"))) == 700


def test_csv_has_a_header_and_every_field(config: Path) -> None:
    fill(config, attempt(1))
    (row,) = csv.DictReader(io.StringIO(run(config, "--csv").output))
    assert tuple(row) == FIELDS
    assert row["time"] == "2023-11-14T22:13:21.000Z"
    assert row["caller_e164"] == "+33162000001"


@pytest.mark.parametrize("raw", ["\x1b]0;owned\x07", "\x9b2J", "\u202e0"])
def test_a_callers_number_does_not_run_on_a_terminal(config: Path, raw: str) -> None:
    fill(config, attempt(1, caller=raw, caller_e164=""))
    for format in ((), ("--json",), ("--csv",)):
        result = run(config, *format)
        assert result.exit_code == 0
        assert raw[0] not in result.output
    assert json.loads(run(config, "--json").output)["caller"] == raw


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "\uff1d1+1", "\t=1"])
def test_a_callers_name_does_not_run_in_a_spreadsheet(config: Path, name: str) -> None:
    fill(config, attempt(1, caller_name=name))
    (row,) = csv.DictReader(io.StringIO(run(config, "--csv").output))
    assert row["caller_name"] in (f"'{name}", "?=1")


def test_nothing_found_is_said(config: Path) -> None:
    fill(config, attempt(1))
    result = run(config, "--list", "nowhere")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no attempts match\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reason", "bogus"), "no reason is 'bogus'; the reasons are emergency, "),
        (("--csv", "--json"), "--csv and --json exclude each other."),
        (("--prefix", "+33x"), "+33x"),
        (("--prefix", "33162"), "write +33162"),
        (
            ("--since", "yesterday"),
            "'yesterday' is neither a time such as",
        ),
    ],
)
def test_wrong_usage_exits_with_2(config: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(config, *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_following_shows_the_last_calls_oldest_first_and_then_what_arrives(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(config, attempt(1), attempt(2))
    arriving = [attempt(3)]

    def pause(seconds: float) -> None:
        del seconds
        if not arriving:
            raise KeyboardInterrupt
        fill(config, arriving.pop())

    monkeypatch.setattr("gateway.cli.attempts.time.sleep", pause)
    result = run(config, "--json", "--follow")
    shown = [json.loads(line)["id"] for line in result.output.splitlines() if line[:1] == "{"]
    assert shown == ["id-000001", "id-000002", "id-000003"]
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"reason": "config", "trunk": "main"}, "config: trunk main"),
        ({"reason": "config", "campaign": "spring"}, "config: campaign spring"),
        ({"reason": "hostile", "note": "bad \x1b"}, "hostile: bad ?"),
        ({"reason": "unauthorised"}, "unauthorised"),
        ({"reason": "default", "trunk": "main", "note": "no"}, "default"),
    ],
)
def test_the_table_says_what_a_reason_alone_leaves_open(
    config: Path, facts: dict[str, object], told: str
) -> None:
    fill(config, attempt(1, **facts, list="", entry=""))
    line = run(config).stdout.splitlines()[1]
    assert [cell for cell in re.split(" {2,}", line) if cell][5] == told


def test_following_on_a_narrow_terminal_gives_a_block_for_each_attempt(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        del seconds
        raise KeyboardInterrupt

    fill(config, attempt(1))
    monkeypatch.setattr("gateway.cli.attempts.time.sleep", interrupted)
    monkeypatch.setattr("gateway.cli.attemptrows.terminal_width", lambda: 80)
    first, second = run(config, "--follow").stdout.splitlines()
    assert first.endswith(" block inbound +33162000001 → +33140000000")
    assert second == "    list, list nuisance, entry +33162, SIP 603, confirmed, id id-000001"
    monkeypatch.setattr("gateway.cli.attemptrows.terminal_width", lambda: 166)
    assert run(config, "--follow").stdout.startswith("time ")


def test_one_attempt_is_told_whole(config: Path) -> None:
    shadow = Shadow(verdict="allow", reason="default")
    facts = {"trunk": "main", "note": "robot \x1b", "origin": "policy.yaml:4", "shadow": shadow}
    fill(config, attempt(1, **facts, unknown_scope=True), attempt(2))
    result = run(config, "--id", "id-000001")
    assert result.exit_code == 0
    facts_told, steps, again = result.stdout.split("\n\n")
    assert re.search(r"^  time +2023-11-14T22:13:21.000Z$", facts_told, re.MULTILINE)
    assert re.search(r"^  trunk +main$", facts_told, re.MULTILINE)
    assert steps.splitlines() == [
        " 1. policy revision 0123456789ab+0; the call is inbound",
        " 2. trunk main, campaign none: the policy lacks one of them",
        " 3. the caller '0162000001' reads as +33162000001",
        " 4. the callee '' reads as +33140000000",
        " 5. block, reason list, SIP 603, list nuisance entry +33162, "
        "written at policy.yaml:4, note: robot ?",
        " 6. with shadow lists enforced, would have been: allow, reason default",
        " 7. the answer was confirmed",
    ]
    assert again == (
        "under the policy of today: callgate explain --direction=inbound --caller=0162000001 "
        "--callee= --trunk=main\n"
    )


def test_the_explain_of_one_attempt_is_a_command_that_runs(config: Path) -> None:
    fill(config, attempt(1, caller="a b'$(c)", caller_e164="", presentation="restricted"))
    shown = run(config, "--id", "id-000001").stdout.splitlines()[-1]
    command = shlex.split(shown.removeprefix("under the policy of today: callgate "))
    result = CliRunner().invoke(main, ["--config", str(config), *command])
    assert (result.exit_code, 'the caller "a b\'$(c)" reads as' in result.stdout) == (0, True)


def test_one_attempt_as_json_is_its_record(config: Path) -> None:
    fill(config, attempt(1), attempt(2))
    assert ids(run(config, "--json", "--id", "id-000001")) == ["id-000001"]


@pytest.mark.parametrize("filled", [True, False])
def test_an_attempt_that_is_not_there_exits_with_1(config: Path, filled: bool) -> None:
    if filled:
        fill(config, attempt(1))
    result = run(config, "--id", "nobody")
    assert result.exit_code == 1
    assert result.stderr == "error: there is no attempt 'nobody' in the store\n"
