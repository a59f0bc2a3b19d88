"""Live attempts: nothing lost in silence, nothing twice, and nobody waits for a slow watcher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.attempts.ingest import Ingester
from gateway.attempts.journal import Journal
from gateway.attempts.model import Attempt
from gateway.attempts.store import AttemptStore
from gateway.errors import StoreError
from gateway.web import live as module
from gateway.web.live import BATCH, ROOM, Live, TooMany, Watcher
from tests.support.attempts import NOON, append_many, make_attempt

Given = tuple[list[Attempt], bool]
LONG = 30.0
MOST = 4


class Feed:
    """A store that attempts are put into, and how often it was asked; ``broken`` makes it fail."""

    def __init__(self, state: Path) -> None:
        self.store = AttemptStore(state / "attempts.db")
        self._journal = Journal(state / "journal", 0)
        self._ingester = Ingester(state, None)
        self._at = NOON
        self.broken = False
        self.asked = 0
        self.changed = asyncio.Event()

    async def read(self, ask: Callable[[AttemptStore], Any]) -> Any:
        self.asked += 1
        self.changed.set()
        if self.broken:
            raise StoreError("attempts.db: disk I/O error")
        return ask(self.store)

    def put(self, count: int) -> list[str]:
        """Have attempts arrive; their ids."""
        found = append_many(self._journal, count, self._at)
        self._at += count
        self._ingester.step(lambda: False)
        return [attempt.id for attempt in found]

    async def looks(self, count: int = 3) -> None:
        """Return when the feeder has looked so many times more."""
        wanted = self.asked + count
        while self.asked < wanted:
            self.changed.clear()
            await self.changed.wait()

    def close(self) -> None:
        self._ingester.close()
        self._journal.close()
        self.store.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.002)


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    feed = Feed(tmp_path)
    yield feed
    feed.close()


@pytest.fixture
async def live(feed: Feed) -> AsyncIterator[Live]:
    live = Live(feed.read, MOST)
    yield live
    await live.close()


class Watching:
    """One that watches, and everything it was given."""

    def __init__(self, live: Live, after: str = "") -> None:
        self._given = live.watch(after)
        self.ids: list[str] = []
        self.gaps = 0

    async def until(self, count: int) -> list[str]:
        """Every id that it was given, when there are so many."""
        async with asyncio.timeout(LONG):
            while len(self.ids) < count:
                await self.one()
        return self.ids

    async def one(self) -> None:
        found, gap = await anext(self._given)
        self.ids += [attempt.id for attempt in found]
        self.gaps += gap

    async def close(self) -> None:
        await self._given.aclose()  # type: ignore[attr-defined]


async def begun(feed: Feed, *watching: Watching) -> list[asyncio.Task[None]]:
    """Each watches, and the feeder knows where it stands."""
    tasks = [asyncio.create_task(one.one()) for one in watching]
    async with asyncio.timeout(LONG):
        await feed.looks()
    return tasks


async def test_what_arrives_is_given_to_everybody_once(live: Live, feed: Feed) -> None:
    feed.put(3)
    one, other = Watching(live), Watching(live)
    tasks = await begun(feed, one, other)
    wanted = [*feed.put(4), *feed.put(BATCH // 2)]
    await asyncio.gather(*tasks)
    assert await one.until(len(wanted)) == await other.until(len(wanted)) == wanted
    assert one.gaps == other.gaps == 0


async def test_one_that_comes_back_goes_on_where_it_was(live: Live, feed: Feed) -> None:
    ids = feed.put(10)
    watching = Watching(live, after=ids[3])
    assert await watching.until(6) == ids[4:]
    more = feed.put(5)
    assert await watching.until(11) == [*ids[4:], *more]
    assert watching.gaps == 0


async def test_what_arrives_while_one_comes_back_is_neither_lost_nor_doubled(
    feed: Feed,
) -> None:
    """The feeder may give the same attempts before the missed ones have been read."""
    ids = feed.put(5)
    late = asyncio.Event()
    missed = 0

    async def read(ask: Callable[[AttemptStore], Any]) -> Any:
        nonlocal missed
        answer = await feed.read(ask)
        if isinstance(answer, tuple) and isinstance(answer[1], bool):  # what was missed
            missed += 1
            await late.wait()
        return answer

    live = Live(read, MOST)
    watching = Watching(live, after=ids[0])
    [task] = await begun(feed, watching)
    more = feed.put(3)
    async with asyncio.timeout(LONG):
        await feed.looks()
    late.set()
    await task
    assert await watching.until(7) == [*ids[1:], *more]
    assert (missed, watching.gaps) == (1, 0)
    await watching.close()
    await live.close()


async def test_one_that_was_away_too_long_is_told_of_the_gap(live: Live, feed: Feed) -> None:
    ids = feed.put(ROOM + 20)
    watching = Watching(live, after=ids[0])
    await watching.until(ROOM)
    assert watching.gaps == 1
    assert set(watching.ids) <= set(ids)
    assert len(watching.ids) == len(set(watching.ids))


async def test_an_attempt_that_is_kept_no_longer_is_a_gap(live: Live, feed: Feed) -> None:
    feed.put(2)
    watching = Watching(live, after="a-gone")
    [task] = await begun(feed, watching)
    new = feed.put(1)
    await task
    assert await watching.until(1) == new
    assert watching.gaps == 1


async def test_a_slow_watcher_loses_the_oldest_is_told_and_holds_nobody_up(
    live: Live, feed: Feed
) -> None:
    slow, quick = Watching(live), Watching(live)
    tasks = await begun(feed, slow, quick)
    first = feed.put(1)
    await asyncio.gather(*tasks)
    ids: list[str] = []
    for _ in range(4):
        ids += feed.put(ROOM // 2)
        await quick.until(1 + len(ids))
    assert quick.ids == first + ids
    assert quick.gaps == 0
    await slow.one()
    assert slow.gaps == 1
    assert slow.ids == first + ids[-ROOM:]


def test_a_watcher_never_holds_more_than_its_room() -> None:
    watcher = Watcher()
    for start in range(5):
        watcher.give([make_attempt(f"a-{start}-{number}") for number in range(ROOM)])
        assert len(watcher._waiting) == ROOM
    assert watcher.gap
    watcher.begin([make_attempt(f"b-{number}") for number in range(ROOM)], gap=False)
    assert len(watcher._waiting) == ROOM


async def test_a_store_that_fails_and_comes_back_loses_nothing(live: Live, feed: Feed) -> None:
    watching = Watching(live)
    [task] = await begun(feed, watching)
    feed.broken = True
    ids = feed.put(3)
    async with asyncio.timeout(LONG):
        await feed.looks()
    assert not task.done()
    feed.broken = False
    await task
    assert await watching.until(3) == ids
    assert watching.gaps == 0


async def test_a_store_that_cannot_tell_what_was_missed_fails_its_watcher_alone(
    live: Live, feed: Feed
) -> None:
    [first] = feed.put(1)
    stays = Watching(live)
    [task] = await begun(feed, stays)
    feed.broken = True
    with pytest.raises(StoreError):
        await Watching(live, after=first).one()
    feed.broken = False
    ids = feed.put(1)
    await task
    assert stays.ids == ids


async def test_the_feeder_ends_when_nobody_watches_and_begins_again(live: Live, feed: Feed) -> None:
    for _ in range(3):
        watching = Watching(live)
        [task] = await begun(feed, watching)
        ids = feed.put(1)
        await task
        assert watching.ids == ids
        feeder = live._task
        assert feeder is not None
        await watching.close()
        async with asyncio.timeout(LONG):
            await feeder
        asked = feed.asked
        feed.put(1)
        await asyncio.sleep(10 * module.PAUSE)
        assert feed.asked == asked


async def test_a_quiet_time_shows_that_the_source_is_alive(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    watching = Watching(live)
    async with asyncio.timeout(LONG):
        await watching.one()
        await watching.one()
    assert (watching.ids, watching.gaps) == ([], 0)
    await watching.close()


async def test_what_arrives_while_the_first_comes_back_reaches_it(feed: Feed) -> None:
    """Whatever arrives between two questions to the store."""
    ids = feed.put(2)

    async def read(ask: Callable[[AttemptStore], Any]) -> Any:
        answer = await feed.read(ask)
        if feed.asked <= 4:
            ids.extend(feed.put(1))
        return answer

    live = Live(read, MOST)
    watching = Watching(live, after=ids[0])
    assert await watching.until(5) == ids[1:]
    assert watching.gaps == 0
    await watching.close()
    await live.close()


async def test_no_more_may_watch_than_there_is_room_for(live: Live, feed: Feed) -> None:
    watching = [Watching(live) for _ in range(MOST)]
    live.check_room()
    tasks = await begun(feed, *watching)
    with pytest.raises(TooMany):
        live.check_room()
    feed.put(1)
    await asyncio.gather(*tasks)
    await watching[0].close()
    live.check_room()


async def test_closing_ends_the_feeder_and_every_watch(feed: Feed) -> None:
    live = Live(feed.read, MOST)
    watching = Watching(live)
    [task] = await begun(feed, watching)
    await live.close()
    assert live._task is not None
    assert live._task.done()
    async with asyncio.timeout(LONG):
        await task
        for one in (watching, Watching(live)):
            with pytest.raises(StopAsyncIteration):
                await one.one()
    await live.close()
