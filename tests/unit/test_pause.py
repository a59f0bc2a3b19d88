"""How long a guard waits before it tries its link again."""

from __future__ import annotations

import random

import pytest

from gateway.frontends.pause import FIRST_PAUSE, LONGEST_PAUSE, pause_after


@pytest.mark.parametrize("failures", [0, 1, 2, 3, 4, 5, 6, 20, 10_000])
def test_a_pause_doubles_with_each_failure_up_to_a_bound_less_up_to_half(failures: int) -> None:
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 20))
    pauses = [pause_after(failures) for _ in range(200)]
    assert all(longest / 2 <= pause <= longest for pause in pauses)


def test_two_guards_do_not_come_back_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", random.Random(1).uniform)
    assert len({pause_after(3) for _ in range(100)}) == 100


def test_the_pauses_are_those_that_the_docs_name() -> None:
    assert (FIRST_PAUSE, LONGEST_PAUSE) == (1.0, 30.0)
