"""What docs/dialplan.md shows is loaded by an Asterisk that is installed as it says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.asterisk.conftest import EXACT
from tests.asterisk.pbx import DIALPLAN, HERE, Pbx, Programs
from tests.support.documents import ROOT, Block, blocks

SHOWN = blocks(ROOT / "docs/dialplan.md", "ini")
SHIPPED = sorted(DIALPLAN.iterdir())
GLOBALS = "callgate-globals.conf"


def applications(text: str) -> set[str]:
    """Names of the applications that a dialplan runs, those run by others included."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(";"))
    return {
        *re.findall(r"=> (?:[^\n]*?,)?(?:\d+|n(?:\(\w+\))?),(\w+)\(", lines),
        *re.findall(r"\?(\w+)\(", lines),
        *re.findall(r"TryExec\((\w+)\(", lines),
    }


@pytest.fixture(scope="module")
def installed(
    programs: Programs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Pbx, Path]]:
    """An Asterisk of its own, with the files where install.md puts them."""
    directory = tmp_path_factory.mktemp("installed")
    shutil.copytree(DIALPLAN, directory / "callgate")
    pbx = Pbx(programs, directory, callee_port=9)
    pbx.start()
    yield pbx, directory
    pbx.stop()


def load(pbx: Pbx, path: Path, text: str) -> str:
    """Puts a configuration file in force; what Asterisk has to say against it."""
    path.write_text(text)
    since = len(pbx.log)
    module = "pbx_config.so" if path.name == "extensions.conf" else "res_pjsip.so"
    pbx.command(f"module reload {module}")
    pbx.command("core waitfullybooted")
    return "\n".join(re.findall(r"^.*(?:WARNING|ERROR).*$", pbx.log[since:], re.M))


@pytest.mark.parametrize("block", SHOWN, ids=str)
def test_a_snippet_is_loaded(installed: tuple[Pbx, Path], block: Block) -> None:
    pbx, directory = installed
    name = re.match(r"; (\w+\.conf)\n", block.text)
    assert name, f"{block} does not begin with the name of its file"
    assert load(pbx, directory / name[1], block.text) == ""
    if name[1] == "extensions.conf":
        for context in set(re.findall(r"^\[([\w-]+)\]", block.text, re.M)) - {"globals"}:
            assert f"Context '{context}'" in pbx.command(f"dialplan show {context}")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_file_is_loaded(installed: tuple[Pbx, Path], path: Path) -> None:
    pbx, directory = installed
    section = "[globals]\n" if path.name == GLOBALS else ""
    text = f"{section}#include callgate/{path.name}\n"
    assert load(pbx, directory / "extensions.conf", text) == ""
    shown = pbx.command("dialplan show globals" if section else "dialplan show")
    names = re.findall(r"^\[([\w-]+)\]|^(\w+)=", path.read_text(), re.M)
    assert names
    assert [name for pair in names for name in pair if name and name not in shown] == []


def test_every_application_is_one_of_the_modules_that_are_named(
    installed: tuple[Pbx, Path],
) -> None:
    pbx, _ = installed
    texts = [path.read_text() for path in SHIPPED] + [block.text for block in SHOWN]
    used = set.union(*map(applications, texts)) - {"MacroExit"}  # FreePBX 16 and older have it
    assert {"AGI", "Gosub", "Originate", "PJSIPHangup", "Playback"} <= used
    known = pbx.command("core show applications")
    missing = {name for name in used if not re.search(rf"\b{name}:", known)}
    assert missing == (set() if EXACT else {"PJSIPHangup"})


def test_every_module_that_is_named_is_loaded_here() -> None:
    text = (ROOT / "docs/dialplan.md").read_text().partition("Modules beyond")[2]
    loaded = re.findall(r"=> (\w+)\.so", (HERE / "config/asterisk/modules.conf").read_text())
    named = set(re.findall(r"`(\w+)`", text))
    assert named
    assert named <= set(loaded)
