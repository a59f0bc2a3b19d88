"""An ingester that is there and does nothing is known by its silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.ingester import SILENCE, Ingester
from gateway.attempts.status import Status, write_status
from gateway.metrics import Metrics
from gateway.settings import LogFormat, LogLevel, LogSettings


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def ingester(tmp_path: Path, metrics: Metrics, clock: Clock) -> Ingester:
    return Ingester(tmp_path, 60, metrics, clock=clock)


def age(metrics: Metrics) -> float:
    return metrics.value("callgate_ingester_status_age_seconds")


def test_its_last_word_grows_old_and_is_told_once(
    tmp_path: Path,
    ingester: Ingester,
    metrics: Metrics,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_status(tmp_path, Status(pid=1, at=clock.now))
    ingester.look()
    assert age(metrics) == 0
    assert ingester.told()["degraded"] == ""
    clock.now += SILENCE + 1
    for _ in range(3):
        ingester.look()
    assert age(metrics) == SILENCE + 1
    assert ingester.told()["degraded"] == "has said nothing for 61 s"
    assert caplog.messages == ["the ingester has said nothing for 61 s"]
    write_status(tmp_path, Status(pid=1, at=clock.now))
    ingester.look()
    assert age(metrics) == 0
    assert ingester.told()["degraded"] == ""
    clock.now += SILENCE + 1
    ingester.look()
    assert len(caplog.messages) == 2, "another silence is news"


def test_one_that_never_spoke_is_silent_since_the_start(
    ingester: Ingester, metrics: Metrics, clock: Clock
) -> None:
    clock.now += SILENCE + 1
    ingester.look()
    assert age(metrics) == SILENCE + 1
    assert ingester.told()["status"] is None


def test_what_a_former_one_said_is_no_sign_of_this_one(
    tmp_path: Path, metrics: Metrics, clock: Clock
) -> None:
    write_status(tmp_path, Status(pid=1, at=clock.now - 3600))
    ingester = Ingester(tmp_path, 60, metrics, clock=clock)
    clock.now += 2
    ingester.look()
    assert age(metrics) == 2


def test_a_clock_that_was_set_back_makes_no_age_below_zero(
    tmp_path: Path, ingester: Ingester, metrics: Metrics, clock: Clock
) -> None:
    write_status(tmp_path, Status(pid=1, at=clock.now + 3600))
    ingester.look()
    assert age(metrics) == 0


def test_what_it_says_is_wrong_is_shown_too(
    tmp_path: Path, ingester: Ingester, metrics: Metrics, clock: Clock
) -> None:
    write_status(tmp_path, Status(pid=1, at=clock.now, error="disk full", backlog=7))
    ingester.look()
    assert metrics.value("callgate_ingester_failing") == 1
    assert metrics.value("callgate_ingester_backlog_bytes") == 7
    told = ingester.told()
    assert (told["degraded"], told["status"]["backlog"]) == ("disk full", 7)


def test_it_logs_as_the_gateway_does(tmp_path: Path, metrics: Metrics) -> None:
    log = LogSettings(level=LogLevel.ERROR, format=LogFormat.JSON, mask=True)
    command = Ingester(tmp_path, 60, metrics, log=log)._command()
    assert command[-5:] == ["--log-level", "error", "--log-format", "json", "--log-mask"]
    assert "--log-mask" not in Ingester(tmp_path, 60, metrics)._command()


def test_corruptions_are_counted_over_all_ingesters_but_not_those_of_a_former_gateway(
    tmp_path: Path, metrics: Metrics, clock: Clock
) -> None:
    write_status(tmp_path, Status(pid=7, started=1.0, corruptions=2))
    ingester = Ingester(tmp_path, 60, metrics, clock=clock)

    def told(started: float, corruptions: int) -> float:
        at = Status(pid=7, started=started, at=clock.now, corruptions=corruptions)
        write_status(tmp_path, at)
        ingester.look()
        return metrics.value("callgate_ingester_corruptions_total")

    assert told(1.0, 2) == 0, "a former gateway's"
    assert told(2.0, 0) == 0
    assert told(2.0, 1) == 1
    assert told(2.0, 1) == 1
    assert told(3.0, 1) == 2, "another one, though by the same process id and with as many"
    assert told(3.0, 3) == 4


def test_a_word_that_is_new_was_said_now_whatever_time_it_carries(
    tmp_path: Path, ingester: Ingester, metrics: Metrics, clock: Clock
) -> None:
    clock.now += 2 * SILENCE
    write_status(tmp_path, Status(pid=1, at=clock.now - SILENCE))
    ingester.look()
    assert age(metrics) == 0
