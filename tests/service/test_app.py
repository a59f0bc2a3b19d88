"""The whole process: it starts, answers calls, reloads, refuses a second one, drains and stops."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.app import run
from gateway.app.gateway import Gateway
from gateway.app.ingester import Ingester
from gateway.app.notify import Notifier
from gateway.app.state import load_emergencies, owned, save_emergencies
from gateway.attempts.ingest import ingest_once
from gateway.attempts.model import Attempt
from gateway.attempts.query import AttemptFilter
from gateway.attempts.store import AttemptStore
from gateway.control import ControlClient
from gateway.entries import Asked, Change, EntryStore
from gateway.errors import ConfigError, ControlError, StoreError
from gateway.metrics import Metrics
from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi_client import AgiClient, Channel, environment
from gateway.settings import Settings
from tests.fakes.asterisk import agi_call
from tests.fakes.freeswitch import channel_data, esl_call

T = TypeVar("T")
LONG = 60
"""Seconds after which a test that waits for an event has failed."""

SETTINGS = (
    'agi: {listen: "127.0.0.1:0", secret: "s3cret"}\n'
    'esl: {listen: "127.0.0.1:0"}\n'
    "http: {listen: off}\n"
    "reload: {watch: %s}\n"
)
POLICY = """\
numbering: {region: FR, trunks: {carrier: {}}}
lists:
  nuisance: {action: block, prefixes: [+33162]}
"""
MORE = POLICY.replace("+33162]", "+33162, +33163]")


class Place:
    """A configuration on a path that is short enough for a socket."""

    def __init__(self, root: Path) -> None:
        self.config = root / "config" / "callgate.yaml"
        self.config.parent.mkdir()
        self.policy = root / "config" / "policy.yaml"
        self.state = root / "state"
        self.write("false")

    def write(self, watch: str) -> None:
        self.config.write_text(SETTINGS % watch)
        self.policy.write_text(POLICY)

    @property
    def settings(self) -> Settings:
        return Settings.load(self.config, {})

    @property
    def client(self) -> ControlClient:
        return ControlClient(self.state / "control.sock", who="alice")

    async def ask(self, question: Callable[[ControlClient], T]) -> T:
        return await asyncio.to_thread(question, self.client)


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        yield Place(Path(folder))


class Process:
    """``callgate serve`` as people start it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.banner = ""
        self.port = 0

    async def ready(self) -> None:
        assert self.process.stdout
        async with asyncio.timeout(LONG):
            while "try next" not in self.banner:
                line = await self.process.stdout.readline()
                assert line, "it ended before it was ready"
                self.banner += line.decode()
        found = re.search(r"127\.0\.0\.1:(\d+)", self.banner)
        assert found
        self.port = int(found[1])

    async def logged(self, text: str) -> str:
        """The first line of the log, from now on, with this text."""
        assert self.process.stderr
        async with asyncio.timeout(LONG):
            while line := (await self.process.stderr.readline()).decode():
                if text in line:
                    return line
        raise AssertionError(f"{text!r} was never logged")

    async def ended(self) -> tuple[int, str]:
        async with asyncio.timeout(LONG):
            _, said = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, said.decode()


async def launch(place: Place) -> Process:
    return Process(
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "--config", str(place.config), "serve"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
    )


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Process]:
    process = await launch(place)
    try:
        await process.ready()
        yield process
    finally:
        if process.process.returncode is None:
            process.process.kill()
        await process.process.communicate()


def stored(place: Place) -> list[Attempt]:
    """What was journaled before a stop, newest first."""
    store = AttemptStore(place.state / "attempts.db")
    try:
        ingest_once(place.state / "journal", store)
        return store.query(AttemptFilter(), limit=100)
    finally:
        store.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - the state of another task, which has no event
            await asyncio.sleep(0.01)


async def verdict(port: int, caller: str) -> str:
    path = screen_path("inbound", "carrier", "", caller, "+33140000000", key="s3cret")
    variables, _ = await agi_call("127.0.0.1", port, path)
    return variables.get("CALLGATE_VERDICT", "none")


async def test_a_process_starts_answers_reloads_and_stops(place: Place) -> None:
    async with running(place) as gateway:
        assert re.search(r"revision [0-9a-f]{12}\+0, 2 lists, 1 entries", gateway.banner)
        assert (await place.ask(ControlClient.ping))["pid"] == gateway.process.pid
        assert await verdict(gateway.port, "+33162000000") == "block"
        assert await verdict(gateway.port, "+33163000000") == "allow"
        place.policy.write_text(MORE)
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.logged("2 entries")
        assert await verdict(gateway.port, "+33163000000") == "block"
        gateway.process.terminate()
        code, _ = await gateway.ended()
        assert code == 0
    assert not (place.state / "control.sock").exists()
    store = AttemptStore(place.state / "attempts.db")
    found = store.query(AttemptFilter(), limit=10)
    assert [attempt.verdict for attempt in reversed(found)] == ["block", "allow", "block"]
    store.close()


async def test_a_watched_process_takes_a_saved_policy_by_itself(place: Place) -> None:
    place.write("true")
    async with running(place) as gateway:
        place.policy.write_text(MORE)
        await gateway.logged("2 entries")
        assert await verdict(gateway.port, "+33163000000") == "block"


async def test_managed_entries_and_star_codes_work_on_the_next_call(place: Place) -> None:
    async with running(place) as gateway:
        assert await verdict(gateway.port, "+33611111111") == "allow"
        await place.ask(lambda client: client.add([Asked(number="+33611111111")]))
        assert await verdict(gateway.port, "+33611111111") == "block"
        for op, status in (("unblock", "removed"), ("unblock", "absent"), ("block", "added")):
            path = f"entry/{op}/0611111111/by=100/key=s3cret"
            variables, _ = await agi_call("127.0.0.1", gateway.port, path)
            assert variables["CALLGATE_STATUS"] == status
        assert await verdict(gateway.port, "+33611111111") == "block"
        [*_, last] = await place.ask(lambda client: list(client.changes()))
        assert (last["who"], last["source"]) == ("extension 100", "star")
        path = "entry/block/+33162/by=100/key=s3cret"
        variables, _ = await agi_call("127.0.0.1", gateway.port, path)
        assert variables["CALLGATE_STATUS"] == "refused", "a slip must not block a prefix"


async def test_no_success_is_said_of_a_number_that_stays_blocked(place: Place) -> None:
    place.policy.write_text(
        POLICY + "  own: {action: block, direction: outbound, prefixes: [+33163]}\n"
    )
    async with running(place) as gateway:
        await place.ask(lambda client: client.add([Asked(number="+33162000000")]))
        for number, block in (
            ("0162000000", "removed, but list nuisance (policy.yaml:3)"),
            ("0162000000", "absent, but list nuisance (policy.yaml:3)"),
            ("0163000000", "absent, but list own (policy.yaml:4)"),
        ):
            path = f"entry/unblock/{number}/by=100/key=s3cret"
            variables, _ = await agi_call("127.0.0.1", gateway.port, path)
            assert variables["CALLGATE_STATUS"] == "refused"
            assert f"+33{number[1:]} is {block} still blocks it" in await gateway.logged("refused")
        assert await place.ask(lambda client: list(client.list())) == []


async def test_a_second_process_on_the_same_state_is_refused(place: Place) -> None:
    async with running(place) as gateway:
        code, said = await (await launch(place)).ended()
        assert code == 2
        assert f"another gateway (process {gateway.process.pid}) runs on this state" in said
        assert "stop it, or give this one settings with a 'state' of its own" in said
        assert "Traceback" not in said
        assert await verdict(gateway.port, "+33162000000") == "block"


async def test_a_start_without_any_good_policy_exits_with_2_and_its_faults(place: Place) -> None:
    place.policy.write_text("surprise: 1\n")
    code, said = await (await launch(place)).ended()
    assert code == 2
    assert said.count("policy.yaml:1:1: surprise") == 1
    assert "Traceback" not in said


async def test_a_restart_with_a_broken_policy_runs_the_last_good_one(place: Place) -> None:
    async with running(place) as gateway:
        gateway.process.terminate()
        await gateway.ended()
    place.policy.write_text("surprise: 1\n")
    async with running(place) as gateway:
        assert "DEGRADED" in gateway.banner
        assert await verdict(gateway.port, "+33162000000") == "block"
        status = await place.ask(ControlClient.status)
        assert status["policy"]["degraded"]
        assert "policy.yaml:1:1: surprise" in status["policy"]["last_reload"]["faults"][0]


async def test_a_killed_process_leaves_nothing_in_the_way_of_the_next(place: Place) -> None:
    async with running(place) as gateway:
        await verdict(gateway.port, "+33162000000")
        gateway.process.kill()
        await gateway.ended()
    assert (place.state / "control.sock").exists()
    async with running(place) as gateway:
        assert await verdict(gateway.port, "+33162000000") == "block"


async def test_calls_are_answered_while_a_million_entries_reload(place: Place) -> None:
    """Counts the calls between the start and the end of the reload; each had to be right."""
    listed = place.config.parent / "million.txt"
    listed.write_text("".join(f"+4470{number:08d}\n" for number in range(1_000_000)))
    async with running(place) as gateway:
        place.policy.write_text(POLICY + "  many: {action: block, files: [million.txt]}\n")
        reload = asyncio.create_task(place.ask(ControlClient.reload))
        answered = 0
        while not reload.done():
            assert await verdict(gateway.port, "+33162000000") == "block"
            answered += 1
            await asyncio.sleep(0.005)
        result = await reload
        assert (result["status"], result["entries"]) == ("loaded", 1_000_001)
        assert answered >= 20
        assert await verdict(gateway.port, "+447000999999") == "block"
        await place.ask(lambda client: client.add([Asked(number="+33611111111")]))
        assert await verdict(gateway.port, "+33611111111") == "block"


@asynccontextmanager
async def embedded(place: Place) -> AsyncIterator[Gateway]:
    """The same gateway inside this process."""
    stop, started = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(place.settings, stop, ready=started.set_result))
    await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if task.done():
            task.result()
        yield started.result()
    finally:
        stop.set()
        await asyncio.wait({task})


async def test_a_call_that_is_being_answered_may_end_when_the_gateway_stops(place: Place) -> None:
    """Half of what Asterisk tells comes before the stop, the rest when nobody else may call."""
    place.config.write_text(
        'agi: {listen: "127.0.0.1:0", deadline: 30s}\nesl: {listen: off}\nhttp: {listen: off}\n'
    )
    stop, started = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(place.settings, stop, ready=started.set_result))
    gateway = await started
    host, port = gateway.calls.places["agi"]
    path = screen_path("inbound", "main", "", "+33162000000", "+33140000000")
    told = environment(f"agi://{host}:{port}/{path}", Channel())
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(told[:100])
    await until(lambda: gateway.calls.open == 1)
    stop.set()
    await until(lambda: gateway.metrics.value("callgate_draining") == 1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)
    writer.write(told[100:])
    client = AgiClient()
    writer.write(client.receive(await reader.readline()))
    assert await reader.read() == b""
    assert client.variables["CALLGATE_VERDICT"] == "block"
    await task
    writer.close()
    [attempt] = stored(place)
    assert (attempt.id, attempt.delivery) == (client.variables["CALLGATE_ATTEMPT"], "confirmed")


async def test_a_start_that_fails_or_is_broken_off_keeps_the_call_back_windows(
    place: Place,
) -> None:
    kept = {"main": 1_800_000_000.0}
    place.state.mkdir()
    save_emergencies(place.state, kept)
    stop = asyncio.Event()
    stop.set()
    await run(place.settings, stop)
    assert load_emergencies(place.state) == kept
    place.policy.write_text("surprise: 1\n")
    with pytest.raises(ConfigError):
        await run(place.settings, asyncio.Event())
    assert load_emergencies(place.state) == kept


async def test_a_reload_that_is_asked_for_during_the_start_comes_after_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, int]] = []

    def noted(notifier: Notifier, message: str, descriptors: Sequence[int] = ()) -> None:
        del notifier, descriptors
        # The sockets, which systemd keeps; and how we are, which is looked at now and then.
        if message.startswith(("FDSTORE", "STATUS")):
            return
        said.append((message.partition("\n")[0], len(gateways[0].listeners())))

    gateways: list[Gateway] = []
    original = Gateway.start

    async def start(gateway: Gateway) -> None:
        gateways.append(gateway)
        reload.set()
        await original(gateway)

    monkeypatch.setattr(Notifier, "_send", noted)
    monkeypatch.setattr(Gateway, "start", start)
    stop, reload = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run(place.settings, stop, reload=reload))
    await until(lambda: len(said) == 3)
    stop.set()
    await task
    assert [what.partition("=")[0] for what, _ in said] == [
        *("READY", "RELOADING", "READY", "STOPPING"),
    ]
    assert said[0] == ("READY=1", 3), "every listener is open before anything is said"


async def test_a_gateway_screens_on_broken_managed_entries_and_refuses_changes(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.state.mkdir()
    (place.state / "entries.db").write_bytes(b"no database" * 1000)
    looks: list[None] = []
    original = Gateway._look

    async def look(gateway: Gateway) -> None:
        await original(gateway)
        looks.append(None)

    monkeypatch.setattr("gateway.app.gateway.BEAT", 0.01)
    monkeypatch.setattr(Gateway, "_look", look)
    async with embedded(place) as gateway:
        _, port = gateway.calls.places["agi"]
        assert await verdict(port, "+33162000000") == "block"
        status = await place.ask(ControlClient.status)
        assert "not a database" in status["policy"]["degraded"]
        with pytest.raises(ControlError, match=r"no entry can be changed: .*not a database"):
            await place.ask(lambda client: client.add([Asked(number="+33611111111")]))
        await until(lambda: len(looks) > 5)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert [text for text in said if "not a database" in text] == [said[0]]
    assert (place.state / "entries.db").read_bytes() == b"no database" * 1000


async def test_a_change_that_is_not_in_force_yet_is_answered_with_a_warning(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes_since = EntryStore.changes_since

    def unreadable(store: EntryStore, rev: int, limit: int | None = None) -> list[Change]:
        if found := changes_since(store, rev, limit):
            raise StoreError("managed entries: disk I/O error")
        return found

    async with embedded(place) as gateway:
        _, port = gateway.calls.places["agi"]
        with monkeypatch.context() as broken:
            broken.setattr(EntryStore, "changes_since", unreadable)
            [answer] = await place.ask(lambda client: client.add([Asked(number="+33611111111")]))
        assert answer["status"] == "added"
        assert "not in force yet" in answer["warning"]
        managed = "callgate_policy_managed_revision"
        await until(lambda: gateway.metrics.value(managed) == 1)
        assert await verdict(port, "+33611111111") == "block"


async def test_an_address_in_use_is_said_plainly(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        place.config.write_text(
            f'agi: {{listen: "127.0.0.1:{port}"}}\nesl: {{listen: off}}\nhttp: {{listen: off}}\n'
        )
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}") as error:
            async with embedded(place):
                pass
        assert "or set agi.listen to another port" in str(error.value)


async def test_an_address_of_the_second_listener_in_use_is_said_too(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        place.config.write_text(
            f'agi: {{listen: "127.0.0.1:0"}}\nesl: {{listen: "127.0.0.1:{port}"}}\n'
            "http: {listen: off}\n"
        )
        with pytest.raises(ConfigError, match=rf"esl\.listen: cannot listen on 127.0.0.1:{port}"):
            async with embedded(place):
                pass


async def test_freeswitch_is_answered_too(place: Place) -> None:
    said = {"callgate_direction": "inbound", "callgate_caller": "+33162000000"}
    async with embedded(place) as gateway:
        assert set(gateway.listeners()) == {"control", "agi", "esl"}
        channel = await esl_call(*gateway.calls.places["esl"], data=channel_data("normal", said))
    assert channel.variables["CALLGATE_VERDICT"] == "block"
    assert channel.goes_on


async def test_the_listener_can_be_switched_off(place: Place) -> None:
    place.config.write_text("agi: {listen: off}\nesl: {listen: off}\nhttp: {listen: off}\n")
    async with embedded(place) as gateway:
        assert list(gateway.listeners()) == ["control"]
        assert await place.ask(ControlClient.ping)


async def test_a_stop_during_the_start_is_heard(place: Place) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(run(place.settings, stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(LONG):
        await task
    assert not (place.state / "control.sock").exists()


async def test_a_call_back_after_an_emergency_is_let_in_even_after_a_restart(
    place: Place,
) -> None:
    async with embedded(place) as gateway:
        _, port = gateway.calls.places["agi"]
        path = screen_path("outbound", "carrier", "", "+33140000000", "112", key="s3cret")
        variables, _ = await agi_call("127.0.0.1", port, path)
        assert variables["CALLGATE_REASON"] == "emergency"
    async with embedded(place) as gateway:
        _, port = gateway.calls.places["agi"]
        path = screen_path("inbound", "carrier", "", "+33162000000", "+33140000000", key="s3cret")
        variables, _ = await agi_call("127.0.0.1", port, path)
        assert variables["CALLGATE_REASON"] == "emergency_callback"


def test_the_state_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    with owned(tmp_path / "state"):
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        with pytest.raises(ConfigError, match=f"process {os.getpid()}"), owned(tmp_path / "state"):
            pass
    with owned(tmp_path / "state"):
        pass


def test_a_state_directory_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"), owned(tmp_path / "file" / "state"):
        pass


def test_emergencies_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    assert load_emergencies(tmp_path) == {}
    save_emergencies(tmp_path, {"main": 5.0})
    assert load_emergencies(tmp_path) == {"main": 5.0}
    (tmp_path / "emergencies.json").write_text("torn{")
    assert load_emergencies(tmp_path) == {}


async def test_an_ingester_that_dies_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.child.FIRST_PAUSE", 0.01)
    metrics = Metrics()
    ingester = Ingester(tmp_path, 60, metrics)
    task = asyncio.create_task(ingester.run())
    seen: set[int] = set()
    async with asyncio.timeout(LONG):
        while len(seen) < 2:
            if ingester.pid and ingester.pid not in seen:
                seen.add(ingester.pid)
                os.kill(ingester.pid, signal.SIGKILL)
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task})
    assert metrics.value("callgate_ingester_restarts_total") >= 1
    assert metrics.value("callgate_ingester_up") == 0


def test_the_service_manager_is_told_how_it_goes(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "10000000"})
        assert notifier.watchdog == 10
        notifier.status("nothing is told of before it is ready")
        for say in (notifier.reloading, notifier.alive, notifier.stopping):
            say()
        notifier.ready("fine")
        notifier.status("fine")  # no news
        notifier.status("DEGRADED")
        told = [manager.recv(200).decode() for _ in range(5)]
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told[0])
    assert told[1:] == ["WATCHDOG=1", "STOPPING=1", "READY=1\nSTATUS=fine", "STATUS=DEGRADED"]
    notifier.ready("nobody listens any more")
    Notifier({}).ready("nobody ever did")
    other = Notifier({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"})
    assert other.watchdog == 0
