"""Several workers as one gateway: real processes, real sockets, and every way to lose a worker."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.control import ControlClient
from gateway.entries import Asked
from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi_client import AgiClient, Channel, environment
from tests.support.crew import KEY, LISTED, LONG, POLICY, Answer, Place, Served, gone, serving

RELOADS = 20
MORE = "  more: {action: block, numbers: ['+3317%07d']}"
BOTH = (1, 2)


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        yield Place(Path(folder))


class Held:
    """A caller of whom half is known."""

    def __init__(self, port: int) -> None:
        path = screen_path("inbound", "carrier", "", LISTED, "+33140000000", key=KEY)
        self._told = environment(f"agi://127.0.0.1:{port}/{path}", Channel())
        self._port = port

    async def begin(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(self._told[:100])

    async def finish(self) -> Answer:
        """Tell the rest; ``none`` where nobody listens any more."""
        client = AgiClient()
        with suppress(ConnectionError):
            self._writer.write(self._told[100:])
            async with asyncio.timeout(LONG):
                while data := await self._reader.read(4096):
                    self._writer.write(client.receive(data))
        self._writer.close()
        attempt = client.variables.get("CALLGATE_ATTEMPT", "")
        worker = int(attempt.split("-")[2], 36) if attempt else 0
        return Answer(client.variables.get("CALLGATE_VERDICT", "none"), attempt, worker)


async def held_by_both(served: Served) -> list[Held]:
    """Callers of whom half is known, some with each worker."""
    callers: list[Held] = []
    async with asyncio.timeout(LONG):
        while True:
            told = await served.place.workers_told()
            counts = [facts["connections"] for facts in told.values()]
            if callers and sum(counts) == len(callers) and min(counts):
                return callers
            if sum(counts) == len(callers):
                callers.append(Held(served.port))
                await callers[-1].begin()


async def test_calls_are_spread_over_workers_and_counted_once(place: Place) -> None:
    async with serving(place) as served:
        answers = await served.calls_of(BOTH, LISTED)
        assert {answer.verdict for answer in answers} == {"block"}
        await place.counted("callgate_calls_total", len(answers), 'frontend="agi"')
        await place.counted("callgate_decision_seconds_count", len(answers))
        assert await place.metric("callgate_workers") == 2
        status = await place.ask(ControlClient.status)
        assert status["pid"] == served.process.pid
        assert (status["workers"]["serving"], status["workers"]["degraded"]) == (2, "")
        await served.stop()
    stored = place.stored()
    assert sorted(attempt.id for attempt in stored) == sorted(each.attempt for each in answers)
    assert {attempt.delivery for attempt in stored} == {"confirmed"}
    assert (place.state / "control.sock").exists() is False


async def test_a_reload_is_in_force_everywhere_or_nowhere(place: Place) -> None:
    """Each call was decided by a revision that was in force while it was under way."""
    async with serving(place) as served:
        begun = ended = 0
        revisions = [(await place.ask(ControlClient.status))["policy"]["revision"]]
        windows: dict[str, tuple[int, int]] = {}
        lost: list[Answer] = []
        over = asyncio.Event()

        async def caller() -> None:
            while not over.is_set():
                first = ended
                answer = await served.call(LISTED)
                if answer.attempt:
                    windows[answer.attempt] = (first, begun)
                else:
                    lost.append(answer)

        callers = [asyncio.create_task(caller()) for _ in range(3)]
        for number in range(RELOADS):
            place.policy.write_text(POLICY + MORE % number)
            begun += 1
            result = await place.ask(ControlClient.reload)
            assert result["status"] == "loaded"
            revisions.append(result["revision"])
            ended += 1
        over.set()
        await asyncio.gather(*callers)
        answers = await served.calls_of(BOTH, f"+3317{RELOADS - 1:07}")
        assert {answer.verdict for answer in answers} == {"block"}
        late = await place.metric("callgate_worker_restarts_total", 'cause="late"')
        assert late or not lost, "a machine that is short of time may cost a worker, and its calls"
        await served.stop()
    assert len(set(revisions)) == RELOADS + 1
    places = {revision: number for number, revision in enumerate(revisions)}
    decided = {attempt.id: places[attempt.revision] for attempt in place.stored()}
    wrong = [
        (decided[attempt], window)
        for attempt, window in windows.items()
        if not window[0] <= decided[attempt] <= window[1]
    ]
    assert not wrong
    assert len({decided[attempt] for attempt in windows}) > RELOADS // 2


async def test_an_entry_that_was_added_is_in_force_in_every_worker(place: Place) -> None:
    """One by one, and many at once: what the answer says holds when it is there."""
    async with serving(place) as served:

        async def blocked_once_added(number: str) -> None:
            await place.ask(lambda client: client.add([Asked(number=number)]))
            answers = await asyncio.gather(*(served.call(number) for _ in range(4)))
            assert "allow" not in {answer.verdict for answer in answers}, number

        for number in range(20):
            await blocked_once_added(f"+3361100{number:04}")
        await asyncio.gather(*(blocked_once_added(f"+3361200{number:04}") for number in range(24)))
        await place.ask(lambda client: client.remove([Asked(number="+33612000003")]))
        answers = await served.calls_of(BOTH, "+33612000003")
        assert {answer.verdict for answer in answers} == {"allow"}
        pid = await place.pid(1)
        os.kill(pid, signal.SIGKILL)
        await served.replaced(1, pid)
        answers = await served.calls_of(BOTH, "+33612000004")
        assert {answer.verdict for answer in answers} == {"block"}, "a new one has them all"
        await served.stop()


async def test_a_killed_worker_costs_its_accepted_connections_and_is_replaced(
    place: Place,
) -> None:
    async with serving(place) as served:
        answered = await served.calls_of(BOTH, LISTED)
        callers = await held_by_both(served)
        told = await place.workers_told()
        pid = told[1]["pid"]
        os.kill(pid, signal.SIGKILL)
        await served.replaced(1, pid)
        finished = await asyncio.gather(*(caller.finish() for caller in callers))
        lost = [answer for answer in finished if answer.verdict == "none"]
        assert len(lost) == told[1]["connections"]
        assert {answer.worker for answer in finished if answer not in lost} == {2}
        answered += [answer for answer in finished if answer not in lost]
        answered += await served.calls_of(BOTH, LISTED)
        assert await place.metric("callgate_worker_restarts_total", 'cause="died"') == 1
        await served.stop()
    stored = [attempt.id for attempt in place.stored()]
    assert sorted(stored) == sorted(answer.attempt for answer in answered)


async def test_counters_do_not_go_back_when_a_worker_dies(place: Place) -> None:
    async with serving(place) as served:
        made = len(await served.calls_of(BOTH, LISTED))
        names = [
            *("callgate_calls_total", "callgate_connections_total"),
            *("callgate_decision_seconds_count", "callgate_deliveries_total"),
        ]
        for name in names:
            await place.counted(name, made)
        for worker in BOTH:
            pid = await place.pid(worker)
            os.kill(pid, signal.SIGKILL)
            await served.replaced(worker, pid)
        assert [await place.metric(name) for name in names] == [made] * len(names)
        made += len(await served.calls_of(BOTH, LISTED))
        for name in names:
            await place.counted(name, made)
        await place.counted("callgate_connections_open", 0)
        await served.stop()


async def test_a_stopped_worker_is_found_and_its_backlog_answered_by_the_next(
    place: Place,
) -> None:
    async with serving(place) as served:
        pid = await place.pid(1)
        os.kill(pid, signal.SIGSTOP)
        answers = await asyncio.gather(*(served.call(LISTED) for _ in range(32)))
        assert {answer.verdict for answer in answers} == {"block"}
        assert {answer.worker for answer in answers} == {1, 2}
        await served.replaced(1, pid)
        await gone(pid)
        assert await place.metric("callgate_worker_restarts_total", 'cause="stalled"') == 1
        await served.stop()


async def test_a_worker_that_is_not_ready_for_a_change_is_killed(place: Place) -> None:
    """The change is in force when its answer is there, for the calls that waited too."""
    async with serving(place) as served:
        pid = await place.pid(2)
        os.kill(pid, signal.SIGSTOP)
        waiting = [asyncio.create_task(served.call("+33611111111")) for _ in range(16)]
        await place.ask(lambda client: client.add([Asked(number="+33611111111")]))
        await gone(pid)
        await served.replaced(2, pid)
        answers = [answer for answer in await asyncio.gather(*waiting) if answer.worker == 2]
        answers += await served.calls_of(BOTH, "+33611111111")
        assert {answer.verdict for answer in answers} == {"block"}
        assert await place.metric("callgate_worker_restarts_total") == 1
        await served.stop()


async def test_an_emergency_call_opens_the_window_of_every_worker(place: Place) -> None:
    async with serving(place) as served:
        assert {answer.verdict for answer in await served.calls_of(BOTH, LISTED)} == {"block"}
        helped = await served.call("+33140000000", "112", "outbound")
        assert helped.verdict == "allow"
        async with asyncio.timeout(LONG):  # told in a moment, but not before the answer
            while {each.verdict for each in await served.calls_of(BOTH, LISTED)} != {"allow"}:
                pass
        pid = await place.pid(1)
        os.kill(pid, signal.SIGKILL)
        await served.replaced(1, pid)
        assert {answer.verdict for answer in await served.calls_of(BOTH, LISTED)} == {"allow"}
        await served.stop()
    async with serving(place) as served:
        assert {answer.verdict for answer in await served.calls_of(BOTH, LISTED)} == {"allow"}
        await served.stop()


async def test_a_star_code_through_a_worker_is_in_force_in_all(place: Place) -> None:
    async with serving(place) as served:
        for op, status, verdict in (
            ("block", "added", "block"),
            ("block", "exists", "block"),
            ("unblock", "removed", "allow"),
        ):
            answer = await served.run(f"entry/{op}/0611111111/by=100/key={KEY}")
            assert answer.verdict == status
            answers = await served.calls_of(BOTH, "+33611111111")
            assert {answer.verdict for answer in answers} == {verdict}
        [*_, last] = await place.ask(lambda client: list(client.changes()))
        assert (last["who"], last["source"]) == ("extension 100", "star")
        await served.stop()


async def refused(port: int) -> None:
    """Until nobody listens any more."""
    async with asyncio.timeout(LONG):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                return
            writer.close()


async def test_a_gateway_that_is_told_to_stop_lets_the_calls_of_all_workers_end(
    place: Place,
) -> None:
    async with serving(place) as served:
        callers = await held_by_both(served)
        pids = [facts["pid"] for facts in (await place.workers_told()).values()]
        served.process.send_signal(signal.SIGTERM)
        await refused(served.port)
        answers = await asyncio.gather(*(caller.finish() for caller in callers))
        assert {answer.verdict for answer in answers} == {"block"}
        assert {answer.worker for answer in answers} == {1, 2}
        assert await served.ended() == 0
        for pid in pids:
            await gone(pid)
    assert {answer.attempt for answer in answers} <= {attempt.id for attempt in place.stored()}


@asynccontextmanager
async def killed(place: Place, stopped: bool) -> AsyncIterator[Served]:
    """A gateway whose parent was killed, and one of whose workers is perhaps stopped."""
    async with serving(place) as served:
        place.settle(served.port, "2s")
        if stopped:
            os.kill(await place.pid(1), signal.SIGSTOP)
        served.process.kill()
        await served.ended()
        yield served


@pytest.mark.parametrize("stopped", [False, True])
async def test_workers_do_not_outlive_a_killed_parent_in_the_way_of_the_next(
    place: Place, stopped: bool
) -> None:
    """By themselves where they can, else the next gateway ends them before it listens."""
    async with killed(place, stopped), serving(place) as again:
        answers = await again.calls_of(BOTH, LISTED)
        assert {answer.verdict for answer in answers} == {"block"}
        await again.stop()


async def test_live_calls_of_workers_end_when_the_parent_is_killed(place: Place) -> None:
    async with serving(place) as served:
        callers = await held_by_both(served)
        pids = [facts["pid"] for facts in (await place.workers_told()).values()]
        served.process.kill()
        await served.ended()
        answers = await asyncio.gather(*(caller.finish() for caller in callers))
        assert {answer.verdict for answer in answers} == {"block"}
        for pid in pids:
            await gone(pid)
    log = (place.config.parent / "log").read_text()
    for worker in BOTH:
        assert f"worker {worker}: the gateway is gone" in log


async def test_a_second_gateway_may_not_share_the_port(place: Place) -> None:
    """SO_REUSEPORT must not let it take half of the calls."""
    async with serving(place) as served:
        with tempfile.TemporaryDirectory(prefix="cg") as folder:
            other = Place(Path(folder))
            other.settle(served.port)
            with pytest.raises(AssertionError, match="ended before it was ready"):
                async with serving(other):
                    pass
            assert (
                "stop it, or set agi.listen to another port"
                in (other.config.parent / "log").read_text()
            )
        await served.stop()
