"""Managed entries that cannot be read: screening goes on, nothing is lost, somebody is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.entries import Applied, EntryStore, NewChange, Op, Status
from gateway.errors import StoreError
from gateway.metrics import Metrics
from gateway.policy.decide import decide
from gateway.policy.model import Action
from gateway.reload import Generations, PolicyStore
from tests.support.policies import inbound

POLICY = "lists: {nuisance: {action: block, prefixes: [+33162]}}\n"
MORE = "lists: {nuisance: {action: block, prefixes: [+33162, +33163]}}\n"
GARBAGE = b"this was a database once" * 1000


class Place:
    """A folder with a policy, and a store on it for each start of a gateway."""

    def __init__(self, root: Path) -> None:
        self.path = root / "entries.db"
        self.policy = root / "policy.yaml"
        self.last_good = root / "last-good"
        self.metrics = Metrics()
        self._open: list[EntryStore] = []
        self.policy.write_text(POLICY)

    def entries(self) -> EntryStore:
        store = EntryStore(self.path, patient=True)
        self._open.append(store)
        return store

    def store(self) -> PolicyStore:
        self.close()
        self.metrics = Metrics()
        generations = Generations(self.last_good, self.path)
        return PolicyStore(self.policy, self.entries(), generations, self.metrics)

    def close(self) -> None:
        while self._open:
            self._open.pop().close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def add(digits: str) -> NewChange:
    return NewChange(op=Op.ADD, who="alice", source="cli", digits=digits)


def blocked(store: PolicyStore, caller: str) -> bool:
    return decide(inbound(caller), store.current).action is Action.BLOCK


def sql(path: Path, statement: str) -> None:
    """What another program does to the file."""
    db = sqlite3.connect(path)
    db.executescript(statement)
    db.close()


async def with_an_entry(place: Place) -> None:
    """A gateway that ran, with a managed entry in its last good policy."""
    store = place.store()
    await store.start()
    await store.apply_changes([add("33611111111")])
    assert (await store.reload()).ok
    place.close()


async def test_a_start_on_a_corrupt_file_runs_the_last_good_policy_with_its_entries(
    place: Place,
) -> None:
    await with_an_entry(place)
    place.path.write_bytes(GARBAGE)
    store = place.store()
    result = await store.start()
    assert "managed entries: file is not a database" in result.faults[0]
    assert blocked(store, "+33611111111")
    assert blocked(store, "+33162000000")
    assert "managed entries: file is not a database" in store.degraded
    assert place.metrics.value("callgate_policy_degraded") == 1
    with pytest.raises(StoreError, match=r"no entry can be changed: .* not a database"):
        await store.apply_changes([add("33622222222")])
    assert not (await store.reload(force=True)).ok, "force must not lose the managed entries"
    assert blocked(store, "+33611111111")
    assert place.path.read_bytes() == GARBAGE, "it is left for a person to look at"


async def test_a_file_that_is_damaged_within_is_found_at_the_start(place: Place) -> None:
    store = place.store()
    await store.start()
    await store.apply_changes([add(str(33611110000 + number)) for number in range(500)])
    assert (await store.reload()).ok
    place.close()
    pages = bytearray(place.path.read_bytes())
    assert len(pages) > 16 * 4096
    pages[8 * 4096 : 10 * 4096] = bytes(2 * 4096)
    place.path.write_bytes(pages)
    store = place.store()
    await store.start()
    assert "managed entries: " in store.degraded
    assert blocked(store, "+33611110499")


async def test_without_a_last_good_policy_the_yaml_runs_and_can_be_reloaded(place: Place) -> None:
    place.path.write_bytes(GARBAGE)
    store = place.store()
    assert (await store.start()).ok
    assert blocked(store, "+33162000000")
    assert "not a database" in store.degraded
    assert place.metrics.value("callgate_policy_degraded") == 1
    place.policy.write_text(MORE)
    assert (await store.reload()).ok
    assert blocked(store, "+33163000000")
    assert "not a database" in store.degraded


async def test_a_file_that_cannot_be_opened_is_no_end_either(place: Place) -> None:
    place.path.mkdir()
    store = place.store()
    await store.start()
    assert blocked(store, "+33162000000")
    assert "entries.db" in store.degraded


async def test_a_repaired_file_ends_the_trouble_at_the_next_start(place: Place) -> None:
    await with_an_entry(place)
    sound = place.path.read_bytes()
    place.path.write_bytes(GARBAGE)
    await place.store().start()
    place.close()
    place.path.write_bytes(sound)
    store = place.store()
    assert (await store.start()).ok
    assert not store.degraded
    await store.apply_changes([add("33622222222")])
    assert blocked(store, "+33622222222")


@pytest.mark.parametrize("older", ["missing", "from a backup"])
async def test_a_log_that_went_back_is_taken_only_by_force(place: Place, older: str) -> None:
    if older == "from a backup":
        place.store()
        place.close()
        backup = place.path.read_bytes()
    await with_an_entry(place)
    place.path.unlink()
    if older == "from a backup":
        place.path.write_bytes(backup)
    store = place.store()
    result = await store.start()
    assert result.status == "refused"
    assert result.faults == ("managed entries would go back from change 1 to 0",)
    assert blocked(store, "+33611111111")
    assert "callgate reload --force" in store.degraded
    with pytest.raises(StoreError, match="the log ends at change 0, the policy has 1"):
        await store.apply_changes([add("33622222222")])
    assert (await store.reload(force=True)).ok
    assert not store.degraded
    assert not blocked(store, "+33611111111")
    await store.apply_changes([add("33622222222")])
    assert blocked(store, "+33622222222")


async def test_a_file_that_breaks_under_a_running_gateway_is_told_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    store = place.store()
    await store.start()
    sql(place.path, "ALTER TABLE changes RENAME TO elsewhere")
    for _ in range(5):
        assert not await store.absorb()
    said = [record for record in caplog.records if "no such table" in record.getMessage()]
    assert len(said) == 1
    assert not said[0].exc_info
    assert "no such table: changes" in store.degraded
    assert place.metrics.value("callgate_policy_degraded") == 1
    sql(place.path, "ALTER TABLE elsewhere RENAME TO changes")
    assert await store.absorb()
    assert not store.degraded
    assert place.metrics.value("callgate_policy_degraded") == 0


async def test_a_change_that_is_written_stands_and_comes_into_force_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.store()
    await store.start()

    def unreadable(*_: object) -> None:
        raise StoreError("managed entries: disk I/O error")

    monkeypatch.setattr(EntryStore, "changes_since", unreadable)
    [applied] = await store.apply_changes([add("33611111111")])
    assert applied.status is Status.ADDED
    assert "not in force yet" in applied.warning
    assert "disk I/O error" in applied.warning
    assert not blocked(store, "+33611111111")
    monkeypatch.undo()
    await store.absorb()
    assert blocked(store, "+33611111111")
    assert store.totals["blacklist"] == 1
    [again] = await store.apply_changes([add("33611111111")])
    assert (again.status, again.warning) == (Status.EXISTS, "")


async def test_a_swap_that_failed_leaves_the_counts_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.store()
    await store.start()
    await store.apply_changes([add("33611111111"), add("33622222222")])
    before = dict(store.totals)
    assert before["blacklist"] == 2

    def unreadable(*_: object) -> None:
        raise StoreError("managed entries: disk I/O error")

    monkeypatch.setattr(EntryStore, "rev", property(unreadable))
    assert (await store.reload()).status == "failed"
    assert store.totals == before


def test_a_store_that_is_not_patient_says_at_once_what_is_wrong(place: Place) -> None:
    place.path.write_bytes(GARBAGE)
    with pytest.raises(StoreError, match="not a database"):
        EntryStore(place.path)
    store = place.entries()
    assert "not a database" in store.broken
    for use in (store.read, store.managed, lambda: store.changes_since(0)):
        with pytest.raises(StoreError, match="not a database"):
            use()
    with pytest.raises(StoreError, match="not a database"):
        store.apply(add("33611111111"))


def test_an_answer_without_trouble_has_no_warning() -> None:
    assert Applied(rev=1, status=Status.ADDED).warning == ""
