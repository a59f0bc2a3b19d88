"""``callgate attempts``: lists, filters, prints JSON and CSV, and harms no reader."""

from __future__ import annotations

import csv
import io
import json
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
    return [json.loads(line)["id"] for line in result.output.splitlines()]


def test_before_the_first_call_it_says_so_and_is_no_error(config: Path) -> None:
    result = run(config)
    assert result.exit_code == 0
    assert result.output == "no attempts yet: no call was screened here\n"


def test_the_table_has_the_newest_call_first(config: Path) -> None:
    fill(config, attempt(1), attempt(2))
    lines = run(config).output.splitlines()
    assert lines[0].split() == [
        *("time", "direction", "caller", "callee", "verdict"),
        *("reason", "list", "entry", "sip", "delivery"),
    ]
    assert "+33162000002" in lines[1]
    assert "+33162000001" in lines[2]
    assert lines[1].endswith("+33140000000  block    list    nuisance  +33162  603  confirmed")


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
        (("--prefix", "33162"), "a prefix is + and digits, such as +33162"),
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
