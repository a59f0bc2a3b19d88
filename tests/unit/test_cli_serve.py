"""``callgate serve``: which settings it runs, and what it proposes to try next."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.settings import Settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, str]]:
    """What the gateway was asked to run, instead of running it."""
    asked: list[tuple[Settings, str]] = []

    def serve(settings: Settings, *, try_next: str) -> None:
        asked.append((settings, try_next))

    monkeypatch.setattr("gateway.app.serve", serve)
    return asked


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/callgate.yaml").write_text("state: here\n")
    (tmp_path / "other.yaml").write_text("state: there\n")
    return tmp_path


def test_it_runs_the_settings_of_the_folder(
    config: Path, served: list[tuple[Settings, str]]
) -> None:
    assert run("serve").exit_code == 0
    ((settings, try_next),) = served
    assert settings.state_dir == config / "config/here"
    assert try_next == "callgate probe"


@pytest.mark.parametrize(
    "arguments", [("serve", "--config", "other.yaml"), ("--config", "other.yaml", "serve")]
)
def test_the_settings_can_be_named_before_and_after_the_command(
    config: Path, served: list[tuple[Settings, str]], arguments: tuple[str, ...]
) -> None:
    assert run(*arguments).exit_code == 0
    ((settings, try_next),) = served
    assert settings.state_dir == config / "there"
    assert try_next == "callgate --config other.yaml probe"


def test_what_to_try_next_can_be_typed_in_the_same_folder(
    config: Path, served: list[tuple[Settings, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [str(config / ".venv/bin/callgate"), "serve"])
    assert run("serve").exit_code == 0
    assert served[0][1] == ".venv/bin/callgate probe"


def test_what_a_service_says_to_try_next_can_be_typed_anywhere(
    config: Path, served: list[tuple[Settings, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    program, settings = config / ".venv/bin/callgate", config / "other.yaml"
    monkeypatch.setattr("sys.argv", [str(program), "serve"])
    monkeypatch.chdir("/")
    assert run("serve", "--config", str(settings)).exit_code == 0
    assert served[0][1] == f"{program} --config {settings} probe"


@pytest.mark.usefixtures("served")
def test_settings_with_faults_exit_with_2(config: Path) -> None:
    (config / "config/callgate.yaml").write_text("stat: here\n")
    result = run("serve")
    assert result.exit_code == 2
    assert "error: config/callgate.yaml:1:1: stat" in result.output
