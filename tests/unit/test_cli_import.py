"""``callgate import``: what it prints, writes and exits with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.entries import EntryStore

POLICY = """
numbering: {region: FR}
lists:
  spam: {action: block, direction: inbound, may_be_empty: true}
  friends: {action: allow, may_be_empty: true}
"""
UNATTENDED = "no gateway is running: the change is written for its next start\n"


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "callgate.yaml").write_text("state: state\n")
    return tmp_path / "callgate.yaml"


def run(config: Path, *arguments: str, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["--config", str(config), "import", *arguments], input=text)


def file(config: Path, text: str, name: str = "list.txt") -> str:
    path = config.parent / name
    path.write_text(text)
    return str(path)


@contextmanager
def entry_store(config: Path) -> Iterator[EntryStore]:
    store = EntryStore(config.parent / "state/entries.db")
    try:
        yield store
    finally:
        store.close()


def stored(config: Path) -> list[tuple[str, str]]:
    if not (config.parent / "state").is_dir():
        return []
    with entry_store(config) as store:
        return [(item.list, item.entry.text) for item in store.managed()]


def test_a_list_is_imported_and_told_in_one_line(config: Path) -> None:
    path = file(config, "# ours\n+33162000000\n+33163* # a campaign\n")
    result = run(config, path)
    assert result.exit_code == 0
    assert result.stdout == "list.txt (text): 2 rows: 2 added\n"
    assert result.stderr == UNATTENDED
    assert stored(config) == [("blacklist", "+33162000000"), ("blacklist", "+33163")]
    again = run(config, path)
    assert (again.exit_code, again.output) == (0, "list.txt (text): 2 rows: 2 already there\n")


def test_what_is_refused_is_told_with_its_line_and_makes_the_exit_code_1(config: Path) -> None:
    result = run(config, file(config, "+33162000000\nnonsense\n+33*\n"))
    assert result.exit_code == 1
    assert "3 rows: 1 added, 2 refused" in result.stdout
    assert "refused line 2: 'nonsense' is no phone number" in result.stderr
    assert "refused line 3: +33*" in result.stderr
    confirmed = run(config, file(config, "+33*\n"), "--confirm")
    assert confirmed.exit_code == 0


def test_standard_input_is_read_too(config: Path) -> None:
    result = run(config, "-", "--list", "spam", text="+33162000000\n")
    assert result.stdout == "stdin (text): 1 row: 1 added\n"
    assert stored(config) == [("spam", "+33162000000")]


def test_a_dry_run_writes_nothing(config: Path) -> None:
    result = run(config, file(config, "+33162000000\n+33162000000\n"), "--dry-run")
    assert result.exit_code == 0
    assert result.output == "list.txt (text): 2 rows: 1 would be added, 1 already there\n"
    assert not (config.parent / "state").exists()


def test_an_import_can_be_taken_back(config: Path) -> None:
    path = file(config, "+33162000000\n+33163*\n")
    run(config, path)
    result = run(config, path, "--remove")
    assert (result.exit_code, result.stdout) == (0, "list.txt (text): 2 rows: 2 removed\n")
    assert stored(config) == []


def test_json_has_every_refusal(config: Path) -> None:
    path = file(config, "+33162000000\n" + "nonsense\n" * 200)
    result = run(config, path, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["file"], told["format"], told["in_force"]) == ("list.txt", "text", False)
    assert (told["rows"], told["added"], told["refused"], told["rev"]) == (201, 1, 200, 1)
    assert len(told["refusals"]) == 200
    assert told["refusals"][0]["line"] == 2
    assert "no phone number" in told["refusals"][0]["why"]


def test_refused_rows_are_written_to_a_file_that_can_be_imported_again(config: Path) -> None:
    rejects = config.parent / "rejects.csv"
    run(config, file(config, "+33162000000\n+33*\n12\n"), "--rejects", str(rejects))
    lines = rejects.read_text().splitlines()
    assert lines[0] == "line,number,why"
    assert [line.split(",")[:2] for line in lines[1:]] == [["2", "+33*"], ["3", "12"]]
    again = run(config, str(rejects), "--confirm", "--kind", "infer")
    assert "2 rows: 1 added, 1 refused" in again.stdout


def test_rejects_that_cannot_be_written_are_an_error(config: Path) -> None:
    result = run(config, file(config, "12\n"), "--rejects", str(config.parent / "no/such.csv"))
    assert result.exit_code == 2
    assert "No such file or directory" in result.stderr


def test_only_some_refusals_are_printed(config: Path) -> None:
    result = run(config, file(config, "nonsense\n" * 15))
    assert result.stderr.count("refused line") == 10
    assert "refused: and 5 more; --rejects FILE has them all" in result.stderr


def test_skipped_rows_are_told_by_their_reason(config: Path) -> None:
    path = file(config, "number,description\n+33162000000,Robo\ndest,x\n", "blacklist.csv")
    result = run(config, path)
    assert result.exit_code == 0
    assert result.stdout == "blacklist.csv (freepbx): 2 rows: 1 added, 1 skipped\n"
    assert "skipped 1: a setting of FreePBX, no number\n" in result.stderr


def test_complaints_expire_and_that_is_said(config: Path) -> None:
    text = "Company_Phone_Number,Created_Date\n2125551234,2026-03-30 10:00:00\n"
    path = file(config, text, "dnc.csv")
    before = date.today()
    result = run(config, path, "--min-complaints", "1", "--list", "spam")
    assert "they expire after 90 days; --expires says else\n" in result.stderr
    with entry_store(config) as store:
        [entry] = store.managed()
    ends = date.fromtimestamp(entry.expires)
    assert before + timedelta(90) <= ends <= date.today() + timedelta(92)
    assert entry.list == "spam"


def test_an_expiry_can_be_days_from_today(config: Path) -> None:
    path = file(config, "+33162000000\n")
    assert run(config, path, "--expires", "30d").exit_code == 0
    with entry_store(config) as store:
        [entry] = store.managed()
    ends = date.fromtimestamp(entry.expires)
    assert date.today() + timedelta(28) <= ends <= date.today() + timedelta(32)
    assert run(config, path, "--expires", "soon").exit_code == 1
    for days in ("99999d", "2026-13-01"):
        assert run(config, path, "--expires", days).exit_code in (1, 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--list", "nowhere"], "there is no list 'nowhere'; the lists are "),
        (["--list", "SALES=nowhere"], "there is no list 'nowhere'"),
        (["--allow-list", "spam"], "list 'spam' does not allow"),
        (["--list", "friends", "--from", "freepbx"], "list 'friends' allows what FreePBX blocks"),
        (["--before", "33"], "is + or + and a country code"),
        (["--column", "tel"], "there is no column 'tel'"),
        (["--from", "csv"], "the header has no column number or prefix"),
    ],
)
def test_what_concerns_all_rows_is_said_once(config: Path, arguments: list[str], said: str) -> None:
    result = run(config, file(config, "+33162000000\n"), *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert stored(config) == []


def test_who_interrupts_it_is_told_that_what_was_written_stays(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gateway.entries.importing.run_import", interrupted)
    result = run(config, file(config, "+33162000000\n"))
    assert result.exit_code == 2
    assert "error: interrupted: what was written stays" in result.stderr


def test_a_file_that_is_not_there_is_wrong_usage(config: Path) -> None:
    assert run(config, str(config.parent / "none.txt")).exit_code == 2


def test_lists_of_campaigns_are_told_by_their_key(config: Path) -> None:
    text = "phone_number,campaign_id\n2125551234,SALES\n2125551235,\n"
    path = file(config, text, "dnc.csv")
    result = run(config, path, "--list", "SALES=spam", "--list", "blacklist")
    assert result.exit_code == 0
    assert stored(config) == [("spam", "+12125551234"), ("blacklist", "+12125551235")]


def test_control_characters_of_a_file_reach_no_terminal(config: Path) -> None:
    result = run(config, file(config, "\x1b[31mred\n"))
    assert "\x1b" not in result.output


def test_columns_that_were_not_read_are_named(config: Path) -> None:
    result = run(config, file(config, "phone;shoe\n+33162000000;42\n"))
    assert result.exit_code == 0
    assert "columns not read: shoe" in result.stderr


def test_messages_name_the_options_of_the_command(config: Path) -> None:
    result = run(config, file(config, "2015550100\n+331*\n"), "--json")
    assert "(--" not in result.stdout
    result = run(config, file(config, "2015550100\n+331*\n"))
    for option in ("(--from vicidial)", "(--before +)", "(--confirm)"):
        assert option in result.stderr
    result = run(config, file(config, "Motif;Fin\nx;\n"))
    assert "(--column)" in result.stderr
