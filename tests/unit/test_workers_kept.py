"""How workers are kept: their sockets, their pauses, and what a killed gateway left behind."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateway import logs
from gateway.app.crew import share
from gateway.app.limits import SPARE, needed_files
from gateway.errors import ConfigError
from gateway.settings import Settings
from gateway.workers.leftovers import end_leftovers
from gateway.workers.pool import CALM, FIRST_PAUSE, LONGEST_PAUSE, pause_after
from gateway.workers.sockets import listening

ROOT = Path(__file__).parents[2]


def test_each_worker_has_a_socket_that_listens_on_the_same_port() -> None:
    with ExitStack() as stack:
        made = [stack.enter_context(each) for each in listening("127.0.0.1", 0, 3)]
        assert len({each.getsockname() for each in made}) == 1
        for _ in range(20):
            socket.create_connection(made[0].getsockname(), 60).close()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_port_that_somebody_has_is_refused_even_if_they_would_share_it(workers: int) -> None:
    with ExitStack() as stack:
        [first] = listening("127.0.0.1", 0, 1)
        stack.enter_context(first)
        with pytest.raises(OSError, match="in use"):
            listening("127.0.0.1", first.getsockname()[1], workers)


def test_a_worker_that_lived_is_replaced_at_once_and_one_that_did_not_ever_later() -> None:
    assert pause_after(LONGEST_PAUSE, CALM) == 0.0
    pauses = [0.0]
    for _ in range(12):
        pauses.append(pause_after(pauses[-1], 0.1))
    assert pauses[1:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


@pytest.mark.parametrize(("all", "workers", "each"), [(1000, 2, 500), (1000, 3, 334), (1, 4, 1)])
def test_connections_are_divided_and_rounded_up(all: int, workers: int, each: int) -> None:
    assert share(all, workers) == each


def test_the_limit_of_open_files_is_that_of_one_worker(tmp_path: Path) -> None:
    text = "workers: 4\nagi: {max_connections: 300}\nesl: {max_connections: 42}\n"
    (tmp_path / "callgate.yaml").write_text(text)
    assert needed_files(Settings.load(tmp_path / "callgate.yaml", {})) == 75 + 11 + SPARE


@pytest.mark.parametrize(
    ("text", "count"), [("1", 1), ("64", 64), ("auto", len(os.sched_getaffinity(0)))]
)
def test_workers_are_a_count_or_one_for_each_cpu(tmp_path: Path, text: str, count: int) -> None:
    settings = Settings.parse(f"workers: {text}\n".encode(), tmp_path / "callgate.yaml", {})
    assert settings.workers == count


@pytest.mark.parametrize("text", ["0", "65", "-1", "many", "1.5"])
def test_other_counts_of_workers_are_faults(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"callgate\.yaml:1:10: workers: must"):
        Settings.parse(f"workers: {text}\n".encode(), tmp_path / "callgate.yaml", {})


HOLD = """
import os, sys, time
from pathlib import Path
from gateway.workers.leftovers import hold
hold(Path(sys.argv[1]), int(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(path: Path, worker: int) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of a worker until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(path), str(worker)]
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_nothing_is_left_where_no_worker_ran(tmp_path: Path) -> None:
    assert end_leftovers(tmp_path / "workers.lock", 0.0) == []
    assert not (tmp_path / "workers.lock").exists()


def test_workers_that_are_left_and_cannot_end_are_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "workers.lock"
    with holder(path, 1) as first, holder(path, 2) as second:
        os.kill(first.pid, signal.SIGSTOP)
        assert sorted(end_leftovers(path, 0.0)) == sorted([first.pid, second.pid])
        assert first.wait(60) == second.wait(60) == -signal.SIGKILL
    assert caplog.text.count("outlived its gateway") == 2


def test_one_that_ends_by_itself_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "workers.lock"
    with holder(path, 5) as process:
        assert process.stdin
        process.stdin.close()
        assert end_leftovers(path, 60.0) == []
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("format", "told"), [("text", "gateway.test: worker 2: hello"), ("json", '"worker": "2"')]
)
def test_a_line_of_the_log_names_its_worker(format: str, told: str, tmp_path: Path) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with (
            (tmp_path / "log").open("wb") as file,
            logs.background("info", format, descriptor=file.fileno(), worker=2),
        ):
            logging.getLogger("gateway.test").info("hello")
        assert told in (tmp_path / "log").read_text()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
