"""Who asks before a run begins shares it; a run that nobody waits for is ended."""

from __future__ import annotations

import asyncio

import pytest

from gateway.reload.sharing import Shared


class Bench:
    """Runs that begin and end when the test says so."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.shared: Shared[int] = Shared(self.lock, self._work)
        self.began: list[bool] = []
        self.ended = 0
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.fault: Exception | None = None

    async def _work(self, kind: bool) -> int:
        self.began.append(kind)
        self.begun.set()
        mine = len(self.began)
        try:
            await self.go.wait()
            if self.fault:
                raise self.fault
        finally:
            await asyncio.sleep(0)
            self.ended += 1
        return mine

    async def ask(self, kind: bool = False) -> asyncio.Task[int]:
        """Somebody who waits."""
        task = asyncio.create_task(self.shared.run(kind))
        for _ in range(5):
            await asyncio.sleep(0)
        return task


async def left(task: asyncio.Task[int]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_those_who_ask_during_a_run_share_the_next_one() -> None:
    bench = Bench()
    first = await bench.ask()
    later = [await bench.ask() for _ in range(3)]
    bench.go.set()
    assert await first == 1
    assert await asyncio.gather(*later) == [2, 2, 2]
    assert bench.began == [False, False]


async def test_each_kind_has_its_run() -> None:
    bench = Bench()
    async with bench.lock:
        asked = [await bench.ask(kind) for kind in (False, True, False, True)]
    bench.go.set()
    assert await asyncio.gather(*asked) == [1, 2, 1, 2]
    assert bench.began == [False, True]


async def test_a_run_goes_on_as_long_as_one_waits_and_the_last_to_leave_ends_it() -> None:
    bench = Bench()
    async with bench.lock:
        one, other = await bench.ask(), await bench.ask()
    await bench.begun.wait()
    await left(one)
    assert bench.ended == 0
    await left(other)
    assert bench.ended == 1, "it has ended when the last one is gone"
    assert not bench.lock.locked()


async def test_a_run_that_nobody_waits_for_any_more_never_begins() -> None:
    bench = Bench()
    async with bench.lock:
        await left(await bench.ask())
        again = await bench.ask()
    bench.go.set()
    assert await again == 1
    assert bench.began == [False]


async def test_what_a_run_raises_all_who_wait_hear_and_the_next_one_runs() -> None:
    bench = Bench()
    bench.fault = ValueError("broken")
    bench.go.set()
    asked = [asyncio.create_task(bench.shared.run(False)) for _ in range(2)]
    for each in asked:
        with pytest.raises(ValueError, match="broken"):
            await each
    bench.fault = None
    assert await bench.shared.run(False) == 2
