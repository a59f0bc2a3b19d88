"""Imports beside live calls: every call is answered, and what was answered stays in force."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.control import ControlClient
from gateway.entries import Asked, EntryStore, NewChange, Op, Status
from gateway.metrics import Metrics
from gateway.policy.decide import decide
from gateway.policy.generation import Generation, Report
from gateway.policy.model import Action
from gateway.reload import Generations, PolicyStore
from gateway.reload.overlay import managed_seq
from tests.service.test_app import Place, Process, running, verdict
from tests.support.policies import inbound

LONG = 60
"""Seconds after which a test that waits for an event has failed."""
AT_ONCE = 50
ROWS = 20_000


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - the state of another task, which has no event
            await asyncio.sleep(0.02)


class Store:
    """A policy store whose compiler can be held, beside a log that others write."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("store", "folding"):
            monkeypatch.setattr(f"gateway.reload.{module}.LAY_AT_ONCE", AT_ONCE)
        self.policy = root / "policy.yaml"
        self.policy.write_text("lists:\n  nuisance: {action: block, prefixes: [+33162]}\n")
        self.entries = EntryStore(root / "entries.db")
        generations = Generations(root / "last-good", root / "entries.db")
        self.policies = PolicyStore(self.policy, self.entries, generations, Metrics())
        self.compiled = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        compile = Generations.compile

        async def held(
            its: Generations, path: Path, *, force: bool = False, managed: bool = True
        ) -> tuple[Report, Generation | None]:
            found = await compile(its, path, force=force, managed=managed)
            self.compiled.set()
            await self.go_on.wait()
            return found

        monkeypatch.setattr(Generations, "compile", held)

    def import_(self, count: int, start: int = 0) -> list[str]:
        """As another process does; the numbers."""
        digits = [str(33610000000 + number) for number in range(start, start + count)]
        self.entries.apply_all(
            [NewChange(op=Op.ADD, who="bob", source="import:x", digits=each) for each in digits]
        )
        return digits

    def blocked(self, digits: str) -> bool:
        return decide(inbound(f"+{digits}"), self.policies.current).action is Action.BLOCK

    async def caught_up(self) -> None:
        """Until every change is in the policy, by the looks that a gateway has once a second."""
        async with asyncio.timeout(LONG):
            while self.seq < self.entries.rev:
                assert await self.policies.absorb()
                await asyncio.sleep(0.02)

    @property
    def seq(self) -> int:
        return managed_seq(self.policies.current)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store(tmp_path, monkeypatch)
    yield store
    store.entries.close()


def change(op: Op, digits: str) -> NewChange:
    return NewChange(op=op, who="alice", source="cli", digits=digits)


async def test_more_changes_than_are_laid_at_once_are_compiled_in(store: Store) -> None:
    await store.policies.start()
    told: list[frozenset[str]] = []
    store.policies.on_added = told.append
    store.go_on.clear()
    numbers = store.import_(3 * AT_ONCE)
    assert await store.policies.absorb()
    assert store.seq == 0
    store.go_on.set()
    await until(lambda: store.seq == len(numbers))
    assert all(map(store.blocked, numbers))
    assert len(told) == 1
    assert "blacklist" in told[0]
    assert store.policies.totals["blacklist"] == len(numbers)
    await store.policies.close()


async def test_what_is_answered_during_an_import_is_in_force_at_once_and_stays(
    store: Store,
) -> None:
    await store.policies.start()
    store.compiled.clear()
    store.go_on.clear()
    numbers = store.import_(3 * AT_ONCE)
    assert await store.policies.absorb()
    await asyncio.wait_for(store.compiled.wait(), LONG)
    numbers += store.import_(3 * AT_ONCE, start=1000)
    policies, own = store.policies, "33699999999"

    [added] = await policies.apply_changes([change(Op.ADD, own)])
    assert (added.status, added.warning) == (Status.ADDED, "")
    assert store.blocked(own)
    [there] = await policies.apply_changes([change(Op.ADD, numbers[3])])
    assert there.status is Status.EXISTS
    assert store.blocked(numbers[3])
    [removed] = await policies.apply_changes([change(Op.REMOVE, numbers[-1])])
    assert removed.status is Status.REMOVED
    assert not store.blocked(numbers[-1])
    assert store.seq == 0, "the import itself waits"

    store.go_on.set()
    await until(lambda: store.seq >= 3 * AT_ONCE)
    assert store.blocked(own)
    assert store.blocked(numbers[3])
    await store.caught_up()
    assert store.blocked(own)
    assert all(map(store.blocked, numbers[:-1]))
    assert not store.blocked(numbers[-1])
    await policies.close()


async def test_a_compilation_takes_nothing_back_that_was_in_force(store: Store) -> None:
    """More was laid while it ran than is laid at once."""
    await store.policies.start()
    store.compiled.clear()
    store.go_on.clear()
    reload = asyncio.create_task(store.policies.reload())
    await asyncio.wait_for(store.compiled.wait(), LONG)
    numbers: list[str] = []
    for start in range(0, 4 * AT_ONCE, AT_ONCE):
        numbers += store.import_(AT_ONCE, start=start)
        assert await store.policies.absorb()
    assert store.seq == len(numbers)
    store.import_(2 * AT_ONCE, start=1000)
    store.go_on.set()
    assert (await reload).ok
    assert store.seq == len(numbers)
    assert all(map(store.blocked, numbers))
    await store.policies.close()


async def test_an_import_loads_no_yaml_that_nobody_asked_to_load(store: Store) -> None:
    await store.policies.start()
    first = store.policies.last
    store.policy.write_text("lists:\n  nuisance: {action: block, prefixes: [+33163]}\n")
    numbers = store.import_(3 * AT_ONCE)
    seen = []
    for _ in range(3):
        assert await store.policies.absorb()
        seen.append(store.seq)
    assert seen == [AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE]
    assert all(map(store.blocked, numbers))
    await store.policies.close()
    assert store.policies.last is first
    assert store.blocked("33162000000")
    assert not store.blocked("33163000000")


async def test_a_start_lays_what_was_imported_since_the_last_good_policy(store: Store) -> None:
    await store.policies.start()
    numbers = store.import_(3 * AT_ONCE)
    store.policy.write_text("broken: [")
    metrics = Metrics()
    root = store.policy.parent
    again = PolicyStore(
        store.policy, store.entries, Generations(root / "last-good", root / "entries.db"), metrics
    )
    assert (await again.start()).status == "failed"
    assert managed_seq(again.current) == len(numbers)


# --- the whole process


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        yield Place(Path(folder))


async def imported(place: Place, file: Path, *options: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "--config", str(place.config)),
        *("import", str(file), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=Path(__file__).parents[2],
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def calls_until(done: asyncio.Task[tuple[int, str]], gateway: Process) -> list[str]:
    """The verdicts on calls of a number that no import names."""
    found = []
    while not done.done():
        found.append(await verdict(gateway.port, "+33162000000"))
        found.append(await verdict(gateway.port, "+33140111111"))
    return found


async def test_calls_are_screened_while_a_list_is_imported(place: Place) -> None:
    file = place.config.parent / "list.txt"
    file.write_text("".join(f"+336{10000000 + number}\n" for number in range(ROWS)))
    async with running(place) as gateway, asyncio.TaskGroup() as tasks:
        importing = tasks.create_task(imported(place, file))
        calling = tasks.create_task(calls_until(importing, gateway))
        [answer] = await place.ask(lambda client: client.add([Asked(number="+33177777777")]))
        assert (answer["status"], answer["warning"]) == ("added", "")
        assert await verdict(gateway.port, "+33177777777") == "block"
        code, said = await importing
        assert (code, said) == (0, f"list.txt (text): {ROWS:,} rows: {ROWS:,} added\n")
        for number in (0, ROWS // 2, ROWS - 1):
            assert await verdict(gateway.port, f"+336{10000000 + number}") == "block"
        assert await verdict(gateway.port, "+33698000000") == "allow"
        assert await verdict(gateway.port, "+33177777777") == "block"
        verdicts = await calling
        assert set(verdicts[0::2]) == {"block"}
        assert set(verdicts[1::2]) == {"allow"}
        code, said = await imported(place, file, "--remove", "--json")
        assert code == 0
        assert '"in_force": true' in said
        assert await verdict(gateway.port, "+33610000000") == "allow"


async def test_an_import_says_when_the_gateway_goes_away_before_it_is_in_force(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.cli.importwait import in_force_at

    async with running(place):
        client = ControlClient(place.state / "control.sock")
        assert await asyncio.to_thread(in_force_at, client, 0)
        monkeypatch.setattr("gateway.cli.importwait.LONGEST_WAIT", 0.0)
        assert not await asyncio.to_thread(in_force_at, client, 1)
    assert not await asyncio.to_thread(in_force_at, client, 1)
