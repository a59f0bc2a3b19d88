"""The dialplan files for FreeSWITCH: what can be said of them without one."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gateway.pbx.variables import ANSWERED, FOR

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "dialplan/freeswitch"
FILES = sorted(SHIPPED.rglob("*.xml"))
CALLGATE = SHIPPED / "callgate/callgate.xml"
SAFE = {
    "callgate_trunk",
    "callgate_campaign",
    "callgate_reporter",
    "callgate_callee",
    "uuid",
    "conf_dir",
}
"""What may stand where FreeSWITCH calls a function. ``callgate_reporter`` is checked to be digits;
``callgate_callee`` is there only in an emergency, when it is one of the list."""

names = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def actions(file: Path) -> list[tuple[str, str]]:
    """Application and argument of every action and anti-action."""
    tree = ElementTree.parse(file)
    found = [*tree.iter("action"), *tree.iter("anti-action")]
    return [(item.attrib["application"], item.get("data", "")) for item in found]


@names
def test_no_comment_holds_what_freeswitch_would_carry_out(file: Path) -> None:
    # Its preprocessor reads line by line and knows no comments.
    for comment in re.findall(r"<!--.*?-->", file.read_text(), re.DOTALL):
        assert "X-PRE-PROCESS" not in comment


@names
def test_nothing_that_was_captured_is_expanded_a_second_time(file: Path) -> None:
    for application, argument in actions(file):
        assert not re.search(r"\$\d", argument), (application, argument)


@names
def test_no_function_is_called_with_what_a_caller_wrote(file: Path) -> None:
    for _, argument in actions(file):
        for call in re.findall(r"\$\{\w+\(.*", argument):
            assert set(re.findall(r"\$\{(\w+)\}", call)) <= SAFE, call
    for condition in ElementTree.parse(file).iter("condition"):
        assert not re.search(r"\$\{\w+\(", condition.get("field", ""))
        assert set(re.findall(r"\$\{(\w+)\}", condition.get("expression", ""))) <= {
            "callgate_direction"
        }


@names
def test_every_extension_that_is_executed_exists(file: Path) -> None:
    for application, argument in actions(file):
        if application == "execute_extension" and argument.endswith(" callgate"):
            name = argument.split(" ")[0].replace("${callgate_outage}", "allow")
            text = CALLGATE.read_text()
            assert re.search(rf'expression="\^\(?(\w+\|)?{name}(\||\)|\$)', text), argument


def test_the_answer_of_an_earlier_call_is_forgotten() -> None:
    (forgotten,) = [
        argument
        for application, argument in actions(CALLGATE)
        if application == "multiunset" and "CALLGATE_VERDICT" in argument
    ]
    assert set(forgotten.split()) == {*ANSWERED, FOR}


def test_no_variable_of_the_dialplan_is_one_of_the_answer_in_other_letters() -> None:
    # FreeSWITCH's variables know no case.
    used = {name for file in FILES for name in re.findall(r"callgate_\w+", file.read_text())}
    assert used & {name.lower() for name in (*ANSWERED, FOR)} == set()


def test_every_setting_is_documented() -> None:
    tree = ElementTree.parse(SHIPPED / "callgate_vars.xml")
    settings = [item.attrib["data"].split("=")[0] for item in tree.iter("X-PRE-PROCESS")]
    text = (ROOT / "docs/freeswitch.md").read_text()
    assert [name for name in settings if f"`{name}`" not in text] == []
