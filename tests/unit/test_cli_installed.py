"""The installed dialplan beside the policy: the names of trunks and campaigns agree."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from gateway.cli.installed import check_dialplan, literal_names
from gateway.cli.remarks import Remark
from gateway.policy.loader import load
from gateway.policy.model import Policy
from gateway.settings import Settings

ROOT = Path(__file__).parents[2]
SHIPPED = load(ROOT / "config/policy.yaml").policy
FREESWITCH = re.compile(r"callgate_trunk=([a-z0-9_-]+)|/(?:in|out)bound/([a-z0-9_-]+)")


def scope(folder: Path, policy: Policy = SHIPPED) -> list[Remark]:
    remarks = check_dialplan(folder, policy, Settings.load(ROOT / "config/callgate.yaml"))
    return [remark for remark in remarks if remark.about == "scope"]


@pytest.fixture
def asterisk(tmp_path: Path) -> Path:
    """A folder in which only the dialplan's code lies; the rest is other checks' concern."""
    code = ROOT / "dialplan/asterisk/callgate.conf"
    (tmp_path / code.name).write_bytes(code.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("same => n,Gosub(callgate-inbound,s,1(carrier))", [("inbound", "trunk", "carrier")]),
        (
            "exten => s,1,Gosub(callgate-outbound,s,1(a, b ,${CALLERID(num)}))",
            [("outbound", "trunk", "a"), ("outbound", "campaign", "b")],
        ),
        (
            "PreDialGoSub=callgate-outbound^s^1(one^two)",
            [("outbound", "trunk", "one"), ("outbound", "campaign", "two")],
        ),
        ("Gosub(callgate-outbound,s,1(${TRUNK},sale))", [("outbound", "campaign", "sale")]),
        ("Gosub(callgate-outbound,s,1(${CUT(X,-,1)},sale))", []),
        ("; Gosub(callgate-outbound,s,1(carrier))", []),
        ("Gosub(callgate-outbound,s,1(-,,1001))", []),
        ("Gosub(callgate-inbound,s,1)", []),
        ("Gosub(callgate-inbound,s,1())", []),
    ],
)
def test_the_names_that_a_dialplan_says_in_so_many_words_are_found(
    line: str, names: list[tuple[str, str, str]]
) -> None:
    assert literal_names(f"{line}\n{line}") == names


def test_a_name_that_the_policy_lacks_fails_where_it_blocks_calls(asterisk: Path) -> None:
    file = asterisk / "extensions.conf"
    file.write_text("Gosub(callgate-outbound,s,1(main,sale))\nGosub(callgate-inbound,s,1(main))\n")
    found = scope(asterisk)
    assert [(remark.status, remark.text) for remark in found] == [
        (
            "fail",
            f"{file} names the trunk 'main', which the policy lacks: "
            "its outbound calls are blocked",
        ),
        (
            "fail",
            f"{file} names the campaign 'sale', which the policy lacks: "
            "its outbound calls are blocked",
        ),
        ("warn", f"{file} names the trunk 'main', which the policy lacks"),
    ]
    assert "numbering.trunks" in found[0].advice
    assert "under campaigns" in found[1].advice


def test_names_that_the_policy_knows_are_in_order(asterisk: Path) -> None:
    (asterisk / "extensions.conf").write_text("Gosub(callgate-outbound,s,1(carrier,spring-sale))")
    assert [remark.status for remark in scope(asterisk)] == ["ok"]


def test_a_dialplan_that_names_nothing_is_not_remarked(asterisk: Path) -> None:
    assert scope(asterisk) == []


def test_a_stray_copy_is_not_taken_for_the_file_that_is_included(asterisk: Path) -> None:
    shutil.copytree(asterisk, asterisk / "callgate")
    (asterisk / "callgate.conf").write_text("; an old copy\n")
    (asterisk / "extensions.conf").write_text("#include callgate/callgate.conf ; the code\n")
    settings = Settings.load(ROOT / "config/callgate.yaml")
    told = list(check_dialplan(asterisk, SHIPPED, settings))
    assert ("ok", f"{asterisk}/callgate/callgate.conf is current") in [
        (remark.status, remark.text) for remark in told
    ]


def test_docs_samples_and_containers_name_trunks_and_campaigns_of_the_shipped_policy() -> None:
    files = [
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("deploy/asterisk/*"),
        *(path for path in ROOT.glob("dialplan/**/*") if path.is_file()),
    ]
    named = [
        (path.name, what, name)
        for path in files
        for _, what, name in literal_names(path.read_text().replace("\n;", "\n"))
        if name.islower()  # capitals stand for a name
    ]
    named += [
        (path.name, "trunk", found[1] or found[2])
        for path in files
        for found in FREESWITCH.finditer(path.read_text())
    ]
    known = {"trunk": SHIPPED.trunks, "campaign": SHIPPED.campaigns}
    assert len(named) > 10
    assert [item for item in named if item[2] not in known[item[1]]] == []
