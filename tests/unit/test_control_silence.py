"""A gateway that is there but does not answer: what the command line says, and when it gives up."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.control import MAX_ENTRIES, ControlClient
from gateway.control import client as control
from gateway.entries import Asked
from gateway.errors import ControlSilent

WHY = "it may be stopped or overloaded"
SOON = 0.05


@pytest.fixture
def frozen() -> Iterator[Path]:
    """The socket of a gateway that the kernel answers for: connections wait to be accepted."""
    with tempfile.TemporaryDirectory(prefix="cg") as folder, socket.socket(socket.AF_UNIX) as door:
        path = Path(folder) / "state/control.sock"
        path.parent.mkdir(mode=0o700)
        door.bind(str(path))
        door.listen(8)
        yield path


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = ControlClient.request.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "timeout", SOON)
    monkeypatch.setattr(control, "RELOAD_TIMEOUT", SOON)


@pytest.mark.parametrize(
    ("ask", "look"),
    [
        (lambda client: client.add([Asked(number="+33162")]), "callgate list"),
        (lambda client: client.edit([Asked(number="+33162")]), "callgate list"),
        (lambda client: client.remove([Asked(number="+33162")]), "callgate list"),
        (lambda client: client.undo(1), "callgate undo"),
        (lambda client: client.reload(), "callgate status"),
    ],
)
def test_what_may_still_be_done_is_told(
    frozen: Path, ask: Callable[[ControlClient], object], look: str
) -> None:
    with pytest.raises(ControlSilent) as told:
        ask(ControlClient(frozen))
    assert str(told.value) == (
        f"the gateway did not answer within 0.05 s; {WHY}; it may still be done: see {look}"
    )


@pytest.mark.parametrize("ask", [ControlClient.status, ControlClient.ping, ControlClient.metrics])
def test_a_question_changes_nothing(frozen: Path, ask: Callable[..., object]) -> None:
    with pytest.raises(ControlSilent) as told:
        ask(ControlClient(frozen), timeout=SOON)
    assert str(told.value) == f"the gateway did not answer within 0.05 s; {WHY}"


def test_a_request_that_did_not_arrive_whole_is_not_done(frozen: Path) -> None:
    much = [Asked(number="+33162", reason="x" * 3000)] * MAX_ENTRIES
    with pytest.raises(ControlSilent) as told:
        ControlClient(frozen).add(much)
    assert str(told.value) == f"the gateway did not answer within 0.05 s; {WHY}"


def test_a_queue_that_is_full_holds_nobody_up(frozen: Path) -> None:
    config = frozen.parents[1] / "callgate.yaml"
    config.write_text("state: state\n")
    with ExitStack() as waiting:
        _fill(frozen, waiting)
        result = CliRunner().invoke(main, ["--config", str(config), "status"])
    assert result.exit_code == 1
    assert result.stderr == f"error: the gateway takes no more connections; {WHY}\n"


def _fill(path: Path, waiting: ExitStack) -> None:
    while True:
        peer = waiting.enter_context(socket.socket(socket.AF_UNIX))
        peer.setblocking(False)
        try:
            peer.connect(str(path))
        except BlockingIOError:
            return


@pytest.mark.parametrize("command", ["status", "metrics", "reload"])
def test_a_person_waits_for_seconds_only(
    frozen: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = frozen.parents[1] / "callgate.yaml"
    config.write_text("state: state\n")
    monkeypatch.setattr("gateway.control.QUESTION_TIMEOUT", SOON)
    result = CliRunner().invoke(main, ["--config", str(config), command])
    assert result.exit_code == 1
    assert result.stderr == f"error: the gateway did not answer within 0.05 s; {WHY}\n"


def test_an_entry_that_a_frozen_gateway_may_add_later_is_told(frozen: Path) -> None:
    config = frozen.parents[1] / "callgate.yaml"
    config.write_text("state: state\n")
    result = CliRunner().invoke(main, ["--config", str(config), "add", "+33162", "--json"])
    assert result.exit_code == 1
    assert result.stderr.endswith("; it may still be done: see callgate list\n")
