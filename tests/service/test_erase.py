"""A number is erased under a running gateway: the journal is rotated, calls go on, none is lost."""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.attempts.orders import erasures, orders, place
from gateway.numbers.spellings import spellings
from gateway.pbx.asterisk import screen_path
from tests.asterisk.gateway import Gateway
from tests.fakes.asterisk import agi_call

MINE, OTHER = "+33612345678", "+33698765432"


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def root(request: pytest.FixtureRequest) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        source = Path(folder) / "source"
        source.mkdir()
        (source / "callgate.yaml").write_text(
            'agi: {listen: "127.0.0.1:0"}\nesl: {listen: off}\nhttp: {listen: off}\n'
            f"workers: {request.param}\n"
        )
        (source / "policy.yaml").write_text(
            "numbering: {region: FR, trunks: {carrier: {}}}\n"
            "lists:\n  nuisance: {action: block, numbers: [+33612345678]}\n"
        )
        yield Path(folder)


@pytest.fixture
def gateway(root: Path) -> Iterator[Gateway]:
    gateway = Gateway(root, source=root / "source")
    gateway.start()
    yield gateway
    gateway.stop()


async def calls(gateway: Gateway, *callers: str) -> list[str]:
    paths = [screen_path("inbound", "carrier", "", one, "+33140000000") for one in callers]
    answers = [await agi_call("127.0.0.1", gateway.port, path) for path in paths]
    return [variables["CALLGATE_VERDICT"] for variables, _ in answers]


def holding(state: Path) -> list[str]:
    """Files of calls in which the digits of the number stand."""
    paths = [*state.glob("attempts.db*"), *(state / "journal").rglob("*"), *state.glob("er*")]
    found = []
    for path in filter(Path.is_file, paths):
        data = path.read_bytes()
        if b"612345678" in (gzip.decompress(data) if path.suffix == ".gz" else data):
            found.append(path.name)
    return found


async def test_a_number_is_erased_while_the_gateway_runs(root: Path, gateway: Gateway) -> None:
    state = root / "state"
    assert await calls(gateway, MINE, "0612345678", OTHER) == ["block", "block", "allow"]
    await asyncio.to_thread(gateway.new_attempts, 3)
    assert holding(state)
    told = json.loads(await asyncio.to_thread(gateway.run, "erase", MINE, "--json"))
    assert (told["lines"], told["attempts"], told["pending"]) == (2, 2, False)
    assert told["entries"] == [{"list": "nuisance", "origin": "policy.yaml:3", "id": 0}]
    assert not holding(state)
    assert not list(orders(state))
    assert len(erasures(state)) == 1
    assert "612345678" not in gateway.output

    assert await calls(gateway, OTHER, MINE) == ["allow", "block"]
    after = await asyncio.to_thread(gateway.new_attempts, 2)
    assert [item.caller for item in after] == [OTHER, MINE]
    gateway.forget()
    lines = gateway.run("attempts", "--json").splitlines()
    callers = sorted(json.loads(line)["caller"] for line in lines)
    assert callers == sorted([OTHER, OTHER, MINE, "erased", "erased"])


async def test_a_gateway_that_was_killed_amid_it_ends_it_after_its_restart(
    root: Path, gateway: Gateway
) -> None:
    state = root / "state"
    await calls(gateway, MINE, OTHER)
    await asyncio.to_thread(gateway.new_attempts, 2)
    gateway.freeze()  # its ingester alone cannot end it: the segment is still written
    try:
        place(state, spellings(MINE[1:]), at=0.0, who="pat", source="cli")
        assert list(orders(state))
    finally:
        gateway.kill()
        gateway.stop()
    gateway.start()
    async with asyncio.timeout(60):
        while list(orders(state)):  # noqa: ASYNC110 - what another process does
            await asyncio.sleep(0.02)
    assert not holding(state)
    assert len(erasures(state)) == 1
