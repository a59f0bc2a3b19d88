"""A clock that jumps forward is not believed at once by what removes things."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.attempts.ingest import Ingester
from gateway.attempts.journal import Journal
from gateway.attempts.steady import GRACE, JUMP, Steady
from tests.support.attempts import append_many

DAY = 86400.0


class Bench:
    """Two clocks: ``now`` of both, and how far the one is ``ahead``."""

    def __init__(self) -> None:
        self.now, self.ahead = 1000.0, 0.0
        self.steady = Steady(lambda: 1.7e9 + self.now + self.ahead, lambda: self.now)

    def doubts(self) -> bool:
        return bool(self.steady.doubt())


def test_a_clock_that_goes_on_is_believed() -> None:
    bench = Bench()
    for _ in range(5):
        bench.now += 100 * DAY
        bench.ahead += JUMP / 10
        assert not bench.doubts()


def test_a_jump_forward_is_told_and_believed_after_a_day() -> None:
    bench = Bench()
    bench.ahead = 100 * DAY
    assert "set forward by 100.0 days" in bench.steady.doubt()
    bench.now += GRACE - 1
    assert bench.doubts()
    bench.now += 1
    assert not bench.doubts()
    bench.now += 1
    assert not bench.doubts()


def test_a_clock_that_is_set_right_again_is_believed_at_once() -> None:
    bench = Bench()
    bench.ahead = 100 * DAY
    assert bench.doubts()
    bench.ahead = 0.0
    assert not bench.doubts()


def test_a_step_back_is_believed_and_what_follows_counts_from_it() -> None:
    bench = Bench()
    bench.ahead = -30 * DAY
    assert not bench.doubts()
    bench.ahead = 0.0
    assert bench.doubts()


def test_nothing_is_purged_while_the_clock_is_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    journal = Journal(tmp_path / "journal")
    append_many(journal, 4, real() - 10)
    journal.close()
    ingester = Ingester(tmp_path, 90 * DAY)
    monkeypatch.setattr(time, "time", lambda: real() + 100 * DAY)
    ingester.step(lambda: False)
    assert ingester.status.attempts == 4
    assert ingester.status.purged == 0
    assert "set forward by 100.0 days" in ingester.status.error
    assert list((tmp_path / "journal" / "archive").glob("*.gz"))
    monkeypatch.undo()
    ingester.step(lambda: False)
    assert ingester.status.error == ""
    ingester.close()
