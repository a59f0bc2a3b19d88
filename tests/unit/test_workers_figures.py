"""The metrics of several processes are those of one gateway, and none goes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.metrics import METRICS, Metrics, Sample, Type
from gateway.workers.figures import Sums, family_of, rendered

CALLS = {"direction": "inbound", "verdict": "block", "reason": "list"}


def counted(calls: int, *, frontend: str = "agi", connections: int = 0) -> Metrics:
    metrics = Metrics()
    for _ in range(calls):
        metrics.inc("callgate_calls_total", frontend=frontend, **CALLS)
        metrics.observe("callgate_decision_seconds", 0.002, frontend=frontend)
    metrics.set("callgate_connections_open", connections, frontend=frontend)
    return metrics


def value(samples: list[Sample], name: str) -> float:
    return sum(sample.value for sample in samples if sample.name == name)


def test_counters_gauges_and_buckets_are_summed() -> None:
    sums = Sums()
    sums.told(1, counted(2, connections=3).snapshot())
    sums.told(2, counted(4, frontend="esl", connections=1).snapshot())
    found = sums.over(counted(1, frontend="http").snapshot())
    assert value(found, "callgate_calls_total") == 7
    assert value(found, "callgate_decision_seconds_count") == 7
    assert value(found, "callgate_connections_open") == 4
    whole = [item for item in found if dict(item.labels).get("le") == "+Inf"]
    assert sorted(item.value for item in whole if "decision" in item.name) == [1, 2, 4]


def test_the_sum_of_one_process_is_what_it_renders_itself() -> None:
    metrics = counted(3, connections=2)
    assert rendered(Sums().over(metrics.snapshot())) == metrics.render()
    sums = Sums()
    sums.told(1, metrics.snapshot())
    assert rendered(sums.over(Metrics().snapshot())) == metrics.render()


def test_a_dead_worker_leaves_its_counters_and_takes_its_gauges() -> None:
    sums = Sums()
    sums.told(1, counted(5, connections=3).snapshot())
    sums.ended(1)
    sums.ended(1)
    sums.told(1, counted(2, connections=1).snapshot())
    found = sums.over(Metrics().snapshot())
    assert value(found, "callgate_calls_total") == 7
    assert value(found, "callgate_decision_seconds_sum") == 0.014
    assert value(found, "callgate_connections_open") == 1


@given(
    events=st.lists(
        st.one_of(
            st.tuples(st.integers(1, 3), st.integers(0, 4)),
            st.tuples(st.integers(1, 3), st.none()),
        ),
        max_size=30,
    )
)
def test_no_counter_ever_goes_back(events: list[tuple[int, int | None]]) -> None:
    """Workers count some more, or die and begin anew."""
    sums, living, last = Sums(), dict.fromkeys((1, 2, 3), 0), 0.0
    total = 0
    for worker, more in events:
        if more is None:
            sums.ended(worker)
            living[worker] = 0
        else:
            living[worker] += more
            total += more
            sums.told(worker, counted(living[worker]).snapshot())
        now = value(sums.over(Metrics().snapshot()), "callgate_calls_total")
        assert now == total >= last
        last = now


def test_every_sample_belongs_to_its_metric() -> None:
    for sample in counted(1).snapshot():
        assert sample.name.startswith(family_of(sample.name).name)
    histograms = [metric.name for metric in METRICS if metric.type is Type.HISTOGRAM]
    assert {family_of(f"{name}_bucket").name for name in histograms} == set(histograms)
