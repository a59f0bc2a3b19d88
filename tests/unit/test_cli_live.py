"""``callgate reload``, ``status``, ``probe`` and ``completion``."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import COMMANDS, main
from gateway.cli.environment import Environment, find_config, shipped
from gateway.cli.output import local_time
from gateway.errors import ControlSilent
from gateway.frontends.probe import Answer


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "callgate.yaml").write_text("agi: {listen: 0.0.0.0:4599}\n")
    return tmp_path / "callgate.yaml"


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(config), *arguments])


class Gateway:
    """A running gateway that answers what it was made with."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.forced: list[bool] = []
        self.patience: list[float] = []

    def reload(self, *, force: bool) -> dict[str, Any]:
        self.forced.append(force)
        return self.answer

    def ping(self, *, timeout: float) -> dict[str, Any]:
        self.patience.append(timeout)
        return {"pid": 7}

    def status(self, *, timeout: float) -> dict[str, Any]:
        self.patience.append(timeout)
        return self.answer

    def metrics(self, *, timeout: float) -> str:
        self.patience.append(timeout)
        return str(self.answer["text"])


def answering(monkeypatch: pytest.MonkeyPatch, **answer: Any) -> Gateway:
    gateway = Gateway(answer)
    monkeypatch.setattr(Environment, "gateway", lambda _: gateway)
    return gateway


RESULT = {
    "revision": "0123456789ab+0",
    "warnings": [],
    "faults": [],
    "lists": 1,
    "entries": 1200,
    "seconds": 0.2,
}


def test_a_good_reload_says_what_is_in_force(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, **RESULT, status="loaded")
    result = run(config, "reload")
    assert result.exit_code == 0
    assert result.output == "loaded: policy 0123456789ab+0, 1 list, 1,200 entries in 0.2 s\n"


@pytest.mark.parametrize(("status", "code"), [("refused", 1), ("failed", 2)])
def test_a_policy_that_is_not_loaded_sets_the_exit_code_and_the_old_one_goes_on(
    config: Path, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    answering(monkeypatch, **{**RESULT, "faults": ["policy.yaml:1:1: bad"]}, status=status)
    result = run(config, "reload")
    assert result.exit_code == code
    assert "policy.yaml:1:1: bad\n" in result.output
    assert f"{status}: policy 0123456789ab+0, 1 list, 1,200 entries goes on\n" in result.output
    assert ("reload --force" in result.output) is (status == "refused")


def test_force_and_json_are_passed_through(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = answering(monkeypatch, **RESULT, status="loaded")
    result = run(config, "reload", "--force", "--json")
    assert gateway.forced == [True]
    assert json.loads(result.output)["status"] == "loaded"


@pytest.mark.parametrize("command", ["reload", "status", "metrics"])
def test_without_a_gateway_the_answer_is_no(config: Path, command: str) -> None:
    result = run(config, command)
    assert result.exit_code == 1
    assert "error: no gateway is running on " in result.output


def test_status_is_shown_flat_and_as_it_is_in_json(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, pid=7, policy={"revision": "x", "degraded": False}, trouble=[])
    assert run(config, "status").output == (
        "  gateway          ok\n  pid              7\n  policy revision  x\n  policy degraded  no\n"
    )
    assert json.loads(run(config, "status", "--json").output)["policy"]["degraded"] is False


def test_status_is_short_where_there_is_much_to_say(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(
        monkeypatch,
        version="1.2.3",
        policy={
            "lists": {"nuisance": 1200, "vip": 0},
            "last_reload": {**RESULT, "status": "loaded", "at": 1.8e9},
        },
        ingester={"pid": 8, "status": {"pid": 8, "attempts": 3, "errors": 0}},
    )
    assert run(config, "status").output.splitlines() == [
        "  gateway                   ok",
        "  version                   1.2.3",
        "  policy lists              nuisance 1,200, vip 0",
        f"  policy last reload        {local_time(1.8e9)}, loaded in 0.2 s",
        "  ingester pid              8",
        "  ingester status pid       8",
        "  ingester status attempts  3",
    ]


def test_status_begins_with_what_is_in_trouble(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill = {"policy": {"degraded": "the last reload failed"}, "journal": {"degraded": "full"}}
    answering(monkeypatch, pid=7, **ill)
    result = run(config, "status")
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == "  gateway           DEGRADED: policy, journal"
    assert json.loads(run(config, "status", "--json").output) == {"pid": 7, **ill}


def test_questions_are_given_up_soon(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = answering(monkeypatch, **RESULT, status="loaded", text="")
    for command in ("status", "metrics", "reload"):
        run(config, command)
    assert gateway.patience == [5, 5, 5]


def test_a_gateway_that_does_not_answer_is_not_asked_to_reload(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = answering(monkeypatch, **RESULT, status="loaded")

    def ping(*, timeout: float) -> dict[str, Any]:
        raise ControlSilent(f"the gateway did not answer within {timeout:g} s")

    monkeypatch.setattr(gateway, "ping", ping)
    result = run(config, "reload")
    assert (result.exit_code, gateway.forced) == (1, [])
    assert result.output == "error: the gateway did not answer within 5 s\n"


def test_metrics_are_printed_as_they_are(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, text="# HELP x y\nx 1\n")
    assert run(config, "metrics").output == "# HELP x y\nx 1\n"


def test_a_probe_asks_the_configured_listener_on_loopback(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def ask(host: str, port: int, *, timeout: float) -> Answer:  # noqa: ASYNC109
        asked.append((host, port, timeout))
        return Answer({"CALLGATE_STATUS": "ok"}, 0.00123)

    monkeypatch.setattr("gateway.frontends.probe.ask", ask)
    assert run(config, "probe").output == "127.0.0.1:4599 answers in 1.2 ms\n"
    found = json.loads(run(config, "probe", "--address", "[::]:1", "--json").output)
    assert found["variables"] == {"CALLGATE_STATUS": "ok"}
    assert asked == [("127.0.0.1", 4599, 2.0), ("::1", 1, 2.0)]


def test_a_probe_that_nobody_answers_exits_with_1(config: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        result = run(config, "probe", "--address", address)
    assert result.exit_code == 1
    assert f"error: {address}: cannot connect" in result.output


@pytest.mark.parametrize("arguments", [("--address", "nowhere"), ("--address", "off")])
def test_a_probe_of_no_address_is_wrong_usage(config: Path, arguments: tuple[str, ...]) -> None:
    assert run(config, "probe", *arguments).exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(config: Path, shell: str) -> None:
    result = run(config, "completion", shell)
    assert result.exit_code == 0
    assert "_CALLGATE_COMPLETE" in result.output


def test_the_help_lists_every_command_with_what_it_does(config: Path) -> None:
    lines = run(config, "--help").output.splitlines()
    listed = [line.split(maxsplit=1) for line in lines[lines.index("Commands:") + 1 :]]
    assert [name for name, _ in listed] == list(COMMANDS)


def test_a_word_that_is_no_command_is_wrong_usage(config: Path) -> None:
    result = run(config, "chek")
    assert result.exit_code == 2
    assert "No such command" in result.output


def test_the_settings_are_those_of_the_folder_else_those_that_came_with_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config() in (
        shipped("config") / "callgate.yaml",
        Path("/etc/callgate/callgate.yaml"),
    )
    (tmp_path / "config").mkdir()
    (tmp_path / "config/callgate.yaml").touch()
    assert find_config() == Path("config/callgate.yaml")
