"""``callgate doctor``: each fault is found, named, and comes with what to do."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import machine, main
from gateway.cli.environment import Environment
from gateway.cli.installed import DEFAULT_DEADLINE
from gateway.errors import ControlError, ControlSilent
from gateway.frontends.probe import Answer, NoAnswer
from tests.support.closed import closed_to_us

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "state").mkdir(mode=0o700)
    config = tmp_path / "config/callgate.yaml"
    config.write_text(config.read_text().replace("127.0.0.1:8080", "off"))
    return config


@pytest.fixture
def asterisk(tmp_path: Path, config: Path) -> Path:
    """A folder of Asterisk with the dialplan installed as docs/install.md says."""
    folder = tmp_path / "asterisk"
    shutil.copytree(ROOT / "dialplan/asterisk", folder / "callgate")
    (folder / "extensions.conf").write_text(
        '[globals]\n#include "callgate/callgate-globals.conf"\n#include "callgate/callgate.conf"\n'
    )
    generated = CliRunner().invoke(main, ["--config", str(config), "dialplan", "--emergency"])
    (folder / "callgate/callgate-emergency.conf").write_text(generated.output)
    return folder


class Gateway:
    def __init__(self, policy: dict[str, Any] | None = None) -> None:
        self.policy = policy
        self.more: dict[str, Any] = {}

    def status(self, *, timeout: float) -> dict[str, Any]:
        assert timeout <= 5
        if self.policy is None:
            raise ControlError("permission denied")
        return {"policy": self.policy, **self.more}


@pytest.fixture
def running(config: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A gateway that answers and runs the policy that is on the disk."""

    async def ask(host: str, port: int) -> Answer:
        del host, port
        return Answer({"CALLGATE_STATUS": "ok"}, 0.001)

    gateway = Gateway({"revision": Environment(config).load().policy.revision})
    monkeypatch.setattr("gateway.frontends.probe.ask", ask)
    monkeypatch.setattr(Environment, "gateway", lambda _: gateway)
    monkeypatch.setattr("gateway.cli.machine.shutil.which", lambda _: None)
    return gateway


def examine(config: Path, asterisk: Path | None = None) -> tuple[int, list[dict[str, str]]]:
    folder = asterisk or config.parent / "none"
    command = ["--config", str(config), "doctor", "--json", "--asterisk-dir", str(folder)]
    result = CliRunner().invoke(main, command)
    return result.exit_code, json.loads(result.output)


def told(remarks: list[dict[str, str]], about: str) -> list[tuple[str, str]]:
    return [(item["status"], item["text"]) for item in remarks if item["about"] == about]


@pytest.mark.usefixtures("running")
def test_where_all_is_well_nothing_fails(config: Path, asterisk: Path) -> None:
    code, remarks = examine(config, asterisk)
    assert code == 0
    assert [item["about"] for item in remarks] == [
        *("settings", "policy", "listener", "gateway", "asterisk", "dialplan"),
        *("emergency", "globals", "clock", "disk"),
    ]
    assert {item["status"] for item in remarks if item["about"] != "asterisk"} == {"ok"}


@pytest.mark.usefixtures("running")
def test_people_read_a_line_each_and_what_to_do(config: Path) -> None:
    command = ["--config", str(config), "doctor", "--asterisk-dir", str(config.parent / "none")]
    lines = CliRunner().invoke(main, command).output.splitlines()
    assert lines[0] == f"ok    settings   {config} is in order"
    assert "                 → name it: --asterisk-dir" in lines


def test_with_no_gateway_listener_and_gateway_fail(config: Path) -> None:
    text = config.read_text().replace("127.0.0.1:4573", "127.0.0.1:1")
    config.write_text(text)
    code, remarks = examine(config)
    assert code == 1
    assert told(remarks, "listener")[0][0] == "fail"
    assert told(remarks, "gateway") == [("fail", "none is running with these settings")]


@pytest.mark.usefixtures("running")
def test_a_listener_of_another_gateway_is_no_credit(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Environment, "gateway", lambda _: None)
    code, remarks = examine(config)
    assert code == 1
    [(status, text)] = told(remarks, "listener")
    assert status == "fail"
    assert text.endswith(" is answered by something else: no gateway runs with these settings")


def test_a_gateway_that_does_not_answer_fails(
    config: Path, running: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(*, timeout: float) -> dict[str, Any]:
        raise ControlSilent(f"the gateway did not answer within {timeout:g} s")

    monkeypatch.setattr(running, "status", status)
    code, remarks = examine(config)
    assert code == 1
    assert told(remarks, "gateway") == [("fail", "the gateway did not answer within 5 s")]


@pytest.mark.usefixtures("running")
def test_who_may_not_read_the_state_is_told_so_and_nothing_worse() -> None:
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        root = Path(folder)
        root.chmod(0o755)
        shutil.copytree(ROOT / "config", root / "config")
        for path in (root / "config", *(root / "config").rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        config = root / "config/callgate.yaml"
        config.write_text(config.read_text().replace("127.0.0.1:8080", "127.0.0.1:1"))
        state = Environment(config).settings.state_dir
        with Environment(config).entries(create=True):
            examine(config)
        with closed_to_us(state):
            _, remarks = examine(config)
    assert [item for item in remarks if item["about"] == "state"] == [
        {
            "status": "warn",
            "about": "state",
            "text": f"this user may not read {state}: gateway, tokens and disk are not checked",
            "advice": "run doctor as the user of the gateway, or as root",
        }
    ]
    assert told(remarks, "policy")[0][1].endswith(" without the managed ones")
    assert not any("the policy does not load" in item["text"] for item in remarks)
    assert not any("move the file away" in item["advice"] for item in remarks)
    assert not any(told(remarks, about) for about in ("config", "gateway", "disk"))


def test_every_fault_of_the_policy_is_a_line(config: Path, running: Gateway) -> None:
    assert running
    (config.parent / "policy.yaml").write_text("lists: {a: {action: no}, b: {actoin: block}}\n")
    code, remarks = examine(config)
    assert code == 1
    assert len(told(remarks, "config")) >= 2
    assert told(remarks, "dialplan") == [("warn", "not compared: the policy does not load")]


def test_settings_that_cannot_be_read_fail_once_and_the_rest_is_told(tmp_path: Path) -> None:
    code, remarks = examine(tmp_path / "callgate.yaml")
    assert code == 1
    assert told(remarks, "config")[0][0] == "fail"
    assert told(remarks, "clock")[0][0] == "ok"


@pytest.mark.parametrize(
    ("policy", "status", "text"),
    [
        ({"revision": "other+0"}, "warn", "policy other+0 runs, not the one on disk"),
        ({"degraded": "the last reload failed"}, "fail", "the last reload failed"),
        (None, "warn", "permission denied"),
    ],
)
def test_a_gateway_that_runs_something_else_is_noticed(
    config: Path, running: Gateway, policy: dict[str, Any] | None, status: str, text: str
) -> None:
    running.policy = policy
    assert told(examine(config)[1], "gateway") == [(status, text)]


@pytest.mark.parametrize(
    ("serving", "degraded", "remark"),
    [
        (2, "", ("ok", "all 2 accept calls")),
        (1, "of 2 workers these accept no calls: 1", None),
    ],
)
def test_a_worker_that_is_missing_fails(
    config: Path,
    running: Gateway,
    serving: int,
    degraded: str,
    remark: tuple[str, str] | None,
) -> None:
    running.more = {"workers": {"configured": 2, "serving": serving, "degraded": degraded}}
    assert told(examine(config)[1], "workers") == [remark or ("fail", degraded)]


@pytest.mark.parametrize("part", ["calls", "journal", "ingester", "http"])
def test_a_part_that_has_trouble_fails(config: Path, running: Gateway, part: str) -> None:
    running.more = {part: {"degraded": "it is ill"}}
    assert ("fail", "it is ill") in told(examine(config)[1], part)
    running.more = {part: {"degraded": ""}}
    assert "it is ill" not in str(examine(config))


def test_a_listener_that_does_not_answer_fails(
    config: Path, running: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(host: str, port: int) -> Answer:
        raise NoAnswer(f"{host}:{port}: no answer: in time")

    assert running
    monkeypatch.setattr("gateway.frontends.probe.ask", ask)
    assert told(examine(config)[1], "listener")[0][0] == "fail"


@pytest.mark.parametrize(
    ("more", "warned"), [("", True), ("secret: abc", False), ("allow: [192.0.2.0/24]", False)]
)
@pytest.mark.usefixtures("running")
def test_a_listener_that_nothing_guards_is_warned_of(config: Path, more: str, warned: bool) -> None:
    text = config.read_text().replace("listen: 127.0.0.1:8084", "listen: 0.0.0.0:8084")
    head, esl, rest = text.partition("\nesl:\n")
    name, _, value = more.partition(": ")
    rest = re.sub(rf"^  {name}: .*$", f"  {more}", rest, count=1, flags=re.M) if value else rest
    config.write_text(head + esl + rest)
    texts = [text for status, text in told(examine(config)[1], "listener") if status == "warn"]
    assert [text.partition(" is ")[0] for text in texts] == ["esl.listen"] * warned


def test_a_machine_that_may_not_connect_is_said_to_need_it(config: Path) -> None:
    text = config.read_text().replace("127.0.0.1:4573", "127.0.0.1:1")
    config.write_text(text.replace("allow: []", "allow: [192.0.2.1]", 1))
    (remark,) = [item for item in examine(config)[1] if item["about"] == "listener"]
    assert "agi.allow must hold this machine too" in remark["advice"]


@pytest.mark.usefixtures("running")
def test_a_dialplan_that_was_changed_missing_or_not_included_fails(
    config: Path, asterisk: Path
) -> None:
    (asterisk / "extensions.conf").write_text("[globals]\n")
    with (asterisk / "callgate/callgate.conf").open("a") as file:
        file.write("; mine\n")
    texts = [text for status, text in told(examine(config, asterisk)[1], "dialplan")]
    assert texts[0].endswith("callgate.conf is not the shipped one")
    assert texts[1].endswith("includes callgate.conf")
    (asterisk / "callgate/callgate.conf").unlink()
    ((status, text),) = told(examine(config, asterisk)[1], "dialplan")
    assert (status, text) == ("fail", f"not installed in {asterisk}")


@pytest.mark.usefixtures("running")
def test_an_emergency_list_that_differs_from_the_policy_fails(config: Path, asterisk: Path) -> None:
    path = asterisk / "callgate/callgate-emergency.conf"
    path.write_text(path.read_text().replace("exten => 15,", "exten => 16,"))
    assert told(examine(config, asterisk)[1], "emergency") == [
        ("fail", f"{path} lacks 15 and has too many: 16")
    ]
    path.unlink()
    assert told(examine(config, asterisk)[1], "emergency")[0][0] == "fail"


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (
            "CALLGATE_OUTAGE_INBOUND=allow",
            "CALLGATE_OUTAGE_INBOUND=block",
            "CALLGATE_OUTAGE_INBOUND is block, not allow",
        ),
        (":4573", ":4574", "CALLGATE_ADDRESS is 127.0.0.1:4574, not 127.0.0.1:4573"),
        (
            "CALLGATE_SECRET=",
            "CALLGATE_SECRET=hunter2",
            "CALLGATE_SECRET is not the secret of the settings",
        ),
        (
            "DEADLINE_MS=1500",
            "DEADLINE_MS=1000 ; quick",
            "CALLGATE_DEADLINE_MS is 1000, not longer than agi.deadline (1000 ms)",
        ),
        (
            "DEADLINE_MS=1500",
            "DEADLINE_MS=2s",
            "CALLGATE_DEADLINE_MS is 2s, no number of milliseconds",
        ),
    ],
)
def test_globals_that_contradict_policy_or_settings_fail(
    config: Path, asterisk: Path, before: str, after: str, text: str
) -> None:
    path = asterisk / "callgate/callgate-globals.conf"
    path.write_text(path.read_text().replace(before, after))
    assert told(examine(config, asterisk)[1], "globals") == [("fail", f"{path}: {text}")]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("line", ["", "CALLGATE_DEADLINE_MS=0\n"])
def test_a_deadline_that_is_not_set_is_that_of_the_shipped_code(
    config: Path, asterisk: Path, line: str
) -> None:
    path = asterisk / "callgate/callgate-globals.conf"
    path.write_text(path.read_text().replace("CALLGATE_DEADLINE_MS=1500\n", line))
    assert told(examine(config, asterisk)[1], "globals")[0][0] == "ok"
    config.write_text(config.read_text().replace("deadline: 1s", "deadline: 1600ms", 1))
    assert told(examine(config, asterisk)[1], "globals") == [
        ("fail", f"{path}: CALLGATE_DEADLINE_MS is 1500, not longer than agi.deadline (1600 ms)")
    ]
    assert (
        f"{{CALLGATE_DEADLINE_MS}}:{DEFAULT_DEADLINE})"
        in (asterisk / "callgate/callgate.conf").read_text()
    )


@pytest.mark.usefixtures("running")
def test_emergency_numbers_behind_codes_are_compared_too(config: Path, asterisk: Path) -> None:
    policy = config.parent / "policy.yaml"
    coded = policy.read_text().replace("numbering:\n", 'numbering:\n  strip: ["#31#"]\n', 1)
    policy.write_text(coded)
    path = asterisk / "callgate/callgate-emergency.conf"
    ((status, text),) = told(examine(config, asterisk)[1], "emergency")
    assert status == "fail"
    assert text.startswith(f"{path} lacks #31#112, #31#")
    generated = CliRunner().invoke(main, ["--config", str(config), "dialplan", "--emergency"])
    path.write_text(generated.output)
    assert told(examine(config, asterisk)[1], "emergency")[0][0] == "ok"


@pytest.mark.usefixtures("running")
def test_a_listener_on_every_address_suits_any_address_of_the_dialplan(
    config: Path, asterisk: Path
) -> None:
    config.write_text(config.read_text().replace("127.0.0.1:4573", "0.0.0.0:4573"))
    assert told(examine(config, asterisk)[1], "globals")[0][0] == "ok"


def script(folder: Path, name: str, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_asterisk_is_asked_for_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "asterisk", "echo 'Asterisk 22.10.1 built by x'", monkeypatch)
    assert machine.check_asterisk().text == "Asterisk 22.10.1"


def test_an_asterisk_that_does_not_answer_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(
        tmp_path, "asterisk", "echo 'Unable to connect to remote asterisk' >&2; exit 1", monkeypatch
    )
    remark = machine.check_asterisk()
    assert (remark.status, remark.advice != "") == ("fail", True)
    assert "Unable to connect" in remark.text


@pytest.mark.parametrize(("printed", "status"), [("yes", "ok"), ("no", "warn")])
def test_the_clock_is_asked_whether_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, status: str
) -> None:
    script(tmp_path, "timedatectl", f"echo {printed}", monkeypatch)
    assert machine.check_clock().status == status


def test_a_clock_of_long_ago_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.machine.time.time", lambda: 0.0)
    assert machine.check_clock().status == "fail"


@pytest.mark.parametrize(
    ("free", "status"), [(50 * 2**20, "fail"), (500 * 2**20, "warn"), (5 * 2**30, "ok")]
)
def test_room_on_the_disk_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: str
) -> None:
    class Usage:
        def __init__(self) -> None:
            self.free = free

    tmp_path.chmod(0o700)
    monkeypatch.setattr("gateway.cli.machine.shutil.disk_usage", lambda _: Usage())
    assert machine.check_disk(tmp_path).status == status


def test_a_state_folder_that_others_can_read_is_doubtful(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert machine.check_disk(tmp_path).advice == f"chmod 700 {tmp_path}"
    assert machine.check_disk(tmp_path / "none").status == "warn"
