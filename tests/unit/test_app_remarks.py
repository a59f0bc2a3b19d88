"""What a start or a reload remarks of the settings and the state folder."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from gateway.app.remarks import exposed, unapplied
from gateway.app.state import owned
from gateway.settings import Address, Settings


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "callgate.yaml"
    path.write_text("agi: {secret: abc}\nlog: {level: info}\n")
    return path


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_listener_on_loopback_needs_no_secret(host: str) -> None:
    assert exposed("agi", Address(host, 4573), "") == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "pbx.example"])
def test_a_listener_that_others_reach_needs_one(host: str) -> None:
    assert exposed("esl", Address(host, 8084), "s3cret") == ""
    remark = exposed("esl", Address(host, 8084), "")
    assert remark.startswith(f"esl.listen is {Address(host, 8084)}, which other machines may reach")
    assert "esl.secret is not set" in remark
    assert "esl.allow" in remark
    assert exposed("esl", Address(host, 8084), "", ["192.0.2.0/24"]) == ""
    assert exposed("esl", Address(host, 8084), "", ["192.0.2.0/24", "0.0.0.0/0"]) == remark


def test_settings_that_say_the_same_are_no_matter(config: Path) -> None:
    running = Settings.load(config, {})
    config.write_text("# a remark\nlog: {level: info}\nagi: {secret: abc}\n")
    assert unapplied(running) == ()


def test_changed_settings_are_named_but_no_secret_is_told(config: Path) -> None:
    running = Settings.load(config, {})
    config.write_text("agi: {secret: xyz}\nlog: {level: debug}\n")
    assert unapplied(running) == (
        "callgate.yaml has changed (agi.secret, log.level): restart the gateway to apply it",
    )


def test_settings_that_no_longer_load_are_told_with_their_faults(config: Path) -> None:
    running = Settings.load(config, {})
    config.write_text("lgo: {}\n")
    (remark,) = unapplied(running)
    assert remark.startswith("callgate.yaml:1:1: lgo: unknown key")
    assert remark.endswith("; the gateway goes on with its settings")


def test_settings_from_no_file_cannot_differ_from_one() -> None:
    assert unapplied(Settings()) == ()


@pytest.mark.parametrize(("owner", "warned"), [(1234567, True), (0, False)])
def test_root_is_warned_of_another_user_s_state_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: int,
    warned: bool,
) -> None:
    real = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        found = list(real(path, **options))
        return os.stat_result([*found[:4], owner, *found[5:]])

    monkeypatch.setattr("gateway.app.state.os.geteuid", lambda: 0)
    monkeypatch.setattr(Path, "stat", stat)
    with caplog.at_level(logging.WARNING), owned(tmp_path):
        pass
    told = f"{tmp_path} belongs to user id {owner}, this is root: run the gateway as user id"
    assert (told in caplog.text) is warned
