"""``callgate erase``: what it erases, what it only tells of, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.attempts.ingest import ingest_once
from gateway.attempts.journal import Journal
from gateway.attempts.move import Mover
from gateway.attempts.orders import erasures, orders
from gateway.attempts.store import AttemptStore
from gateway.cli import main
from gateway.entries import EntryStore, NewChange, Op
from gateway.policy.model import EntryKind
from tests.support.attempts import make_attempt, segments

ROOT = Path(__file__).parents[2]
POLICY = """\
numbering: {region: FR, trunks: {pabx: {strip: ["9"]}}}
campaigns:
  spring: {dids: ["+33140000000"], contacts: spring.csv}
  autumn: {}
lists:
  mine:
    action: block
    numbers:
      - +33612345678
    prefixes: [+3361234]
"""
ROWS = "name,number\nJane,06 98 76 54 32\nPat,{}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "callgate.yaml").write_text("state: state\n")
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "spring.csv").write_text(ROWS.format("06 55 55 55 55"))
    journal = Journal(tmp_path / "state/journal")
    for n, caller in enumerate(("+33612345678", "90612345678", "+33698765432")):
        e164 = "+33" + caller[-9:]
        journal.append(make_attempt(f"{n}", caller=caller, caller_e164=e164, caller_name="Pat"))
    journal.close()
    return tmp_path


def run(root: Path, *arguments: str, **rest: str) -> Result:
    command = ["--config", str(root / "callgate.yaml"), "erase", *arguments]
    return CliRunner().invoke(main, command, **rest)  # type: ignore[arg-type]


def holds(path: Path) -> bool:
    return any(b"612345678" in file.read_bytes() for file in path.rglob("*") if file.is_file())


def test_it_erases_and_tells_what_was_done_and_what_is_kept(root: Path) -> None:
    result = run(root, "0612345678")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "erased: 2 lines of 1 segment of the journal, 2 attempts of the store",
        "kept: list mine, policy.yaml:9; take it out there",
    ]
    assert not holds(root / "state")
    with closing(AttemptStore(root / "state/attempts.db")) as store:
        found = sorted((item.caller, item.caller_name) for item in store.query())
    assert found == [("+33698765432", "Pat"), ("erased", "erased"), ("erased", "erased")]


def test_a_second_time_there_is_nothing_left_to_erase(root: Path) -> None:
    run(root, "+33612345678")
    result = run(root, "+33612345678")
    assert "erased: 0 lines of 0 segments of the journal, 0 attempts of the store" in result.stdout
    assert len(erasures(root / "state")) == 2


def test_a_dry_run_counts_and_writes_nothing(root: Path) -> None:
    before = sorted(root.rglob("*"))
    result = run(root, "+33612345678", "--dry-run")
    assert result.exit_code == 0
    assert "found: 2 lines of 1 segment of the journal, 0 attempts of the store" in result.stdout
    assert sorted(root.rglob("*")) == before
    assert holds(root / "state")


def test_the_number_can_be_read_from_standard_input(root: Path) -> None:
    result = run(root, "-", input="+33612345678\n")
    assert result.exit_code == 0
    assert not holds(root / "state")


@pytest.mark.parametrize("text", ["612345678", "+3361", "nobody", "-"])
def test_what_is_no_whole_number_is_refused_and_nothing_is_erased(root: Path, text: str) -> None:
    assert run(root, text, input="\n").exit_code == 2
    assert holds(root / "state")


def test_files_of_contacts_that_people_keep_are_told_of_until_it_is_gone(root: Path) -> None:
    file = root / "spring.csv"
    file.write_text(ROWS.format("+33 6 12 34 56 78"))
    result = run(root, "+33612345678")
    assert result.exit_code == 1
    assert f"still there: {file}:3\n" in result.stderr
    assert file.read_text() == ROWS.format("+33 6 12 34 56 78")
    file.write_text(ROWS.format(""))
    assert run(root, "+33612345678").exit_code == 0


def test_contacts_that_were_uploaded_lose_the_rows(root: Path) -> None:
    file = root / "state/contacts/autumn.csv"
    file.parent.mkdir()
    file.write_bytes("\ufeffname;number\r\nPat;0612345678\r\nJane;0698765432\r\n".encode())
    assert run(root, "+33612345678", "--dry-run").exit_code == 1
    result = run(root, "+33612345678")
    assert result.exit_code == 0, result.output
    assert "removed: 1 row of contacts that were uploaded\n" in result.stdout
    assert file.read_bytes() == "\ufeffname;number\r\nJane;0698765432\r\n".encode()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["autumn.csv"]


def test_contacts_that_cannot_be_read_are_not_taken_for_clean(root: Path) -> None:
    (root / "spring.csv").write_bytes(b"a\0b,c\n")
    result = run(root, "+33612345678")
    assert result.exit_code == 1
    assert "not known:" in result.stderr


def test_managed_entries_and_their_log_are_kept_and_told(root: Path) -> None:
    with closing(EntryStore(root / "state/entries.db")) as store:
        for digits, reason in (("33612345678", ""), ("33698765432", "is 06 12 34 56 78 too")):
            change = NewChange(
                op=Op.ADD, who="pat", source="cli", digits=digits, reason=reason,
                kind=EntryKind.NUMBER,
            )  # fmt: skip
            store.apply(change)
    result = run(root, "+33612345678")
    assert result.exit_code == 0
    remove = "kept: list blacklist, managed entry 1; callgate remove --list blacklist takes it out"
    assert remove in result.stdout
    assert "kept: the log of changes names it, in revision 1, 2\n" in result.stdout


def test_a_number_of_ones_own_is_told(root: Path) -> None:
    result = run(root, "+33140000000")
    assert result.exit_code == 0
    assert "kept: it is a number of the campaign spring\n" in result.stdout


def test_json_says_it_all_and_names_no_number(root: Path) -> None:
    (root / "spring.csv").write_text(ROWS.format("0612345678"))
    result = run(root, "+33612345678", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["lines"], told["attempts"], told["pending"]) == (2, 2, False)
    assert told["entries"] == [{"list": "mine", "origin": "policy.yaml:9", "id": 0}]
    assert told["contacts"][0]["lines"] == [3]
    assert "612345678" not in result.output


def test_an_order_that_cannot_be_carried_out_yet_stands_and_is_done_later(root: Path) -> None:
    journal = Journal(root / "state/journal")
    journal.append(make_attempt("9", caller="+33612345678", caller_e164="+33612345678"))
    result = run(root, "+33612345678")
    assert result.exit_code == 1
    assert "not done yet" in result.stderr
    assert list(orders(root / "state"))
    journal.close()
    result = run(root, "+33644444444")
    assert result.exit_code == 0
    assert not list(orders(root / "state"))
    assert not holds(root / "state")


def test_a_store_that_has_never_been_is_no_trouble(root: Path) -> None:
    (root / "state").rename(root / "elsewhere")
    result = run(root, "+33612345678")
    assert result.exit_code == 0
    assert "erased: 0 lines" in result.stdout
    assert not segments(root / "state/journal")
    assert ingest_once(root / "elsewhere/journal", AttemptStore(root / "other.db")) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("made", [True, False])
def test_what_root_makes_belongs_to_the_user_of_the_gateway(made: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "callgate.yaml").write_text("state: state\n")
        (root / "policy.yaml").write_text("numbering: {region: FR}\ncampaigns: {autumn: {}}\n")
        journal = Journal(root / "state/journal")
        journal.append(make_attempt("1", caller="+33612345678", caller_e164="+33612345678"))
        journal.close()
        if made:
            with closing(AttemptStore(root / "state/attempts.db")) as store:
                Mover(root / "state/journal", store).run()
            (root / "state/contacts").mkdir()
            (root / "state/contacts/autumn.csv").write_text("number\n0612345678\n0698765432\n")
        for path in (root / "state", *(root / "state").rglob("*")):
            os.chown(path, 65534, 65534)
        result = run(root, "+33612345678")
        assert result.exit_code == 0, result.output
        assert not holds(root / "state")
        assert {path.lstat().st_uid for path in (root / "state").rglob("*")} == {65534}
        assert os.geteuid() == 0


UNREADABLE = """
import os, sys
from gateway.cli import main

def stop(event, details):
    if event == "import" and os.geteuid() != 0:
        raise ModuleNotFoundError(f"No module named {details[0]!r}")

sys.addaudithook(stop)
main(sys.argv[1:])
"""
"""The command with a program that can be read by root alone."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--json",)])
def test_root_erases_where_the_user_of_the_gateway_cannot_read_the_program(
    options: tuple[str, ...],
) -> None:
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "callgate.yaml").write_text("state: state\n")
        (root / "policy.yaml").write_text("numbering: {region: FR}\n")
        journal = Journal(root / "state/journal")
        journal.append(make_attempt("1", caller="+33612345678", caller_e164="+33612345678"))
        journal.close()
        for path in (root / "state", *(root / "state").rglob("*")):
            os.chown(path, 65534, 65534)
        command = [sys.executable, "-c", UNREADABLE, "--config", str(root / "callgate.yaml")]
        done = subprocess.run(
            [*command, "erase", *options, "+33612345678"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert holds(root / "state") is (options == ("--dry-run",))
