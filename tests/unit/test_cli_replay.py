"""``callgate replay``: what a draft changes, for people, for programs, and as an exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.attempts.model import Attempt
from gateway.attempts.store import AttemptStore
from gateway.cli import main
from gateway.cli.replay import _progress
from gateway.entries import EntryStore
from gateway.entries.model import NewChange, Op
from gateway.policy.model import EntryKind
from tests.support.attempts import make_attempt

NOON = 1_700_000_000.0
SINCE = "2023-11-14T00:00+00:00"
UNTIL = "2023-11-16T00:00+00:00"
POLICY = """\
numbering: {region: FR}
lists:
  nuisance:
    action: block
    prefixes: [+33162]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "callgate.yaml").write_text("state: state\n")
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "state").mkdir()
    return tmp_path / "callgate.yaml"


def attempt(number: int, caller: str = "+33162000001", **rest: Any) -> Attempt:
    facts = {"caller": caller, "caller_e164": caller, "response": 603}
    return make_attempt(f"id-{number}", NOON + number, **{**facts, **rest})


ALLOWED: dict[str, Any] = {
    **{"verdict": "allow", "reason": "default", "list": "", "entry": "", "response": 0}
}


def fill(config: Path, *attempts: Attempt) -> None:
    store = AttemptStore(config.parent / "state/attempts.db")
    store.add(attempts, [])
    store.close()


def manage(config: Path, digits: str) -> None:
    store = EntryStore(config.parent / "state/entries.db")
    change = NewChange(op=Op.ADD, who="ana", source="cli", kind=EntryKind.PREFIX, digits=digits)
    store.apply_all([change])
    store.close()


def draft(config: Path, text: str) -> Path:
    path = config.parent / "draft.yaml"
    path.write_text(text)
    return path


def run(config: Path, policy: Path, *options: str, since: str = SINCE) -> Result:
    span = ["--since", since, "--until", UNTIL] if since else []
    arguments = ["--config", str(config), "replay", "--policy", str(policy), *span, *options]
    return CliRunner().invoke(main, arguments)


def told(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_draft_that_changes_nothing_exits_with_0(config: Path) -> None:
    fill(config, attempt(1), attempt(2, "+33140000001", **ALLOWED))
    result = run(config, draft(config, POLICY + "# the same\n"))
    assert (result.exit_code, result.stdout) == (0, "2 calls replayed: no difference\n")


def test_differences_are_a_table_by_what_decides_them_and_exit_with_1(config: Path) -> None:
    fill(
        config,
        attempt(1),
        attempt(2, "+33163000001", **ALLOWED),
        attempt(3, "+33163000002", **ALLOWED),
    )
    result = run(config, draft(config, POLICY.replace("33162", "33163")))
    assert result.exit_code == 1
    header, first, second, gap, summary = result.stdout.splitlines()
    assert header.split() == [
        *("change", "calls", "numbers", "reason", "list", "entry", "written", "example")
    ]
    assert first.split()[:7] == [
        *("blocked", "2", "2", "list", "nuisance", "+33163", "draft.yaml:5")
    ]
    assert second.split()[:7] == [
        *("allowed", "1", "1", "list", "nuisance", "+33162", "policy.yaml:5")
    ]
    assert second.endswith("inbound +33162000001 → +33140000000")
    assert (gap, summary) == ("", "3 calls replayed: 2 newly blocked, 1 newly allowed")


def test_json_has_every_group(config: Path) -> None:
    fill(config, attempt(1), attempt(2, reason="hostile"))
    found = told(run(config, draft(config, "numbering: {region: FR}\n"), "--json"))
    assert found["newly_allowed"] == 1
    assert found["left_out"] == 1
    [group] = found["groups"]
    assert (group["change"], group["calls"], group["numbers"]) == ("allowed", 1, 1)
    assert (group["list"], group["entry"], group["kind"]) == ("nuisance", "+33162", "prefix")
    assert (group["directions"], group["responses"]) == ({"inbound": 1}, {"0": 1})
    assert group["examples"][0]["attempt"] == "id-1"
    assert group["examples"][0]["caller"] == "+33162000001"


def test_what_was_decided_then_can_be_the_measure(config: Path) -> None:
    fill(config, attempt(1, **ALLOWED))
    same = draft(config, POLICY)
    assert run(config, same).exit_code == 0
    result = run(config, same, "--against", "recorded")
    assert result.exit_code == 1
    assert "1 newly blocked" in result.stdout
    assert told(run(config, same, "--against", "recorded", "--json"))["against"] == "recorded"


def test_only_calls_of_the_span_and_of_the_campaign_are_replayed(config: Path) -> None:
    fill(config, attempt(1, campaign="spring"), attempt(2), attempt(200_000))
    same = draft(config, POLICY)
    assert told(run(config, same, "--json"))["replayed"] == 2
    assert told(run(config, same, "--json", "--campaign", "spring"))["replayed"] == 1
    assert told(run(config, same, "--json", since=""))["replayed"] == 0


def test_managed_entries_count_in_the_draft_unless_they_are_left_out(config: Path) -> None:
    manage(config, "33140")
    fill(config, attempt(1, "+33140000001"))
    assert run(config, draft(config, POLICY)).exit_code == 0
    result = run(config, draft(config, POLICY), "--without-managed")
    assert result.exit_code == 1
    assert "1 newly allowed" in result.stdout
    moved = POLICY.replace("+33162", "+33162, +33140")
    assert run(config, draft(config, moved), "--without-managed").exit_code == 0


def test_another_response_is_told_and_is_a_difference_when_asked(config: Path) -> None:
    fill(config, attempt(1))
    busy = draft(config, POLICY + "    response: 486\n")
    result = run(config, busy)
    assert result.exit_code == 0
    assert result.stdout == "1 call replayed: 1 with another response\n"
    result = run(config, busy, "--responses")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].split()[:3] == ["response", "1", "1"]


def test_the_faults_of_a_draft_are_told_with_their_place_and_exit_with_2(config: Path) -> None:
    result = run(config, draft(config, POLICY.replace("block", "blok").replace("+33162", "x")))
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert "draft.yaml:4:" in lines[0]
    assert "draft.yaml:5:" in lines[1]


def test_a_policy_in_force_that_cannot_be_loaded_exits_with_2(config: Path) -> None:
    (config.parent / "policy.yaml").write_text("lists: 7\n")
    assert run(config, draft(config, POLICY)).exit_code == 2
    assert run(config, draft(config, POLICY), "--against", "recorded").exit_code == 0


def test_a_store_that_cannot_be_read_is_an_error_and_no_difference(config: Path) -> None:
    (config.parent / "state/attempts.db").write_bytes(b"no database" * 100)
    result = run(config, draft(config, POLICY))
    assert result.exit_code == 2
    assert "attempts.db" in result.stderr


def test_before_the_first_call_there_is_no_difference_and_it_says_so(config: Path) -> None:
    result = run(config, draft(config, POLICY))
    assert result.exit_code == 0
    assert "no attempts yet" in result.stderr


def test_a_span_that_ends_before_it_begins_is_wrong_usage(config: Path) -> None:
    result = run(config, draft(config, POLICY), since="2024-01-01T00:00+00:00")
    assert result.exit_code == 2
    assert "--since is not before --until" in result.stderr


def test_what_callers_wrote_is_harmless_on_a_terminal(config: Path) -> None:
    fill(config, attempt(1, "\x1b[2Jx", caller_e164=""))
    blocking = POLICY + "  impossible:\n    action: block\n    match: {invalid: true}\n"
    result = run(config, draft(config, blocking))
    assert result.exit_code == 1
    assert "\x1b" not in result.output


def test_many_groups_are_cut_for_people_only(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.replay.SHOWN", 2)
    numbers = [f"+3314000000{n}" for n in range(5)]
    fill(config, *[attempt(n, number, **ALLOWED) for n, number in enumerate(numbers)])
    blocking = draft(config, POLICY + f"    numbers: [{', '.join(numbers)}]\n")
    result = run(config, blocking)
    assert "and 3 more groups: --json gives all" in result.stdout
    assert len(told(run(config, blocking, "--json"))["groups"]) == 5


def test_uncertain_campaigns_are_told(config: Path) -> None:
    campaigns = "campaigns:\n  {}:\n    dids: [+33199000000]\n"
    (config.parent / "policy.yaml").write_text(POLICY + campaigns.format("spring"))
    called = {"callee": "+33199000000", "callee_e164": "+33199000000", "campaign": "spring"}
    outward = {
        "caller": called["callee"],
        "caller_e164": called["callee"],
        "callee": "+33140000001",
    }
    outward |= {"callee_e164": "+33140000001", "campaign": "spring", "direction": "outbound"}
    fill(config, attempt(1, "+33140000001", **ALLOWED | called))
    fill(config, make_attempt("out", NOON, **ALLOWED | outward))
    result = run(config, draft(config, POLICY + campaigns.format("summer")))
    assert result.exit_code == 1
    assert "1 newly blocked" in result.stdout
    assert "1 of these may be none: whether the dialplan named the campaign" in result.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with _progress(lambda: 1_234) as progress:
        assert progress is not None
        progress(1_000)
        progress(1_234)
    assert "1234/1234" in terminal.getvalue()


def test_nothing_but_a_terminal_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with _progress(lambda: 1) as progress:
        assert progress is None
