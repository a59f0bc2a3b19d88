"""The documentation is true: its examples run, its YAML loads, and nothing is left out of it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fastapi import FastAPI
from pydantic import BaseModel

from gateway.metrics import METRICS
from gateway.pbx import variables
from gateway.policy.document import (
    CampaignDocument,
    ListDocument,
    MatchDocument,
    PolicyDocument,
)
from gateway.policy.loader import load
from gateway.policy.model import Reason
from gateway.settings import Settings
from gateway.web import api
from tests.meta import cli_reference
from tests.support.documents import DOCUMENTS, ROOT, Block, Example, blocks, examples

TEXT = "\n".join(document.read_text() for document in DOCUMENTS)
LIVE = {"probe", "status", "metrics", "reload", "doctor"}
"""Commands whose examples want a running gateway."""
SHOWN_ADDRESSES = ("127.0.0.1:4573", "127.0.0.1:8080")
"""Where documents say that FastAGI and HTTP are; the tests have them on ports that are free."""


PATIENCE = 60.0


def free_addresses() -> list[str]:
    """As many as documents show, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in SHOWN_ADDRESSES]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Machine:
    """A folder with the shipped configuration, where the examples of one document run in turn."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT / "config", folder / "config")
        self.folder = folder
        self.addresses = dict(zip(SHOWN_ADDRESSES, free_addresses(), strict=True))
        settings = folder / "config/callgate.yaml"
        text = settings.read_text()
        for shown, real in self.addresses.items():
            assert shown in text
            text = text.replace(shown, real)
        settings.write_text(text.replace("127.0.0.1:8084", "127.0.0.1:0"))
        command = folder / "bin/callgate"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m gateway "$@"\n')
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        self.environment = {
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "TZ": "UTC",
        }
        self.gateway: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> str:
        """What a command prints, on either stream, with the address that documents show.

        What it assigns to a variable, the commands after it have.
        """
        for shown, real in self.addresses.items():
            command = command.replace(shown, real)
        assigned = re.match(r"([A-Z]+)=", command)
        if assigned:
            command += f'; printf %s "${assigned[1]}" > assigned'
        result = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        if assigned:
            self.environment[assigned[1]] = (self.folder / "assigned").read_text()
        printed = result.stdout
        for shown, real in self.addresses.items():
            printed = printed.replace(real, shown)
        return printed

    def serve(self) -> None:
        self.gateway = subprocess.Popen(
            ["callgate", "serve"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self.gateway.poll() is None, "the gateway did not start"
            assert time.monotonic() < deadline, "the gateway does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether both FastAGI and the HTTP side do."""
        if "answers in" not in self.run("callgate probe"):
            return False
        url = f"http://{self.addresses[SHOWN_ADDRESSES[1]]}/healthz"
        try:
            return httpx.get(url, trust_env=False, timeout=PATIENCE).is_success
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        if self.gateway:
            self.gateway.terminate()
            self.gateway.wait(timeout=20)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.stop()


def is_live(example: Example) -> bool:
    found = re.match(r"callgate (?:--\S+ \S+ )?(\w+)", example.command)
    return bool(found and found[1] in LIVE)


def is_late(example: Example) -> bool:
    """Whether it may be asked again: it shows the store of attempts, which follows the calls by a
    moment, or is a call, which a busy machine may leave unanswered.
    """
    return example.command.startswith(("callgate attempts ", "curl "))


WITH_EXAMPLES = [document for document in DOCUMENTS if list(examples(document))]


@pytest.mark.parametrize("document", WITH_EXAMPLES, ids=relative)
def test_every_example_prints_what_is_shown(document: Path, machine: Machine) -> None:
    shown = list(examples(document))
    if any(map(is_live, shown)):
        machine.serve()
    for example in shown:
        if example.command.startswith("curl ") and not shutil.which("curl"):
            pytest.skip("the other examples of this document need curl, which is not here")
        printed = machine.run(example.command)
        deadline = time.monotonic() + PATIENCE
        while is_late(example) and not example.matches(printed) and time.monotonic() < deadline:
            time.sleep(0.05)
            printed = machine.run(example.command)
        assert example.matches(printed), (
            f"{example.block}: $ {example.command}\nprints:\n{printed}\nshown:\n"
            + "\n".join(example.output)
        )


YAML_BLOCKS = [block for document in DOCUMENTS for block in blocks(document, "yaml")]


def keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=str)
def test_every_yaml_example_loads(block: Block, tmp_path: Path) -> None:
    document: dict[str, Any] = yaml.safe_load(block.text)
    shutil.copytree(ROOT / "config", tmp_path, dirs_exist_ok=True)
    if set(document) <= keys(PolicyDocument):
        (tmp_path / "example.yaml").write_text(block.text)
        assert load(tmp_path / "example.yaml").policy.lists
    else:
        assert set(document) <= keys(Settings), f"{block} is neither policy nor settings"
        Settings.parse(block.text.encode(), tmp_path / "callgate.yaml", {})


def dotted(model: type[BaseModel], section: str) -> Iterator[tuple[str, str]]:
    """Every key of a model and of the sections in it, with the heading it belongs under."""
    for name, field in model.model_fields.items():
        yield section, name
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from dotted(kind, section if section.startswith("###") else f"### {name}")


def section(document: Path, heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    _, found, rest = document.read_text().partition(f"\n{heading}\n")
    assert found, f"{document.name} has no {heading!r}"
    return re.split(r"^#{2,} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


CONFIGURATION = ROOT / "docs/configuration.md"
KEYS = [
    *dotted(Settings, "## Settings: callgate.yaml"),
    *dotted(PolicyDocument, "## The policy: policy.yaml"),
    *dotted(ListDocument, "### lists"),
    *dotted(MatchDocument, "### match"),
    *dotted(CampaignDocument, "### campaigns"),
]


@pytest.mark.parametrize(("heading", "key"), KEYS)
def test_every_key_is_documented_in_the_table_of_its_section(heading: str, key: str) -> None:
    assert f"\n| `{key}` | " in section(CONFIGURATION, heading)


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_no_section_is_empty(document: Path) -> None:
    """A heading is followed by something; a heading below it will do."""
    text = re.sub(r"^```.*?^```$", "code", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    parts = re.split(r"^(#+) (.+)$", text, flags=re.MULTILINE)
    levels, titles, bodies = parts[1::3], parts[2::3], parts[3::3]
    below = [*levels[1:], ""]
    for level, title, body, after in zip(levels, titles, bodies, below, strict=True):
        assert body.strip() or len(after) > len(level), title


def test_every_row_of_the_outages_names_tests_that_exist() -> None:
    lines = section(ROOT / "docs/operations.md", "## Outages").splitlines()
    rows = [line for line in lines if line.startswith("| ")][1:]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for file, test in named:
            assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), (
                test
            )


def test_a_metric_is_worth_an_alarm_unless_the_gateway_is_well_all_the_while() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    alarms = text.partition("Worth an alarm:")[2].partition("Worth a look, but no alarm:")[0]
    rows = text.partition("<!-- surfaces:")[2].partition("\n\n")[0].splitlines()[3:]
    assert len(rows) > 15
    for row in rows:
        _, metric, surfaces, *_ = row.removeprefix("| ").split(" | ")
        name = metric.strip("`").partition("{")[0]
        assert (f"`{name}`" in alarms) is not surfaces.startswith("nothing: "), name
    assert {metric.name for metric in METRICS if metric.name.endswith("_up")} == {
        name for name in re.findall(r"`(callgate_\w+)`", alarms) if name.endswith("_up")
    }


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=relative)
def test_the_readme_names_every_document(document: Path) -> None:
    path = relative(document)
    assert f"\n| [{path}]({path}) | " in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_every_metric_is_documented(metric: str) -> None:
    assert f"`{metric}`" in TEXT


@pytest.mark.parametrize(
    "variable",
    sorted(
        value
        for name, value in vars(variables).items()
        if name.isupper() and isinstance(value, str)
    ),
)
def test_every_dialplan_variable_is_documented(variable: str) -> None:
    assert f"`{variable}`" in TEXT


def test_every_variable_of_the_dialplan_files_is_documented() -> None:
    files = (ROOT / "dialplan").rglob("*.conf")
    used = {name for file in files for name in re.findall(r"CALLGATE_[A-Z_]+", file.read_text())}
    assert {name for name in used if f"`{name}`" not in TEXT} == set()


@pytest.mark.parametrize("reason", [reason.value for reason in Reason])
def test_every_reason_is_documented(reason: str) -> None:
    assert f"`{reason}`" in (ROOT / "docs/decision.md").read_text()


@pytest.mark.parametrize("command", cli_reference.commands())
def test_the_reference_shows_the_help_of_every_command(command: str) -> None:
    text = cli_reference.REFERENCE.read_text()
    assert cli_reference.heading_of(command) in text
    assert cli_reference.block_of(command) in text, "run: python -m tests.meta.cli_reference"


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_every_link_leads_to_a_file(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_target_of_make_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make ([a-z]+)", TEXT)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs/dependencies.md").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r'^ +"([A-Za-z][\w-]*)(?:[><=].*)?",$', project, re.MULTILINE)
    assert {"click", "mypy"} <= set(named)
    for name in named:
        assert f"`{name}`" in text, name


def test_every_route_is_documented() -> None:
    text = (ROOT / "docs/http.md").read_text()
    routes = {path for path in document()["paths"] if not path.startswith("/v1/docs")}
    assert {"/v1/entries", "/v2/Account/Blacklist", "/v1/screen"} <= routes
    assert {path for path in routes if f"{path}`" not in text} == set()


def document() -> dict[str, Any]:
    """The OpenAPI document: what is served, by name."""
    app = FastAPI()
    api.include(app)
    found: dict[str, Any] = app.openapi()
    return found
