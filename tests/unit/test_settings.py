"""Settings: every key, its default, its faults, and where the secret comes from."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.guardsettings import ASTERISK_VARIABLE, FREESWITCH_VARIABLE
from gateway.settings import (
    ESL_SECRET_VARIABLE,
    SECRET_VARIABLE,
    Address,
    Durability,
    LogFormat,
    LogLevel,
    Settings,
    parse_address,
)
from gateway.yamlfile import shown
from gateway.yamlmodel import parse_duration, parse_size

ROOT = Path(__file__).parents[2]
HERE = Path("/etc/callgate/callgate.yaml")


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Faults are told as seen from the folder of the settings, whatever machine this is."""
    monkeypatch.setattr(
        "gateway.settings.shown", lambda path: path.name if path == HERE else shown(path)
    )
    monkeypatch.chdir(tmp_path)


def settings(text: str, **environ: str) -> Settings:
    return Settings.parse(text.encode(), HERE, environ)


def faults(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(text, **environ)
    return [str(fault) for fault in caught.value.faults]


def test_an_empty_file_has_every_default() -> None:
    found = settings("")
    assert found.agi.listen == Address("127.0.0.1", 4573)
    assert found.esl.listen == Address("127.0.0.1", 8084)
    assert (found.agi.max_connections, found.agi.deadline, found.agi.secret) == (1000, 1.0, "")
    assert found.journal.durability is Durability.PROCESS
    assert (found.journal.segment_size, found.journal.keep) == (16 * 2**20, 90 * 86400)
    assert (found.log.level, found.log.format) == (LogLevel.INFO, LogFormat.TEXT)
    assert not found.log.mask
    assert (found.reload.watch, found.reload.poll) == (True, 30.0)


def test_the_shipped_settings_say_the_defaults() -> None:
    shipped = Settings.load(ROOT / "config" / "callgate.yaml", {})
    assert shipped.model_dump() == settings("").model_dump()
    assert shipped.policy_path == ROOT / "config" / "policy.yaml"
    assert shipped.state_dir == ROOT / "state"


def test_every_key_can_be_set() -> None:
    found = settings(
        "policy: /srv/p.yaml\nstate: /var/lib/callgate\n"
        "agi: {listen: '[::1]:4600', max_connections: 5, deadline: 250ms, secret: 12345}\n"
        "journal: {durability: disk, segment_size: 64KiB, keep: 12h}\n"
        "log: {level: debug, format: json, mask: true}\nreload: {watch: False, poll: 5m}\n"
    )
    assert found.policy_path == Path("/srv/p.yaml")
    assert found.agi.listen == Address("::1", 4600)
    assert (found.agi.max_connections, found.agi.deadline, found.agi.secret) == (5, 0.25, "12345")
    assert found.journal.durability is Durability.DISK
    assert (found.journal.segment_size, found.journal.keep) == (65536, 43200)
    assert (found.log.level, found.log.format) == (LogLevel.DEBUG, LogFormat.JSON)
    assert found.log.mask
    assert (found.reload.watch, found.reload.poll) == (False, 300)


def test_paths_are_relative_to_the_file_and_state_has_its_parts() -> None:
    found = settings("policy: sub/p.yaml\nstate: ../state")
    assert found.policy_path == Path("/etc/callgate/sub/p.yaml")
    state = Path("/etc/state")
    assert found.state_dir == state
    assert found.journal_dir == state / "journal"
    assert found.last_good_dir == state / "last-good"
    assert found.control_path == state / "control.sock"
    assert found.entries_path == state / "entries.db"
    assert found.attempts_path == state / "attempts.db"


def test_paths_are_absolute_when_the_file_was_named_relatively(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "callgate.yaml").write_text("policy: p.yaml")
    monkeypatch.chdir(tmp_path)
    assert Settings.load(Path("callgate.yaml"), {}).policy_path == tmp_path / "p.yaml"


@pytest.mark.parametrize("text", ["off", "null", "~", ""])
def test_a_listener_can_be_switched_off(text: str) -> None:
    assert settings(f"agi:\n  listen: {text}\n").agi.listen is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "agi: {listen: 127.0.0.1:5000}\nhttp: {listen: 127.0.0.1:5000}",
            "2:16: http.listen: agi.listen has that port too (127.0.0.1:5000)",
        ),
        (
            "http: {listen: 0.0.0.0:4573}",
            "1:16: http.listen: agi.listen has that port too (127.0.0.1:4573)",
        ),
        (
            "agi: {listen: localhost:8080}",
            "1:15: agi.listen: http.listen has that port too (127.0.0.1:8080)",
        ),
        (
            "esl: {listen: '[::]:5000'}\nhttp: {listen: '[::1]:5000'}",
            "2:16: http.listen: esl.listen has that port too ([::]:5000)",
        ),
        (
            "esl: {listen: pbx:5000}\nhttp: {listen: PBX:5000}",
            "2:16: http.listen: esl.listen has that port too (pbx:5000)",
        ),
    ],
)
def test_two_listeners_of_one_port_are_a_fault_that_names_both(text: str, fault: str) -> None:
    assert faults(text) == [f"callgate.yaml:{fault}: give one of them another"]


@pytest.mark.parametrize(
    "text",
    [
        "agi: {listen: 127.0.0.1:0}\nhttp: {listen: 127.0.0.1:0}",
        "agi: {listen: off}\nhttp: {listen: 127.0.0.1:4573}",
        "agi: {listen: 127.0.0.2:8080}",
        "agi: {listen: 192.0.2.1:5000}\nesl: {listen: '[::]:5000'}",
        "agi: {listen: pbx:5000}\nesl: {listen: lan:5000}",
    ],
)
def test_listeners_that_may_both_be_opened_are_no_fault(text: str) -> None:
    settings(text)


def test_all_faults_come_in_one_report() -> None:
    assert faults(
        "agi: {listen: 4573, secret: 1 2, max_connections: 0, deadline: 2h}\nlogs: {}\n"
        "log: {level: trace, fromat: x}\nreload: {watch: yes, poll: 30}\n"
        "journal:\n  keep: 90\n  segment_size: 1KiB\nstate:\nlog: {}\n"
    ) == [
        "callgate.yaml:1:15: agi.listen: must be host:port, such as 192.0.2.1:5000, or off, "
        "not '4573'",
        "callgate.yaml:1:29: agi.secret: must be 1 to 128 letters, digits or . _ ~ - "
        "(it travels in a URL)",
        "callgate.yaml:1:51: agi.max_connections: must be 1 or more",
        "callgate.yaml:1:64: agi.deadline: must lie between 10ms and 60s",
        "callgate.yaml:2:1: logs: unknown key; did you mean 'log'?",
        "callgate.yaml:3:14: log.level: must be 'debug', 'info', 'warning' or 'error', not 'trace'",
        "callgate.yaml:3:21: log.fromat: unknown key; did you mean 'format'?",
        "callgate.yaml:4:17: reload.watch: must be true or false, not 'yes'",
        "callgate.yaml:4:28: reload.poll: must be a number with ms, s, m, h or d, such as 30m, "
        "not '30'",
        "callgate.yaml:6:9: journal.keep: must be a number with ms, s, m, h or d, such as 30m, "
        "not '90'",
        "callgate.yaml:7:17: journal.segment_size: must be 64KiB or more",
        "callgate.yaml:8:7: state: must be text, and there is nothing here",
        "callgate.yaml:9:1: log: duplicate key; it is also on line 3",
    ]


def test_a_poll_is_not_faster_than_a_second() -> None:
    assert faults("reload: {poll: 500ms}") == [
        "callgate.yaml:1:16: reload.poll: must be 1s or more"
    ]


def test_settings_are_a_mapping() -> None:
    assert faults("[1]") == ["callgate.yaml:1:1: must be a mapping of keys to values"]


def test_a_missing_file_is_a_fault() -> None:
    with pytest.raises(ConfigError, match=r"^/nowhere/x\.yaml: cannot be read: No such file"):
        Settings.load(Path("/nowhere/x.yaml"), {})


def test_the_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    found = Settings.parse(b"agi: {secret_file: secret}", tmp_path / "c.yaml", {})
    assert found.agi.secret == "s3cret"
    assert found.policy_path == tmp_path / "policy.yaml"


def test_the_environment_overrides_the_secret_of_the_file() -> None:
    environ = {SECRET_VARIABLE: "other"}
    assert settings("agi: {secret: one}", **environ).agi.secret == "other"
    assert settings("agi: {secret_file: /nowhere}", **environ).agi.secret == "other"


def test_the_two_listeners_have_secrets_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    text = b"agi: {secret: one}\nesl: {secret_file: secret}"
    found = Settings.parse(text, tmp_path / "c.yaml", {})
    assert (found.agi.secret, found.esl.secret) == ("one", "s3cret")
    found = Settings.parse(text, tmp_path / "c.yaml", {ESL_SECRET_VARIABLE: "two"})
    assert (found.agi.secret, found.esl.secret) == ("one", "two")
    assert faults("", **{ESL_SECRET_VARIABLE: ""})[0].startswith(ESL_SECRET_VARIABLE)
    assert faults("esl: {secret: one, secret_file: x}")[0].startswith("callgate.yaml:1:20: esl.")


def test_a_secret_may_be_a_credential_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "callgate_agi_secret").write_text("s3cret\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    found = settings("agi: {secret: one}\nesl: {secret: two}", **environ)
    assert (found.agi.secret, found.esl.secret) == ("s3cret", "two")
    assert settings("agi: {secret_file: /nowhere}", **environ).agi.secret == "s3cret"
    assert settings("", **environ, **{SECRET_VARIABLE: "other"}).agi.secret == "other"


def test_an_unusable_credential_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "callgate_agi_secret").write_text("")
    (fault,) = faults("agi: {secret: one}", CREDENTIALS_DIRECTORY=str(tmp_path))
    assert fault.startswith(f"{tmp_path}/callgate_agi_secret: the secret must be 1 to 128")


def test_a_secret_is_not_shown() -> None:
    assert "hush" not in repr(settings("agi: {secret: hush}"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the secret must be 1 to 128"),
        (b"a b", "the secret must be 1 to 128"),
        (b"\xff", "cannot be read: it is not text"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_an_unusable_secret_file_is_a_fault(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Settings.parse(b"agi: {secret_file: secret}", tmp_path / "c.yaml", {})
    assert str(caught.value).startswith(f"c.yaml:1:20: agi.secret_file: {message}")


def test_an_unusable_secret_in_the_environment_is_a_fault() -> None:
    assert faults("", **{SECRET_VARIABLE: ""})[0].startswith(f"{SECRET_VARIABLE}: the secret must")


def test_secret_and_secret_file_exclude_each_other() -> None:
    assert faults("agi: {secret: a, secret_file: b}") == [
        "callgate.yaml:1:18: agi.secret_file: secret and secret_file exclude each other"
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("1s", 1), ("30m", 1800), ("12h", 43200), ("90d", 7776000)],
)
def test_a_duration_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"), [("1B", 1), ("2KiB", 2048), ("16MiB", 2**24), ("1GiB", 2**30)]
)
def test_a_size_is_a_number_with_its_unit(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "1", "s", "-1s", "1 s", "1.5s", "٣s", "1w", "9999999999s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number with"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "1", "1MB", "1 KiB", "-1B", "1.5GiB"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number with"):
        parse_size(text)


@pytest.mark.parametrize(
    "text", ["127.0.0.1:4573", "[::1]:0", "gateway.example:65535", "localhost:1"]
)
def test_an_address_reads_back_as_it_is_written(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize("text", ["", "4573", ":4573", "host", "host:", "host:x", "::1:4573"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="must be host:port"):
        parse_address(text)


@given(st.binary(max_size=120))
def test_any_bytes_are_settings_or_a_report(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        assert Settings.parse(data, HERE, {}).policy_path.is_absolute()


def test_guards_are_off_until_they_know_where_to_connect() -> None:
    found = settings("").guards
    assert (found.freeswitch.connect, found.asterisk.connect) == (None, None)


def test_a_guard_has_its_settings() -> None:
    found = settings(
        "guards:\n"
        "  freeswitch: {connect: 127.0.0.1:8021, mode: kill, allowed: ok XML out, audit: 5s}\n"
        "  asterisk: {connect: '[::1]:5038', username: me, secret: s 1, trunk: carrier}\n"
    ).guards
    assert found.freeswitch.connect == Address("127.0.0.1", 8021)
    assert (found.freeswitch.mode, found.freeswitch.password) == ("kill", "ClueCon")
    assert (found.freeswitch.allowed, found.freeswitch.audit) == ("ok XML out", 5)
    assert (found.asterisk.username, found.asterisk.secret) == ("me", "s 1")


def test_the_passwords_of_guards_come_from_files_and_the_environment_too(tmp_path: Path) -> None:
    path = tmp_path / "callgate.yaml"
    (tmp_path / "secret").write_text("from-file\n")
    text = (
        "guards:\n  freeswitch: {connect: pbx:8021, password_file: secret, mode: kill}\n"
        "  asterisk: {connect: pbx:5038, secret_file: secret}\n"
    )
    found = Settings.parse(text.encode(), path, {}).guards
    assert (found.freeswitch.password, found.asterisk.secret) == ("from-file", "from-file")
    environ = {FREESWITCH_VARIABLE: "one", ASTERISK_VARIABLE: "two"}
    found = Settings.parse(text.encode(), path, environ).guards
    assert (found.freeswitch.password, found.asterisk.secret) == ("one", "two")


def test_the_password_that_everybody_knows_is_for_loopback_only() -> None:
    for near in ("127.0.0.1:8021", "'[::1]:8021'", "localhost:8021"):
        text = f"guards: {{freeswitch: {{connect: {near}, mode: kill}}}}"
        assert settings(text).guards.freeswitch.connect
    assert faults("guards: {freeswitch: {connect: 192.0.2.1:8021}}") == [
        "callgate.yaml:1:32: guards.freeswitch.connect: needs a password of your own: "
        "everybody knows ClueCon"
    ]


def test_a_guard_of_parked_calls_must_be_told_where_allowed_ones_go() -> None:
    """Any default would let callers from outside into some context of somebody's."""
    assert settings("").guards.freeswitch.allowed == ""
    (fault,) = faults("guards: {freeswitch: {connect: 127.0.0.1:8021}}")
    assert fault.endswith(
        "guards.freeswitch.connect: needs allowed, where allowed calls go, such as '* XML screened'"
    )
    kept = settings("guards: {freeswitch: {connect: '127.0.0.1:8021', allowed: '* XML in'}}")
    assert kept.guards.freeswitch.allowed == "* XML in"


def test_a_guard_of_asterisk_needs_a_secret() -> None:
    (fault,) = faults("guards: {asterisk: {connect: 127.0.0.1:5038}}")
    assert fault.endswith(
        "guards.asterisk.connect: needs a secret, secret_file or CALLGATE_ASTERISK_SECRET"
    )


@pytest.mark.parametrize(
    "text",
    [
        'freeswitch: {password: "a\\tb"}',
        'freeswitch: {password: "a\\nb"}',
        "freeswitch: {allowed: two words}",
        "freeswitch: {allowed: '${x} XML default'}",
        "freeswitch: {blocked: '-both XML default'}",
        "freeswitch: {mode: watch}",
        "freeswitch: {audit: 1ms}",
        "asterisk: {deadline: 2m}",
        'asterisk: {username: "a\\r\\nb"}',
        'asterisk: {secret: "a\\r\\nAction: Originate"}',
    ],
)
def test_what_a_guard_cannot_use_is_a_fault(text: str) -> None:
    assert len(faults(f"guards:\n  {text}\n")) == 1
