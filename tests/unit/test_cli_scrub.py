"""``callgate scrub``: the file on standard output or whole in ``-o``, the summary beside it."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

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
    numbers: [{number: +33987654321, reason: complaint, expires: 2027-01-31}]
  partners: {action: allow, prefixes: [+3316255]}
  new: {action: block, mode: shadow, prefixes: [+33163]}
campaigns:
  spring:
    dids: [+33140000000]
    lists:
      opted-out: {action: block, direction: outbound, numbers: [+33145000000]}
"""
LEADS = "name;phone\r\nAnn;0162000000\r\nBob;0162550000\r\nCid;0145000000\r\nDan;112\r\nEve;x\r\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("callgate.yaml").write_text("state: state\n")
    Path("policy.yaml").write_text(POLICY)
    Path("leads.csv").write_bytes(LEADS.encode())
    return tmp_path


def run(*arguments: str, **rest: str) -> Result:
    return CliRunner().invoke(main, ["scrub", "--policy", "policy.yaml", *arguments], **rest)  # type: ignore[arg-type]


def labels(text: str) -> list[str]:
    return [line.split(";")[2] for line in text.splitlines()[1:]]


def test_the_file_goes_out_with_its_labels_and_the_summary_beside_it(folder: Path) -> None:
    assert folder.is_dir()
    result = run("leads.csv")
    assert result.exit_code == 0
    assert result.stdout_bytes.startswith(b"name;phone;callgate_label;callgate_list;")
    assert b"\r\nAnn;0162000000;Blacklisted;nuisance;+33162;list;+33162000000\r\n" in (
        result.stdout_bytes
    )
    assert labels(result.stdout) == [
        *("Blacklisted", "Allowed by exception", "Clear", "Clear", "Invalid"),
    ]
    first, *counts = result.stderr.splitlines()
    assert re.fullmatch(r"5 rows in .+, numbers in column 'phone'", first)
    assert counts == [
        "           1  clear",
        "           1  allowed by exception",
        "           1  blacklisted",
        "           1  invalid",
        "           1  emergency numbers, which are no leads",
    ]


def test_a_campaign_has_lists_of_its_own(folder: Path) -> None:
    assert folder.is_dir()
    assert labels(run("leads.csv", "--campaign", "spring").stdout)[2] == "Blacklisted"


def test_the_configured_policy_answers_when_none_is_named(folder: Path) -> None:
    arguments = ["--config", str(folder / "callgate.yaml"), "scrub", "leads.csv"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert labels(result.stdout)[0] == "Blacklisted"


def test_standard_input_is_read_and_a_trunk_reads_numbers_its_own_way(folder: Path) -> None:
    assert folder.is_dir()
    result = run("-", "--trunk", "us", input="phone\n2015550123\n")
    assert result.stdout.endswith("\n2015550123,Clear,,,default,+12015550123\n")


def test_the_time_is_one_of_the_policy(folder: Path) -> None:
    assert folder.is_dir()
    before = run("-", "--at", "2027-01-31T23:59", input="phone\n0987654321\n")
    after = run("-", "--at", "2027-02-01T00:00", input="phone\n0987654321\n")
    elsewhere = run("-", "--at", "2027-01-31T23:00+00:00", input="phone\n0987654321\n")
    assert ",Blacklisted,nuisance,+33987654321,list: complaint,+33987654321" in before.stdout
    assert ",Clear," in after.stdout
    assert ",Clear," in elsewhere.stdout


def test_only_some_rows_can_be_asked_for(folder: Path) -> None:
    assert folder.is_dir()
    result = run("leads.csv", "--only", "clear", "--only", "exception")
    assert labels(result.stdout) == ["Allowed by exception", "Clear"]


def test_a_pipeline_can_fail_on_a_blacklisted_row(folder: Path) -> None:
    assert folder.is_dir()
    assert run("leads.csv", "--fail-on-blacklisted").exit_code == 1
    assert run("-", "--fail-on-blacklisted", input="phone\n0145000001\n").exit_code == 0


def test_the_summary_is_json_for_programs(folder: Path) -> None:
    assert folder.is_dir()
    result = run("leads.csv", "--json", "-o", "out.csv")
    told = json.loads(result.stdout)
    assert told.pop("seconds") >= 0
    assert told.pop("rows_per_second") >= 0
    assert told == {
        **{"column": "phone", "rows": 5, "written": 5, "unreadable": 0, "would_be_blacklisted": 0},
        **{"clear": 1, "exception": 1, "blacklisted": 1, "invalid": 1, "emergency": 1},
    }
    assert json.loads(run("leads.csv", "--json").stderr)["rows"] == 5


def test_what_could_not_be_read_and_what_shadow_lists_say_is_told(folder: Path) -> None:
    assert folder.is_dir()
    result = run("-", input='name,phone\n"a,0145000001\nb,0163000000\nc\n')
    assert "           2  of the invalid could not be read\n" in result.stderr
    assert "1  would be blacklisted if shadow lists were enforced\n" in result.stderr


def test_a_file_is_written_whole_in_its_place_with_its_permissions(folder: Path) -> None:
    (folder / "leads.csv").chmod(0o640)
    (folder / "link.csv").symlink_to("leads.csv")
    result = run("leads.csv", "-o", "link.csv")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("5 rows in ")
    assert labels((folder / "leads.csv").read_text())[0] == "Blacklisted"
    assert stat.S_IMODE((folder / "leads.csv").stat().st_mode) == 0o640
    assert (folder / "link.csv").is_symlink()
    assert run("leads.csv", "-o", "new.csv").exit_code == 0
    names = ("callgate.yaml", "leads.csv", "link.csv", "new.csv", "policy.yaml")
    assert sorted(os.listdir(folder)) == sorted(names)


def test_an_error_leaves_what_was_there(folder: Path) -> None:
    (folder / "out.csv").write_text("mine")
    (folder / "odd.csv").write_bytes(b"\xff\xfep\0h\0o\0n\0e\0\n\0" + b"1\0\n\0" * 300_000 + b"x")
    result = run("odd.csv", "-o", "out.csv")
    assert (result.exit_code, (folder / "out.csv").read_text()) == (2, "mine")
    assert "odd.csv: it ends in half a character of UTF-16" in result.stderr
    assert ".out.csv" not in " ".join(os.listdir(folder))


def test_a_device_or_a_pipe_can_be_written_to(folder: Path) -> None:
    assert folder.is_dir()
    assert run("leads.csv", "-o", "/dev/null").exit_code == 0
    result = run("leads.csv", "-o", "/dev/full")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: /dev/full: No space left on device\n",
    )
    result = run("leads.csv", "-o", "absent/out.csv")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: absent/out.csv: No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv"], "absent.csv: No such file or directory"),
        (["leads.csv", "--campaign", "sprin"], "no campaign 'sprin'; did you mean 'spring'?"),
        (["leads.csv", "--trunk", "fr"], "the policy has no trunk 'fr'"),
        (
            ["leads.csv", "--column", "fax"],
            "leads.csv: it has no column 'fax'; its first row is: n",
        ),
        (["/dev/null", "--column", "2"], "/dev/null: it has no column '2'"),
        (["none.csv"], "none.csv: no column of it has telephone numbers"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], message: str, folder: Path) -> None:
    (folder / "none.csv").write_text("a,b\nc,d\n")
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.fixture
def many(folder: Path) -> Path:
    """Leads of about 2 MB, which are written in several pieces."""
    (folder / "many.csv").write_text("phone\n" + "0145000001\n" * 180_000)
    return folder / "many.csv"


COMMAND = [sys.executable, "-m", "gateway", "scrub", "--policy", "policy.yaml", "many.csv"]


def test_a_reader_that_goes_away_is_no_matter(many: Path) -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"phone,callgate_label")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1
    assert many.exists()


def test_a_terminal_shows_how_far_it_is(many: Path) -> None:
    mine, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, "-o", "out.csv"], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while chunk := _read(mine):
        shown += chunk
    os.close(mine)
    assert process.stdout is not None
    assert process.stdout.read().startswith(b"180,000 rows in ")
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert b"scrubbing" in shown
    assert b"100%" in shown
    assert many.with_name("out.csv").stat().st_size > many.stat().st_size


def _read(terminal: int) -> bytes:
    """What is on a terminal next, empty when everybody has left it (EIO, on Linux)."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_the_shipped_contacts_have_a_listed_number(folder: Path) -> None:
    shipped = Path(__file__).parents[2] / "config"
    shutil.copytree(shipped, folder / "config")
    result = CliRunner().invoke(
        main,
        [
            *("scrub", "--policy", "config/policy.yaml", "--campaign", "spring-sale"),
            "config/contacts/spring-sale.csv",
        ],
    )
    assert result.stdout.count(",Blacklisted,") == 2
