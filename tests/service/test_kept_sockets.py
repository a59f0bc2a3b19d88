"""A service manager keeps our listening sockets over a restart: calls wait, and none is refused."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from gateway.app.kept import KeptSockets, kept_name
from gateway.settings import Address
from tests.support.load import Load, ingest, lost, right, stored
from tests.support.served import Served, served

MANAGED = (sys.executable, "-m", "tests.support.manager", sys.executable, "-m", "gateway")


async def restarted(gateway: Served) -> None:
    """As ``systemctl restart`` does it; the ports are as before."""
    pid = (await gateway.status())["pid"]
    os.kill(gateway.pid, signal.SIGUSR1)
    status = await gateway.until(
        lambda status: status["pid"] != pid and {"agi", "esl"} <= status["listeners"].keys()
    )
    for name, port in (("agi", gateway.agi), ("esl", gateway.esl)):
        assert status["listeners"][name].endswith(f":{port}")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_restart_under_a_service_manager_refuses_no_call_and_leaves_none_unanswered(
    workers: int,
) -> None:
    async with served(workers=workers, program=MANAGED) as gateway:
        load = Load(gateway, callers=6)
        async with load.running():
            for _ in range(2):
                await load.answered(20)
                await restarted(gateway)
            await load.answered(20)
        assert (load.refused, load.broken) == (0, 0)
        assert right(load.answers)
        await gateway.stop()
        await asyncio.to_thread(ingest, gateway.state)
        assert lost(load.answers, stored(gateway.state)) == []


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, 2)])
async def test_sockets_of_another_number_of_workers_are_given_up(before: int, after: int) -> None:
    """What they keep listening would wait for nobody."""
    async with served(workers=before, program=MANAGED) as gateway:
        config = gateway.root / "config" / "callgate.yaml"
        text = config.read_text().replace(f"workers: {before}", f"workers: {after}")
        text = text.replace(
            'agi: {listen: "127.0.0.1:0"', f'agi: {{listen: "127.0.0.1:{gateway.agi}"'
        )
        text = text.replace(
            'esl: {listen: "127.0.0.1:0"', f'esl: {{listen: "127.0.0.1:{gateway.esl}"'
        )
        config.write_text(text)
        await restarted(gateway)
        load = Load(gateway, callers=6)
        async with load.running():
            await load.answered(60)
        assert (load.refused, load.broken) == (0, 0)
        await restarted(gateway)


def handed(sockets: list[socket.socket]) -> int:
    """Descriptors in a row that are copies of these, as they are handed to a process."""
    first = 300
    for number, each in enumerate(sockets, start=first):
        os.dup2(each.fileno(), number)
    return first


def test_a_socket_is_taken_by_its_name_and_the_others_are_silenced() -> None:
    wanted, other = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    environ = {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "agi-a:agi-b",
        "LISTEN_PIDFDID": "7",
        "HOME": "/",
    }
    with wanted, other:
        kept = KeptSockets(environ, handed([wanted, other]))
        assert environ == {"HOME": "/"}, "a child would take them for its own"
        assert kept.give_up(["agi-a", "esl-a"]) == ["agi-b"]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(other.getsockname())
        (taken,) = kept.take("agi-a")
        assert taken.getsockname() == wanted.getsockname()
        assert not taken.get_inheritable()
        taken.close()
        assert kept.take("agi-a") == []


@pytest.mark.parametrize("changed", [{"LISTEN_PID": "1"}, {"LISTEN_FDS": "x"}, {"LISTEN_FDS": ""}])
def test_what_was_handed_to_another_process_is_left_alone(changed: dict[str, str]) -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"} | changed
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = KeptSockets(environ, handed([server]))
        assert kept.give_up([]) == []
        assert kept.take("a") == []
        os.close(300)


def test_what_is_no_socket_is_not_taken(tmp_path: Path) -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"}
    with (tmp_path / "file").open("w") as file:
        os.dup2(file.fileno(), 300)
    assert KeptSockets(environ, 300).take("a") == []
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(300)


def test_a_name_has_no_colon_and_differs_with_whatever_makes_the_socket() -> None:
    names = {
        kept_name(frontend, Address(host, port), workers)
        for frontend in ("agi", "esl")
        for host in ("::1", "127.0.0.1", "")
        for port in (4573, 0)
        for workers in (1, 2)
    }
    assert len(names) == 24
    assert not any(":" in name for name in names)
