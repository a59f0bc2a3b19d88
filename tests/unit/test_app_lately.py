"""What is said of trouble that was counted lately, and for how long."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest

from gateway.app.lately import CALM, SIGNS, Lately, Sign
from gateway.metrics import METRICS, Series

ERRORS = next(sign for sign in SIGNS if "could not be written" in sign.words)
REFUSED = next(sign for sign in SIGNS if sign.logged)


class Bench:
    """Counters and a clock that the test sets."""

    def __init__(self) -> None:
        self.counts: Counter[Series] = Counter()
        self.now = 1000.0
        self.lately = Lately(self.counts.__getitem__, clock=lambda: self.now)

    def count(self, sign: Sign, more: int = 1) -> None:
        self.counts[sign.counters[-1]] += more

    @property
    def told(self) -> list[tuple[str, str]]:
        return list(self.lately.told())


def test_nothing_is_said_of_a_gateway_that_is_well() -> None:
    assert Bench().told == []


def test_trouble_is_told_until_there_was_peace() -> None:
    bench = Bench()
    bench.count(ERRORS, 3)
    assert bench.told == [("journal", f"{ERRORS.words} (3)")]
    bench.now += CALM
    bench.count(ERRORS, 2)
    assert bench.told == [("journal", f"{ERRORS.words} (5)")]
    bench.now += CALM
    assert bench.told == [("journal", f"{ERRORS.words} (5)")]
    bench.now += 1
    assert bench.told == []
    bench.count(ERRORS)
    assert bench.told == [("journal", f"{ERRORS.words} (1)")]


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.words)
def test_each_trouble_is_told_for_itself_whichever_of_its_counters_grew(sign: Sign) -> None:
    bench = Bench()
    for series in sign.counters:
        bench.counts[series] += 1
    assert bench.told == [(sign.part, f"{sign.words} ({len(sign.counters)})")]


def test_what_a_part_says_itself_comes_first() -> None:
    bench = Bench()
    bench.count(ERRORS)
    assert bench.lately.onto({"journal": {"degraded": "gone", "pid": 1}}) == {
        "journal": {"degraded": f"gone; {ERRORS.words} (1)", "pid": 1}
    }
    assert bench.lately.onto({}) == {"journal": {"degraded": f"{ERRORS.words} (1)"}}


def test_what_nobody_else_logs_is_logged_once_until_there_was_peace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    for _ in range(3):
        bench.count(REFUSED)
        bench.count(ERRORS)
        bench.lately.look()
    assert caplog.messages == [REFUSED.words]
    bench.now += CALM + 1
    bench.lately.look()
    bench.count(REFUSED)
    bench.lately.look()
    assert caplog.messages == [REFUSED.words] * 2


def test_every_counter_exists_with_its_labels() -> None:
    labels = {metric.name: metric.labels for metric in METRICS}
    for name, pairs in chain.from_iterable(sign.counters for sign in SIGNS):
        assert labels[name] == tuple(label for label, _ in pairs)
