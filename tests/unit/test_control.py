"""The control socket: for one user only, bounded, and honest about what went wrong."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from gateway.control import ControlClient
from gateway.control.messages import MAX_LINE, Add, Ping
from gateway.control.server import MAX_PEERS, ControlServer
from gateway.entries import Asked, EntryStore, NeedsConfirmation
from gateway.errors import ControlError
from gateway.metrics import Metrics
from gateway.policy.model import EntryKind
from gateway.reload import Generations, PolicyStore
from gateway.reload.overlay import Laid
from tests.support.policies import make_list, make_policy

T = TypeVar("T")


class Gateway:
    """A control server on a short path, with the stores behind it."""

    def __init__(self, root: Path, uids: frozenset[int] | None = None) -> None:
        self.path = root / "control.sock"
        self.policy = root / "policy.yaml"
        self.entries = EntryStore(root / "entries.db")
        self.metrics = Metrics()
        generations = Generations(root / "last-good", root / "entries.db")
        self.policies = PolicyStore(self.policy, self.entries, generations, self.metrics)
        policy = make_policy([make_list("blacklist"), make_list("vip", order=1)])
        self.policies.current, self.policies._laid = policy, Laid.on(policy)
        self.server = ControlServer(
            self.path,
            self.policies,
            self.entries,
            self.metrics,
            lambda: {"lists": self.policies.lists},
            uids=uids,
            remarks=lambda: self.remarks,
        )
        self.remarks: tuple[str, ...] = ()
        self.client = ControlClient(self.path, who="alice")

    async def ask(self, question: Callable[[ControlClient], T]) -> T:
        return await asyncio.to_thread(question, self.client)

    async def raw(self, *lines: bytes) -> list[dict[str, Any]]:
        answers = []
        async with self.connected() as (reader, writer):
            for line in lines:
                writer.write(line)
                with suppress(ConnectionError):
                    if answer := await reader.readline():
                        answers.append(json.loads(answer))
        return answers

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        yield Path(folder)


@pytest_asyncio.fixture
async def gateway(root: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway(root)
    await gateway.server.start()
    yield gateway
    await gateway.server.close()
    gateway.entries.close()


async def test_a_ping_is_answered(gateway: Gateway) -> None:
    assert (await gateway.ask(ControlClient.ping))["pid"] == os.getpid()


async def test_the_socket_is_for_its_owner_only_and_goes_with_the_gateway(
    gateway: Gateway,
) -> None:
    assert stat.S_IMODE(gateway.path.stat().st_mode) == 0o600
    await gateway.server.close()
    assert not gateway.path.exists()
    with pytest.raises(ControlError, match="no gateway is running"):
        await gateway.ask(ControlClient.ping)


async def test_the_status_is_what_the_gateway_says_of_itself(gateway: Gateway) -> None:
    assert await gateway.ask(ControlClient.status) == {"lists": 2}


async def test_a_socket_that_is_closed_to_this_user_says_as_whom_to_ask(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(_: socket.socket, path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("gateway.control.client.socket.socket.connect", connect)
    with pytest.raises(
        ControlError, match="Permission denied; run this as the user of the gateway"
    ):
        gateway.client.ping()


async def test_the_metrics_are_prometheus_text(gateway: Gateway) -> None:
    gateway.metrics.inc("callgate_managed_changes_total", 3, op="add", status="added")
    text = await gateway.ask(ControlClient.metrics)
    assert 'callgate_managed_changes_total{op="add",status="added"} 3\n' in text
    assert text.startswith("# HELP callgate_calls_total ")


async def test_the_answer_of_a_reload_carries_what_is_to_be_remarked(gateway: Gateway) -> None:
    gateway.policy.write_text("lists: {}\n")
    gateway.remarks = ("callgate.yaml has changed",)
    result = await gateway.ask(ControlClient.reload)
    assert (result["status"], result["warnings"]) == ("loaded", ["callgate.yaml has changed"])
    assert result["at"] > 1.7e9


async def test_an_added_entry_is_in_force_listed_and_logged(gateway: Gateway) -> None:
    asked = [Asked(number="+33 1 23 45 67 89", reason="complaint"), Asked(number="+33162")]
    added = await gateway.ask(lambda client: client.add(asked))
    assert [(item["status"], item["rev"], item["kind"]) for item in added] == [
        ("added", 1, "number"),
        ("added", 2, "prefix"),
    ]
    assert gateway.policies.current.index.matches("33162000000")
    listed = await gateway.ask(lambda client: list(client.list()))
    assert [item["digits"] for item in listed] == ["33123456789", "33162"]
    changes = await gateway.ask(lambda client: list(client.changes()))
    assert [(item["who"], item["source"]) for item in changes] == [("alice", "cli")] * 2


async def test_adding_again_changes_nothing(gateway: Gateway) -> None:
    asked = [Asked(number="+33123456789")]
    await gateway.ask(lambda client: client.add(asked))
    [again] = await gateway.ask(lambda client: client.add(asked))
    assert (again["status"], again["rev"]) == ("exists", 1)


async def test_one_bad_entry_stops_them_all(gateway: Gateway) -> None:
    asked = [Asked(number="+33123456789"), Asked(number="nonsense")]
    with pytest.raises(ControlError, match="nonsense"):
        await gateway.ask(lambda client: client.add(asked))
    assert gateway.entries.rev == 0


@pytest.mark.parametrize("confirm", [False, True])
async def test_what_is_to_be_confirmed_is_told_apart_from_what_is_wrong(
    gateway: Gateway, confirm: bool
) -> None:
    asked = [Asked(number="+33", confirm=confirm), Asked(number="+33123456789")]
    if not confirm:
        with pytest.raises(NeedsConfirmation, match=r"\(confirm\)") as refused:
            await gateway.ask(lambda client: client.add(asked))
        [one] = refused.value.covers
        assert (one.what, one.entry) == ("country", "+33*")
        assert one.text == "it covers all of +33 (FR)"
        assert gateway.entries.rev == 0
        return
    [added, other] = await gateway.ask(lambda client: client.add(asked))
    assert added["warning"].startswith("too short for a whole number: taken as a prefix")
    assert added["warning"].endswith("; it covers all of +33 (FR)")
    assert other["warning"] == ""
    [again, _] = await gateway.ask(lambda client: client.add(asked))
    assert again["status"] == "exists"
    assert "it covers all" not in again["warning"]
    changes = await gateway.ask(lambda client: list(client.changes()))
    assert [item["covered"] for item in changes] == ["it covers all of +33 (FR)", ""]


async def test_an_answer_without_anything_to_confirm_does_not_speak_of_it(
    gateway: Gateway,
) -> None:
    [refused, asked] = await gateway.raw(
        b'{"op": "add", "entries": [{"number": "nonsense"}]}\n',
        b'{"op": "add", "entries": [{"number": "+33"}]}\n',
    )
    assert set(refused) == {"ok", "error"}
    assert set(asked) == {"ok", "error", "covers"}


async def test_a_way_in_that_cannot_ask_is_forced_but_not_past_an_emergency_number(
    gateway: Gateway,
) -> None:
    def add(number: str, kind: EntryKind) -> Callable[[ControlClient], Any]:
        asked = [Asked(number=number, kind=kind)]
        return lambda client: client.request(Add(entries=asked, source="api", forced=True))

    [added] = await gateway.ask(add("+33", EntryKind.PREFIX))
    assert added["status"] == "added"
    with pytest.raises(ControlError, match="covers the emergency number 112"):
        await gateway.ask(add("112", EntryKind.SHORT))
    [change] = gateway.entries.changes_since(0)
    assert (change.source, change.covered) == ("api", "it covers all of +33 (FR)")


async def test_entries_are_edited_removed_and_brought_back(gateway: Gateway) -> None:
    one = Asked(number="+33123456789", list="vip", kind=EntryKind.NUMBER)
    await gateway.ask(lambda client: client.add([one]))
    changed = Asked(number="+33123456789", list="vip", reason="new")
    [edited] = await gateway.ask(lambda client: client.edit([changed]))
    assert edited["status"] == "edited"
    [same] = await gateway.ask(lambda client: client.edit([replace(one, reason=None)]))
    assert (same["status"], same["entry"]["reason"]) == ("exists", "new")
    [removed] = await gateway.ask(lambda client: client.remove([one]))
    assert removed["status"] == "removed"
    [absent] = await gateway.ask(lambda client: client.remove(ids=[1]))
    assert absent["status"] == "absent"
    undone = await gateway.ask(lambda client: client.undo(removed["rev"]))
    assert undone["entry"]["reason"] == "new"
    [removed] = await gateway.ask(lambda client: client.remove(ids=[1]))
    assert removed["status"] == "removed"


async def test_long_lists_come_page_by_page(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.control.server.MAX_PAGE", 3)
    asked = [Asked(number=f"+3312345678{digit}") for digit in range(8)]
    await gateway.ask(lambda client: client.add(asked))
    listed = await gateway.ask(lambda client: list(client.list("blacklist")))
    assert [item["id"] for item in listed] == list(range(1, 9))
    assert len(await gateway.ask(lambda client: list(client.changes(2)))) == 6


async def test_more_entries_than_one_request_holds_are_sent_in_parts(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [Asked(number=f"+3312345678{digit}") for digit in range(8)]
    monkeypatch.setattr("gateway.control.server.MAX_ENTRIES", 3)
    with pytest.raises(ControlError, match="at most 3 entries"):
        await gateway.ask(lambda client: client.add(asked))
    monkeypatch.setattr("gateway.control.client.MAX_ENTRIES", 3)
    assert len(await gateway.ask(lambda client: client.add(asked))) == 8


async def test_a_reload_answers_what_became_of_it(gateway: Gateway) -> None:
    gateway.policy.write_text("lists: {nuisance: {action: block, prefixes: [+33162]}}\n")
    result = await gateway.ask(ControlClient.reload)
    assert (result["status"], result["entries"]) == ("loaded", 1)
    gateway.policy.write_text("surprise: 1\n")
    result = await gateway.ask(lambda client: client.reload(force=True))
    assert result["status"] == "failed"
    assert any("policy.yaml:1:1: surprise" in fault for fault in result["faults"])


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not json\n",
        b"\xff\xfe\n",
        b"[]\n",
        b'{"op": "format_disk"}\n',
        b'{"op": "ping", "surprise": 1}\n',
        b'{"op": "undo", "rev": "one"}\n',
        b'{"op": "add", "entries": [{"number": "+331", "nonsense": {}}], "who": 3}\n',
    ],
)
async def test_a_bad_request_is_answered_with_an_error_and_the_next_one_is_heard(
    gateway: Gateway, line: bytes
) -> None:
    bad, good = await gateway.raw(line, b'{"op": "ping"}\n')
    assert not bad["ok"]
    assert bad["error"]
    assert good["ok"]


async def test_a_line_that_is_too_long_ends_the_connection(gateway: Gateway) -> None:
    async with gateway.connected() as (reader, writer):
        writer.write(b"x" * (MAX_LINE + 2))
        answer = json.loads(await reader.readline())
        assert "at most" in answer["error"]
        assert await reader.read() == b""


async def test_half_a_line_is_no_request(gateway: Gateway) -> None:
    async with gateway.connected() as (reader, writer):
        writer.write(b'{"op": "ping"}')
        writer.write_eof()
        assert await reader.read() == b""


async def test_too_many_peers_are_turned_away_and_later_ones_heard(gateway: Gateway) -> None:
    async with AsyncExitStack() as crowd:
        for _ in range(MAX_PEERS):
            reader, writer = await crowd.enter_async_context(gateway.connected())
            writer.write(b'{"op": "ping"}\n')
            assert json.loads(await reader.readline())["ok"]
        assert await gateway.raw(b'{"op": "ping"}\n') == []
        writer.write_eof()
        assert await reader.read() == b""
        assert (await gateway.raw(b'{"op": "ping"}\n'))[0]["ok"]


async def test_another_user_is_not_heard(root: Path) -> None:
    gateway = Gateway(root, uids=frozenset({os.geteuid() + 1}))
    await gateway.server.start()
    with pytest.raises(ControlError, match=r"without an answer|Connection reset|Broken pipe"):
        await gateway.ask(lambda client: client.request(Ping()))
    assert gateway.metrics.value("callgate_control_refused_peers_total") == 1
    await gateway.server.close()
    gateway.entries.close()


async def test_a_failure_of_ours_is_an_answer_too(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.server, "_status", lambda: 1 / 0)
    with pytest.raises(ControlError, match="its log says why"):
        await gateway.ask(ControlClient.status)
    labels = {"op": "status", "result": "refused"}
    assert gateway.metrics.value("callgate_control_requests_total", **labels) == 1


async def test_a_socket_left_over_from_a_crash_is_replaced(root: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(root / "control.sock"))
    left.close()
    gateway = Gateway(root)
    await gateway.server.start()
    assert await gateway.ask(ControlClient.ping)
    await gateway.server.close()
    gateway.entries.close()


async def test_the_socket_of_a_running_gateway_is_left_alone(gateway: Gateway) -> None:
    second = ControlServer(
        gateway.path, gateway.policies, gateway.entries, gateway.metrics, lambda: {}
    )
    with pytest.raises(ControlError, match="another gateway"):
        await second.start()
    await second.close()
    assert await gateway.ask(ControlClient.ping)


async def test_a_path_that_no_socket_can_have_is_refused_with_a_way_out(root: Path) -> None:
    deep = root / ("d" * 100) / "control.sock"
    with pytest.raises(ControlError, match=r"at most 107 bytes.*set 'state'"):
        ControlClient(deep).ping()
    gateway = Gateway(root)
    gateway.server._path = deep
    with pytest.raises(ControlError, match="at most 107 bytes"):
        await gateway.server.start()
    gateway.entries.close()


async def test_a_file_that_is_no_socket_is_not_removed(root: Path) -> None:
    gateway = Gateway(root)
    gateway.path.write_text("precious")
    with pytest.raises(ControlError):
        await gateway.server.start()
    assert gateway.path.read_text() == "precious"
    gateway.entries.close()


@pytest.mark.parametrize(
    "request_",
    [
        b'{"op": "undo", "rev": %d}\n',
        b'{"op": "remove", "ids": [%d]}\n',
        b'{"op": "changes", "since": %d}\n',
        b'{"op": "list", "after": %d}\n',
        b'{"op": "list", "limit": %d}\n',
        b'{"op": "changes", "limit": %d}\n',
    ],
)
@pytest.mark.parametrize("number", [2**63, 2**64, 10**40, -(2**63) - 1])
async def test_an_integer_that_sqlite_cannot_hold_is_no_failure_of_ours(
    gateway: Gateway, request_: bytes, number: int
) -> None:
    [answer] = await gateway.raw(request_ % number)
    assert "failed" not in answer.get("error", "")
