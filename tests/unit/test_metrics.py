"""Metrics: the table is the law, the text is Prometheus', and no number becomes a label."""

from __future__ import annotations

import re

import pytest

from gateway.metrics import BUCKETS, MAX_SERIES, METRICS, Metrics, Type

DECISION = {
    "frontend": "agi",
    "direction": "inbound",
    "verdict": "block",
    "reason": "list",
}


def test_a_counter_adds_up_per_set_of_labels() -> None:
    metrics = Metrics()
    metrics.inc("callgate_calls_total", **DECISION)
    metrics.inc("callgate_calls_total", 2, **DECISION)
    metrics.inc("callgate_calls_total", **(DECISION | {"verdict": "allow"}))
    assert metrics.value("callgate_calls_total", **DECISION) == 3
    assert metrics.value("callgate_calls_total", **(DECISION | {"verdict": "allow"})) == 1


def test_the_order_in_which_labels_are_given_does_not_matter() -> None:
    metrics = Metrics()
    metrics.inc("callgate_unanswered_total", frontend="agi", cause="silent")
    metrics.inc("callgate_unanswered_total", cause="silent", frontend="agi")
    assert metrics.value("callgate_unanswered_total", cause="silent", frontend="agi") == 2


def test_a_gauge_is_set_and_moved() -> None:
    metrics = Metrics()
    metrics.set("callgate_connections_open", 5, frontend="agi")
    metrics.add("callgate_connections_open", -2, frontend="agi")
    assert metrics.value("callgate_connections_open", frontend="agi") == 3


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("callgate_nothing_total", {}),
        ("callgate_journal_errors_total", {"number": "1"}),
        ("callgate_connections_total", {}),
        ("callgate_connections_total", {"listener": "agi"}),
        ("callgate_draining", {}),
    ],
)
def test_a_name_a_label_or_a_type_that_is_not_in_the_table_is_a_bug(
    name: str, labels: dict[str, str]
) -> None:
    with pytest.raises(KeyError):
        Metrics().inc(name, **labels)


def test_a_phone_number_never_becomes_a_label() -> None:
    metrics = Metrics()
    metrics.inc("callgate_calls_total", **(DECISION | {"reason": "+33123456789"}))
    assert "33123456789" not in metrics.render()
    assert metrics.value("callgate_calls_total", **(DECISION | {"reason": "masked"})) == 1


def test_past_the_limit_of_series_everything_is_counted_as_other() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES + 5):
        metrics.inc("callgate_shadow_differences_total", list=f"l{number}")
    assert metrics.value("callgate_shadow_differences_total", list="other") == 5
    metrics.inc("callgate_shadow_differences_total", list="l7")
    assert metrics.value("callgate_shadow_differences_total", list="l7") == 2


def test_a_histogram_counts_cumulatively_and_sums() -> None:
    metrics = Metrics()
    for value in (BUCKETS[0], BUCKETS[0] / 2, BUCKETS[-1] * 2):
        metrics.observe("callgate_decision_seconds", value, frontend="agi")
    lines = [line for line in metrics.render().splitlines() if "decision_seconds_" in line]
    assert lines[0].endswith(f'{{frontend="agi",le="{BUCKETS[0]:g}"}} 2')
    assert 'callgate_decision_seconds_bucket{frontend="agi",le="+Inf"} 3' in lines
    assert 'callgate_decision_seconds_count{frontend="agi"} 3' in lines
    assert len(lines) == len(BUCKETS) + 3


def test_every_line_is_prometheus_text() -> None:
    metrics = Metrics()
    metrics.inc("callgate_shadow_differences_total", list='a"b\\c\nd')
    metrics.set("callgate_start_time_seconds", 1795000000.25)
    text = metrics.render()
    assert 'list="a\\"b\\\\c\\nd"' in text
    assert "callgate_start_time_seconds 1795000000.25\n" in text
    sample = re.compile(r'[a-z_]+(\{([a-z]+="(\\.|[^"\\\n])*",?)+\})? [-+.e\d]+')
    for line in text.splitlines():
        assert line.startswith(("# HELP callgate_", "# TYPE callgate_")) or sample.fullmatch(line)


def test_a_metric_without_labels_is_there_from_the_start() -> None:
    assert "callgate_journal_errors_total 0" in Metrics().render().splitlines()


def test_what_a_handle_counts_and_what_others_count_is_one_series() -> None:
    metrics = Metrics()
    handle = metrics.counter("callgate_deliveries_total", delivery="sent")
    assert handle is metrics.counter("callgate_deliveries_total", delivery="sent")
    assert 'callgate_deliveries_total{delivery="sent"} 0' in metrics.render()
    handle.inc()
    handle.inc()
    metrics.inc("callgate_deliveries_total", delivery="sent")
    metrics.inc("callgate_deliveries_total", delivery="lost")
    assert metrics.value("callgate_deliveries_total", delivery="sent") == 3
    assert metrics.value("callgate_deliveries_total", delivery="lost") == 1
    assert 'callgate_deliveries_total{delivery="sent"} 3' in metrics.render()


def test_what_a_handle_observes_and_what_others_observe_is_one_histogram() -> None:
    metrics = Metrics()
    handle = metrics.histogram("callgate_decision_seconds", frontend="agi")
    handle.observe(0.0001)
    handle.observe(0.4)
    metrics.observe("callgate_decision_seconds", 0.5, frontend="agi")
    text = metrics.render()
    for line in (
        'callgate_decision_seconds_bucket{frontend="agi",le="5e-05"} 0',
        'callgate_decision_seconds_bucket{frontend="agi",le="0.0001"} 1',
        'callgate_decision_seconds_bucket{frontend="agi",le="0.5"} 3',
        'callgate_decision_seconds_bucket{frontend="agi",le="+Inf"} 3',
        'callgate_decision_seconds_sum{frontend="agi"} 0.9001',
        'callgate_decision_seconds_count{frontend="agi"} 3',
    ):
        assert line in text


def test_handles_obey_the_rules_of_names_types_numbers_and_series(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = Metrics()
    for wrong in (
        lambda: metrics.counter("callgate_nothing_total"),
        lambda: metrics.counter("callgate_decision_seconds", frontend="agi"),
        lambda: metrics.histogram("callgate_deliveries_total", delivery="sent"),
        lambda: metrics.counter("callgate_deliveries_total", colour="red"),
    ):
        with pytest.raises(KeyError):
            wrong()
    metrics.counter("callgate_deliveries_total", delivery="+33162000000").inc()
    assert metrics.value("callgate_deliveries_total", delivery="masked") == 1
    monkeypatch.setattr("gateway.metrics.MAX_SERIES", 2)
    metrics.counter("callgate_deliveries_total", delivery="sent").inc()
    for late in ("lost", "confirmed"):
        metrics.counter("callgate_deliveries_total", delivery=late).inc()
    assert metrics.value("callgate_deliveries_total", delivery="other") == 2


def test_clearing_forgets_what_no_longer_exists() -> None:
    metrics = Metrics()
    metrics.set("callgate_policy_entries", 4, list="gone")
    metrics.clear("callgate_policy_entries")
    assert "gone" not in metrics.render()


def test_a_snapshot_holds_every_sample_of_the_text() -> None:
    metrics = Metrics()
    metrics.inc("callgate_calls_total", **DECISION)
    text = [line for line in metrics.render().splitlines() if not line.startswith("#")]
    assert [str(sample) for sample in metrics.snapshot()] == text


def test_names_follow_the_conventions() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"callgate_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.type is Type.COUNTER)
        assert metric.type is not Type.HISTOGRAM or metric.name.endswith("_seconds")
        assert metric.help.endswith(".")
        assert not {"number", "caller", "callee", "phone", "entry"} & set(metric.labels)
