"""What doctor says of guards: let in, given events, allowed to act."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.guards import check_extensions, check_guards
from gateway.guardsettings import GuardsSettings
from gateway.numbers import NumberPlan
from tests.fakes.ami import SECRET, Action, fake_asterisk
from tests.fakes.ami import Session as AmiSession
from tests.fakes.event_socket import PASSWORD, event_socket
from tests.fakes.event_socket import Session as EslSession
from tests.support.policies import make_policy

MANAGER = """[general]
enabled = yes
channelvars = CALLGATE_FOR, CALLGATE_ATTEMPT ; marks
[callgate]
secret => s3cret
read = call
write = call
"""


@contextmanager
def beside(made: AbstractAsyncContextManager[Any]) -> Iterator[int]:
    """The port of a fake PBX that runs in a thread, for code that runs a loop of its own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()
    ports: list[int] = []

    async def serve() -> None:
        async with made as fake:
            ports.append(fake.port)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def told(folder: Path, **guards: dict[str, object]) -> list[tuple[str, str]]:
    patient = {pbx: {"deadline": 10.0, **guard} for pbx, guard in guards.items()}
    settings = GuardsSettings.model_validate(patient)
    return [(remark.status, remark.text) for remark in check_guards(settings, folder)]


def asterisk(folder: Path, port: int, secret: str = SECRET) -> list[tuple[str, str]]:
    return told(folder, asterisk={"connect": f"127.0.0.1:{port}", "secret": secret})


def freeswitch(port: int, password: str = PASSWORD) -> list[tuple[str, str]]:
    return told(Path(), freeswitch={"connect": f"127.0.0.1:{port}", "password": password})


def listed(*names: str) -> Callable[[AmiSession, Action], None]:
    """An Asterisk that lets these actions be used."""

    def answer(session: AmiSession, action: Action) -> None:
        session.reply(action, "\n".join(f"{name}: Text.  (Priv: call,all)" for name in names))

    return answer


ALLOWED = {"ListCommands": listed("Hangup", "Status", "Ping")}


def test_a_guard_that_is_off_is_not_spoken_of(tmp_path: Path) -> None:
    assert told(tmp_path) == []


def test_an_asterisk_that_has_everything_is_in_order(tmp_path: Path) -> None:
    (tmp_path / "manager.conf").write_text(MANAGER)
    with beside(fake_asterisk(**ALLOWED)) as port:
        assert asterisk(tmp_path, port) == [
            ("ok", f"Asterisk at 127.0.0.1:{port} lets callgate in and act on calls")
        ]


def test_a_wrong_secret_fails(tmp_path: Path) -> None:
    with beside(fake_asterisk()) as port:
        status, text = asterisk(tmp_path, port, "wrong")[0]
    assert (status, text) == ("fail", "Asterisk: the login failed: Authentication failed")


def test_a_user_who_may_not_act_fails(tmp_path: Path) -> None:
    with beside(fake_asterisk(ListCommands=listed("Ping", "Status"))) as port:
        status, text = asterisk(tmp_path, port)[0]
    assert (status, text) == ("fail", "Asterisk: callgate may not Hangup: write=call")


@pytest.mark.parametrize(
    ("written", "status", "text"),
    [
        (("read = call", "read = system"), "fail", "is given no events: read=call"),
        (("read = call", "read = all"), "ok", ""),
        (("CALLGATE_FOR, ", ""), "fail", "channelvars lacks CALLGATE_FOR"),
        (("[callgate]", "[other]"), "warn", "has no [callgate]"),
    ],
)
def test_the_file_of_asterisk_says_what_asterisk_does_not(
    tmp_path: Path, written: tuple[str, str], status: str, text: str
) -> None:
    (tmp_path / "manager.conf").write_text(MANAGER.replace(*written))
    with beside(fake_asterisk(**ALLOWED)) as port:
        last = asterisk(tmp_path, port)[-1]
    assert last[0] == status
    assert text in last[1]


def test_without_the_file_events_are_not_checked(tmp_path: Path) -> None:
    with beside(fake_asterisk(**ALLOWED)) as port:
        assert asterisk(tmp_path, port)[1][0] == "warn"


def test_a_freeswitch_that_has_everything_is_in_order() -> None:
    with beside(event_socket()) as port:
        assert freeswitch(port) == [
            ("ok", f"FreeSWITCH at 127.0.0.1:{port} gives events and has 0 channels")
        ]


def test_a_wrong_password_fails() -> None:
    with beside(event_socket()) as port:
        assert freeswitch(port, "wrong") == [("fail", "FreeSWITCH: the password is wrong")]


def test_events_that_may_not_be_had_fail() -> None:
    def deny(session: EslSession, _: str) -> None:
        session.reply("-ERR permission denied")

    with beside(event_socket(event=deny)) as port:
        assert freeswitch(port) == [("fail", "FreeSWITCH: no events: -ERR permission denied")]


def test_a_pbx_that_does_not_listen_fails() -> None:
    with beside(event_socket()) as port:
        pass
    assert freeswitch(port)[0][0] == "fail"


@pytest.mark.parametrize("extensions", [[], ["1xxx"]])
@pytest.mark.parametrize("mode", ["kill", "park"])
def test_mode_kill_without_the_extensions_of_the_plan_is_warned_of(
    mode: str, extensions: list[str]
) -> None:
    plan = NumberPlan.build(region="FR", extensions=extensions)
    settings = GuardsSettings.model_validate(
        {"freeswitch": {"connect": "127.0.0.1:8021", "mode": mode}}
    )
    remarks = list(check_extensions(settings, make_policy((), (), plan=plan)))
    assert bool(remarks) == (mode == "kill" and not extensions)
    assert all(remark.status == "warn" for remark in remarks)


def test_without_a_guard_of_freeswitch_extensions_do_not_matter() -> None:
    plan = NumberPlan.build(region="FR")
    settings = GuardsSettings.model_validate({"freeswitch": {"mode": "kill"}})
    assert list(check_extensions(settings, make_policy((), (), plan=plan))) == []
