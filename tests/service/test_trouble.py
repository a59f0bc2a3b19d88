"""What a reload and its watch do when the machine, not the policy, is at fault."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gateway.app.gateway import _tell_death
from gateway.entries import EntryStore, NewChange, Op
from gateway.metrics import Metrics
from gateway.policy.stamps import Stamp
from gateway.reload import Generations, PolicyStore
from gateway.watch import Watcher

LONG = 30


@pytest.fixture
def entries(tmp_path: Path) -> Iterator[EntryStore]:
    store = EntryStore(tmp_path / "entries.db")
    yield store
    store.close()


@pytest.fixture
async def store(tmp_path: Path, entries: EntryStore) -> PolicyStore:
    policy = tmp_path / "policy.yaml"
    policy.write_text("lists: {nuisance: {action: block, prefixes: [+33162]}}\n")
    generations = Generations(tmp_path / "last-good", tmp_path / "entries.db")
    store = PolicyStore(policy, entries, generations, Metrics())
    assert (await store.start()).ok
    return store


def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script in the place of the interpreter that compiles."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(path))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - the state of another task, which has no event
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no memory left >&2; kill -9 $$", "the compiler ended with -9: no memory left"),
        ("exit 0", "the compiler ended with 0"),
        ('for last; do :; done; echo torn > "$last/report.json"; exit 1', "ended with 1"),
    ],
)
async def test_a_compiler_that_dies_changes_nothing(
    tmp_path: Path, store: PolicyStore, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    before, stamps = store.current, store.stamps
    compiler(tmp_path, monkeypatch, script)
    result = await store.reload()
    assert result.status == "failed"
    assert said in result.faults[0]
    assert store.current is before
    assert store.stamps == stamps, "nothing was read, so the watch must try again"
    monkeypatch.undo()
    assert (await store.reload()).ok


async def test_a_compiler_that_takes_for_ever_is_given_up(
    tmp_path: Path, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(tmp_path, monkeypatch, "exec sleep 600")
    monkeypatch.setattr("gateway.reload.generations.TIMEOUT", 0.05)
    result = await store.reload()
    assert "took longer" in result.faults[0]


async def test_a_reload_that_is_cancelled_leaves_no_compiler_behind(
    tmp_path: Path, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "pid"
    compiler(tmp_path, monkeypatch, f"echo $$ > {written}; exec sleep 600")
    reload = asyncio.create_task(store.reload())
    async with asyncio.timeout(LONG):
        while not (written.exists() and written.read_text().endswith("\n")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    reload.cancel()
    await asyncio.wait({reload})
    assert reload.cancelled()
    assert not Path(f"/proc/{int(written.read_text())}").exists()  # noqa: ASYNC240


def add(number: int) -> NewChange:
    return NewChange(op=Op.ADD, who="alice", source="cli", digits=str(33611111100 + number))


async def test_changes_are_folded_in_once_at_a_time_and_not_after_the_end(
    tmp_path: Path, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the files is held up, so that every change comes while a fold is under way."""
    monkeypatch.setattr("gateway.reload.folding.FOLD_AFTER", 1)
    written = tmp_path / "pids"
    compiler(tmp_path, monkeypatch, f"echo $$ >> {written}; exec sleep 600")
    looks, held = asyncio.Queue[None](), asyncio.Event()

    async def changed() -> bool:
        looks.put_nowait(None)
        await held.wait()
        return False

    monkeypatch.setattr(store, "changed", changed)
    for number in range(5):
        await store.apply_changes([add(number)])
        await asyncio.sleep(0)
    assert looks.qsize() == 1
    held.set()
    await until(lambda: written.exists() and written.read_text().endswith("\n"))
    await store.apply_changes([add(6)])
    await store.close()
    [pid] = written.read_text().split()
    assert not Path(f"/proc/{pid}").exists()  # noqa: ASYNC240
    await store.close()


async def test_a_fold_that_fails_is_told(
    store: PolicyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> bool:
        raise RuntimeError("broken")

    monkeypatch.setattr("gateway.reload.folding.FOLD_AFTER", 1)
    monkeypatch.setattr(store, "changed", broken)
    await store.apply_changes([add(1), add(2)])
    await until(lambda: "could not be compiled in" in caplog.text)


async def test_a_policy_that_cannot_be_kept_runs_all_the_same(
    store: PolicyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: Generations) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Generations, "keep", full)
    store.path.write_text("lists: {nuisance: {action: block, prefixes: [+33162, +33163]}}\n")
    assert (await store.reload()).ok
    assert store.total == 2
    assert "could not be kept as last good" in caplog.text


async def test_what_was_kept_is_never_discarded(tmp_path: Path, store: PolicyStore) -> None:
    kept = sorted(path.name for path in (tmp_path / "last-good").iterdir())
    for generations in (store._generations, Generations(tmp_path / "last-good", tmp_path / "e.db")):
        generations.discard()
        with pytest.raises(FileNotFoundError, match="nothing was compiled"):
            generations.keep()
    assert sorted(path.name for path in (tmp_path / "last-good").iterdir()) == kept
    assert generations.last_good().policy.revision == store.current.revision


async def test_a_disk_that_refuses_keeps_the_policy(tmp_path: Path, store: PolicyStore) -> None:
    aside = tmp_path / "last-good"
    aside.rename(tmp_path / "moved")
    aside.write_text("in the way")
    result = await store.reload()
    assert result.status == "failed"
    assert "last-good" in result.faults[0]


async def test_a_start_that_could_not_even_look_at_the_policy_is_tried_again(
    tmp_path: Path, entries: EntryStore, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(tmp_path, monkeypatch, "kill -9 $$")
    generations = Generations(tmp_path / "last-good", tmp_path / "entries.db")
    again = PolicyStore(store.path, entries, generations, Metrics())
    assert not (await again.start()).ok
    assert again.degraded
    assert again.stamps == (Stamp(str(store.path)),)
    assert await again.changed()


async def test_where_directories_cannot_be_watched_they_are_polled(
    store: PolicyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def exhausted(*_: object, **__: object) -> AsyncIterator[None]:
        raise OSError(28, "inotify watch limit reached")
        yield

    warning = "cannot watch directories, polling instead"
    monkeypatch.setattr("gateway.watch.awatch", exhausted)
    watching = asyncio.create_task(Watcher(store, poll=0.05).run())
    await until(lambda: warning in caplog.text)
    store.path.write_text("lists: {nuisance: {action: block, prefixes: [+33162, +33163]}}\n")
    await until(lambda: store.total == 2)
    watching.cancel()
    await asyncio.wait({watching})
    assert caplog.text.count(warning) == 1


async def test_a_look_that_fails_is_not_the_last_one(
    store: PolicyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = asyncio.Queue[None]()

    async def broken() -> bool:
        looks.put_nowait(None)
        raise RuntimeError("broken")

    monkeypatch.setattr(store, "changed", broken)
    watching = asyncio.create_task(Watcher(store, poll=0.05).run())
    async with asyncio.timeout(LONG):
        for _ in range(3):
            await looks.get()
    watching.cancel()
    await asyncio.wait({watching})
    assert "cannot look for changes" in caplog.text


async def test_a_part_that_dies_is_known(caplog: pytest.LogCaptureFixture) -> None:
    async def part() -> None:
        raise RuntimeError("unexpected")

    task = asyncio.create_task(part())
    task.add_done_callback(_tell_death)
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
    assert "unexpected" in caplog.text


async def test_a_report_of_megabytes_is_not_read(
    tmp_path: Path, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = '{"faults":[{"file":"","line":0,"column":0,"key":"","message":"'
    whole = f"printf '{head}'; head -c 9000000 /dev/zero | tr '\\0' x; printf '\"}}]}}'"
    compiler(
        tmp_path,
        monkeypatch,
        f'for last; do :; done; ({whole}) > "$last/report.json"; exit 1',
    )
    result = await store.reload()
    assert "the compiler ended with 1" in result.faults[0]
