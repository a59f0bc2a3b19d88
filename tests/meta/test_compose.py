"""What the compose file, the image and the systemd unit name exists and fits together.

No container engine is needed: the files are read, and compared with the project and each other.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli import COMMANDS
from gateway.settings import SECRET_VARIABLE, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FREESWITCH = (DEPLOY / "freeswitch/freeswitch.xml").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
KNOWN_VARIABLES = {"CALLGATE_CONFIG", SECRET_VARIABLE}


def mounts(service: str) -> dict[str, str]:
    """Path inside the container to what is mounted there."""
    pairs = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    return {pair[1]: pair[0] for pair in pairs}


def ports(service: str) -> set[str]:
    """Ports or ranges inside the container, with their protocol."""
    return {port.rpartition(":")[2] for port in SERVICES[service]["ports"]}


def sections(path: Path) -> list[tuple[str, dict[str, str]]]:
    """An Asterisk configuration file: its sections in order, names may repeat."""
    found: list[tuple[str, dict[str, str]]] = []
    for line in path.read_text().splitlines():
        text = line.partition(";")[0].strip()
        if text.startswith("["):
            found.append((text, {}))
        elif "=" in text and found:
            key, _, value = text.partition("=")
            found[-1][1][key.strip()] = value.strip("> ")
    return found


def freeswitch(name: str) -> str:
    """A parameter of the FreeSWITCH that is tried out."""
    found = re.findall(rf'<param name="{name}" value="(.*)"/>', FREESWITCH)
    assert len(found) == 1, found
    return str(found[0])


@pytest.mark.parametrize("service", SERVICES)
def test_every_mounted_path_and_volume_exists(service: str) -> None:
    for source in mounts(service).values():
        if source.startswith("."):
            assert (ROOT / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_a_name_and_a_tag_or_is_built_from_a_file_that_exists(service: str) -> None:
    build = SERVICES[service].get("build")
    if build:
        assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    else:
        assert re.fullmatch(r"[a-z]+/[a-z]+:\d+(\.\d+)*", SERVICES[service]["image"])


def test_every_published_port_is_one_that_the_pbx_listens_on() -> None:
    rtp = dict(sections(DEPLOY / "asterisk/rtp.conf"))["[general]"]
    bind = dict(sections(DEPLOY / "asterisk/pjsip.conf"))["[transport-udp]"]["bind"]
    assert ports("asterisk") == {
        f"{bind.rpartition(':')[2]}/udp",
        f"{rtp['rtpstart']}-{rtp['rtpend']}/udp",
        f"{freeswitch('sip-port')}/udp",
        f"{freeswitch('rtp-start-port')}-{freeswitch('rtp-end-port')}/udp",
    }
    assert "ports" not in SERVICES["freeswitch"]


def test_ports_are_published_on_loopback_unless_told_otherwise() -> None:
    for port in SERVICES["asterisk"]["ports"]:
        assert port.startswith("${CALLGATE_BIND:-127.0.0.1}:")
        assert "CALLGATE_BIND" in (ROOT / "docs/install.md").read_text()


def test_the_gateway_listens_where_the_dialplan_asks() -> None:
    assert SERVICES["gateway"]["network_mode"] == "service:asterisk"
    globals_file = (ROOT / "dialplan/asterisk/callgate-globals.conf").read_text()
    asked = re.search(r"^CALLGATE_ADDRESS=(\S+)$", globals_file, re.MULTILINE)
    assert asked
    assert asked[1] == str(Settings.load(ROOT / "config/callgate.yaml", {}).agi.listen)


def test_the_gateway_finds_its_settings_and_keeps_its_state_on_the_volume() -> None:
    environment = SERVICES["gateway"]["environment"]
    assert set(environment) <= KNOWN_VARIABLES
    config = environment["CALLGATE_CONFIG"]
    where = mounts("gateway")
    assert config.rpartition("/")[0] in where
    assert f"ENV CALLGATE_CONFIG={config}\n" in DOCKERFILE
    relative = Settings.load(ROOT / "config/callgate.yaml", {}).state_dir.relative_to(ROOT)
    assert f"{config.rpartition('/config/')[0]}/{relative}" in where


def test_freeswitch_finds_the_gateway_and_the_files_that_it_includes() -> None:
    service = SERVICES["freeswitch"]
    assert service["network_mode"] == SERVICES["gateway"]["network_mode"]
    folder = service["entrypoint"][service["entrypoint"].index("-conf") + 1]
    where = mounts("freeswitch")
    for name in re.findall(r'cmd="include" data="(.+)"', FREESWITCH):
        source = ROOT / where[f"{folder}/{name.removesuffix('/*.xml')}"]
        assert source.is_file() if source.suffix else list(source.glob("*.xml")), name
    assert f"{folder}/callgate" in where
    asked = re.search(
        r'"callgate_address=(.+)"', (ROOT / where[f"{folder}/callgate_vars.xml"]).read_text()
    )
    assert asked
    assert asked[1] == str(Settings.load(ROOT / "config/callgate.yaml", {}).esl.listen)


def test_freeswitch_names_a_trunk_of_the_policy_and_has_the_same_phones() -> None:
    trunk = re.search(r'"callgate_trunk=(\w+)"', FREESWITCH)
    assert trunk
    assert f"    {trunk[1]}:" in (ROOT / "config/policy.yaml").read_text()
    pjsip = (DEPLOY / "asterisk/pjsip.conf").read_text()
    passwords = re.findall(r'name="password" value="(try-callgate-\d+)"', FREESWITCH)
    assert passwords == re.findall(r"password=(\S+)", pjsip)


def test_the_dialplan_includes_files_that_are_mounted() -> None:
    text = (DEPLOY / "asterisk/extensions.conf").read_text()
    included = re.findall(r'^#include "(.+)"$', text, re.MULTILINE)
    assert included
    for name in included:
        folder, _, file = name.partition("/")
        source = mounts("asterisk")[f"/etc/asterisk/{folder}"]
        assert (ROOT / source / file).is_file(), name


def test_the_dialplan_names_a_trunk_of_the_policy_and_phones_that_exist() -> None:
    text = (DEPLOY / "asterisk/extensions.conf").read_text()
    policy = (ROOT / "config/policy.yaml").read_text()
    for trunk in re.findall(r"Gosub\(callgate-\w+,s,1\((\w+)", text):
        assert re.search(rf"^    {trunk}:", policy, re.MULTILINE)
    phones = {name for name, keys in sections(DEPLOY / "asterisk/pjsip.conf") if "auth" in keys}
    assert phones == {"[1001](phone)", "[1002](phone)"}
    assert "context=from-phones" in (DEPLOY / "asterisk/pjsip.conf").read_text()
    assert "[from-phones]" in text


def test_everything_that_the_image_copies_exists() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source


def test_the_image_runs_commands_that_exist_as_a_user_of_its_own() -> None:
    assert re.search(r'^CMD \["serve"\]$', DOCKERFILE, re.MULTILINE)
    assert 'CMD ["callgate", "probe"]' in DOCKERFILE
    assert {"serve", "probe"} <= set(COMMANDS)
    assert DOCKERFILE.index("useradd") < DOCKERFILE.index("USER callgate")


def test_the_image_has_the_lowest_python_that_is_claimed() -> None:
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()
    assert "FROM python:3.11-slim" in DOCKERFILE


def unit() -> configparser.ConfigParser:
    """The systemd unit; of a key that is given twice the last counts here."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "callgate.service")
    return parser


def test_the_unit_runs_commands_that_exist() -> None:
    service = unit()["Service"]
    started, reloaded = service["ExecStart"].split(), service["ExecReload"].split()
    assert started[0] == reloaded[0] == "/opt/callgate/.venv/bin/callgate"
    assert (started[-1], reloaded[-1]) == ("serve", "reload")
    assert started[1:3] == reloaded[1:3] == ["--config", "/etc/callgate/callgate.yaml"]
    assert service["Type"] == "notify"


def test_the_unit_lets_the_gateway_write_its_state_and_nothing_else() -> None:
    service = unit()["Service"]
    assert service["ProtectSystem"] == "strict"
    assert service["StateDirectory"] == "callgate"
    assert service["StateDirectoryMode"] == "0700"
    assert "ReadWritePaths" not in service
    assert service["NoNewPrivileges"] == "yes"
    assert {"AF_UNIX", "AF_INET", "AF_INET6"} == set(service["RestrictAddressFamilies"].split())
