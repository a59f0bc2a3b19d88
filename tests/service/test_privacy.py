"""A gateway through its life: what it writes is for its owner alone, what it says is no secret."""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gateway.pbx.asterisk import screen_path
from gateway.tokens import Scope, Tokens
from tests.fakes.asterisk import agi_call
from tests.support.http import HttpGateway

SECRETS = {
    "CALLGATE_AGI_SECRET": "agi-0f1e2d3c",
    "CALLGATE_ESL_SECRET": "esl-4b5a6978",
    "CALLGATE_FREESWITCH_PASSWORD": "fs-8796a5b4",
    "CALLGATE_ASTERISK_SECRET": "ast-c3d2e1f0",
}
LOUD_AND_MASKED = "level: debug, mask: true"
LOUD = """
log: {level: debug}
guards:
  freeswitch: {connect: "127.0.0.1:1", mode: kill}
  asterisk: {connect: "127.0.0.1:1"}
"""


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpGateway]:
    """With every secret set, as loud as it can be, and under a umask that lets others read."""
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        before = os.umask(0o022)
        gateway = HttpGateway(Path(folder))
        gateway.config.write_text(gateway.config.read_text() + LOUD)
        gateway.start()
        try:
            yield gateway
        finally:
            gateway.stop()
            os.umask(before)


async def lived(gateway: HttpGateway) -> str:
    """Calls by every way in, changes, a reload, an erasure; the token that was used."""
    state = gateway.config.parent.parent / "state"
    token = Tokens(state).create("whole", [Scope.ADMIN])
    for key in (SECRETS["CALLGATE_AGI_SECRET"], "wrong", ""):
        path = screen_path("inbound", "carrier", "", "+33612345678", "+33140000000", key=key)
        await agi_call("127.0.0.1", gateway.port, path)
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        for path in ("/v1/entries", "/v1/attempts", "/nowhere", "/v1/entries?before=nobody"):
            await client.get(path)
        client.headers["Authorization"] = "Bearer cg_wrong"
        assert (await client.get("/v1/entries")).status_code == 401
    for command in (
        ("add", "+33698765432", "--reason", "complaint"),
        ("reload",),
        ("status",),
        ("erase", "+33612345678"),
    ):
        await asyncio.to_thread(gateway.run, *command)
    return token


def descendants(pid: int) -> list[int]:
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with suppress(FileNotFoundError):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += descendants(int(child))
    return found


def commands(pid: int) -> bytes:
    """The command lines of a process and of all that it started."""
    said = b""
    for each in descendants(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            said += Path(f"/proc/{each}/cmdline").read_bytes()
    return said


def modes(state: Path) -> dict[str, int]:
    """Every file and folder with its mode; what comes and goes meanwhile may be left out."""
    found = {".": state.stat().st_mode}
    for folder, folders, files in os.walk(state):
        for name in (*folders, *files):
            path = Path(folder, name)
            with suppress(FileNotFoundError):
                found[str(path.relative_to(state))] = path.lstat().st_mode
    return found


async def test_everything_in_the_state_folder_is_for_its_owner_alone(gateway: HttpGateway) -> None:
    state = gateway.config.parent.parent / "state"
    await lived(gateway)
    running = modes(state)
    gateway.stop()
    made = {*running, *modes(state)}
    assert {"journal", "journal/archive", "attempts.db", "entries.db", "control.sock"} <= made
    assert {"tokens.json", "erase", "erasures.jsonl", "ingest.json", "last-good"} <= made
    for name, mode in [*running.items(), *modes(state).items()]:
        if not stat.S_ISLNK(mode):
            wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
            assert stat.S_IMODE(mode) == wanted, name


async def test_no_secret_is_in_a_log_or_in_the_list_of_processes(gateway: HttpGateway) -> None:
    state = gateway.config.parent.parent / "state"
    token = await lived(gateway)
    secrets = [*SECRETS.values(), token, gateway.token]
    listed = commands(gateway._process.pid)
    assert listed.count(b"gateway") >= 3
    status = await asyncio.to_thread(gateway.run, "status", "--json")
    gateway.stop()
    assert "guard" in gateway.output
    kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    for secret in secrets:
        assert secret not in gateway.output
        assert secret not in status
        assert secret.encode() not in listed
        assert secret.encode() not in kept


async def test_no_number_is_in_a_log_that_masks(gateway: HttpGateway) -> None:
    gateway.stop()
    (gateway.config.parent.parent / "output").unlink()  # the addresses in it are gone
    gateway.config.write_text(gateway.config.read_text().replace("level: debug", LOUD_AND_MASKED))
    gateway.start()
    await lived(gateway)
    key = SECRETS["CALLGATE_AGI_SECRET"]
    refused = f"entry/unblock/%2B33612999001/by=0612999001/key={key}"
    for path in (refused, "screen/inbound/carrier/%0A33612345678/x", "nowhere/+33612345678"):
        await agi_call("127.0.0.1", gateway.port, path)
    gateway.stop()
    assert "of extension *******001 was refused: +********001 is absent" in gateway.output
    for digits in ("12345678", "98765432", "612999"):
        assert digits not in gateway.output
