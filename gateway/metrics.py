"""Counters, gauges and histograms, rendered as Prometheus text.

Rule 1: every metric stands in METRICS; an unknown name or label is a bug and raises at once.
Rule 2: a phone number is never a label. A value with seven digits in a row becomes ``masked``.
Rule 3: a metric holds at most MAX_SERIES sets of labels; what comes later is counted as ``other``.
Rule 4: the call path takes no lock: it counts by a handle that it keeps for each set of labels
(``counter``, ``histogram``). Only one thread, the loop's, writes to handles, and a series is told
as what its handle has plus what was added to it under the lock: no count is lost.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

MAX_SERIES = 1000
BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Upper bounds in seconds of a histogram's buckets."""

Series = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a metric, and its labels with their values in their order."""
_NUMBER = re.compile(r"\d{7}")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Type(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """What one metric is called, counts and is split by."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()


def _counter(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"callgate_{name}_total", Type.COUNTER, help, labels)


def _gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"callgate_{name}", Type.GAUGE, help, labels)


def _histogram(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"callgate_{name}_seconds", Type.HISTOGRAM, help, labels)


METRICS: tuple[Metric, ...] = (
    _counter("calls", "Calls that were decided.", "frontend", "direction", "verdict", "reason"),
    _histogram("decision", "From the parsed request to the verdict.", "frontend"),
    _counter("decision_errors", "Calls answered by on_error: no decision was possible."),
    _counter("shadow_differences", "Calls that shadow lists would have decided otherwise.", "list"),
    _counter("unknown_scope", "Calls that named an unknown trunk or campaign."),
    _counter("hostile_requests", "Requests no real PBX sends; they were blocked.", "frontend"),
    _counter("unanswered", "Peers that got no answer, by cause.", "frontend", "cause"),
    _counter(
        "listener_shut_seconds",
        "Seconds for which the kernel refused whoever came, uncounted, in a flood.",
        "frontend",
    ),
    _counter(
        "connections",
        "Connections accepted, also to be turned away. Not those that are reset in a flood: "
        "they are in unanswered alone, whose ratio to these may exceed 1.",
        "frontend",
    ),
    _gauge("connections_open", "Connections open now.", "frontend"),
    _counter("deliveries", "Answers by what became of them.", "delivery"),
    _counter("journal_errors", "Attempts that could not be written to the journal."),
    _counter(
        "journal_segments_lost", "Segments that were moved or removed while they were written."
    ),
    _counter("journal_sync_timeouts", "Answers that left before their record was on the disk."),
    _counter("journal_sync_failures", "Syncs of the journal that the disk refused."),
    _counter("policy_reloads", "Reloads by result: loaded, failed or refused.", "result"),
    _gauge("policy_last_reload_successful", "Whether the last reload was loaded."),
    _gauge("policy_last_reload_success_timestamp_seconds", "When a policy was last loaded."),
    _gauge("policy_degraded", "1 while the configured policy is not the one that runs."),
    _histogram("policy_compile", "From the start of a reload to its end."),
    _gauge("policy_lists", "Lists of the policy that runs."),
    _gauge("policy_entries", "Entries of the policy that runs, by list.", "list"),
    _gauge("policy_managed_revision", "The last managed change that is in force."),
    _counter("managed_changes", "Managed changes asked for.", "op", "status"),
    _counter("control_requests", "Requests on the control socket.", "op", "result"),
    _counter("control_refused_peers", "Peers of the control socket with the wrong user id."),
    _gauge("ingester_up", "Whether the ingester process is running."),
    _counter("ingester_restarts", "How often the ingester process had to be started again."),
    _gauge("http_up", "Whether the process of the API and the pages is running."),
    _counter("http_restarts", "How often the process of the API and the pages had to be started."),
    _counter("ingester_corruptions", "Stores that were corrupt, set aside and made again."),
    _gauge("ingester_failing", "1 while the ingester reports an error."),
    _gauge("ingester_status_age_seconds", "Seconds since the ingester last said how it is."),
    _gauge("ingester_backlog_bytes", "Bytes of the journal that are not in the store yet."),
    _gauge("workers", "Processes that accept calls."),
    _counter(
        "worker_restarts",
        "Workers that had to be replaced: died, stalled (no heartbeat), late (not ready).",
        "cause",
    ),
    _counter("worker_untold", "Allowed calls that a worker could not tell the guards of."),
    _gauge("guard_connected", "1 while a guard has its link to the PBX.", "frontend"),
    _counter(
        "guard_links", "Links of guards: connected, failed, refused, lost.", "frontend", "result"
    ),
    _counter(
        "guard_dropped", "Events that a guard dropped: too many calls waited for it.", "frontend"
    ),
    _counter("guard_missed", "Channels that a guard was not told of.", "frontend"),
    _counter(
        "guard_actions",
        "What guards did to calls, and whether the PBX did it.",
        "frontend",
        "action",
        "result",
    ),
    _gauge("guard_live_calls", "Allowed calls that have not ended.", "frontend"),
    _counter("log_lines_dropped", "Lines of the log that nobody has read."),
    _gauge("start_time_seconds", "When this process started, in seconds since the epoch."),
    _gauge("draining", "1 once the process was told to stop."),
)


@dataclass(slots=True)
class Counter:
    """A handle of one series of a counter, for the loop's thread only."""

    value: float = 0.0

    def inc(self) -> None:
        self.value += 1


@dataclass(slots=True)
class Histogram:
    """One series of a histogram; as a handle, for the loop's thread only."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0

    def observe(self, value: float) -> None:
        """Put one duration in, in seconds."""
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.sum += value

    def __add__(self, other: Histogram) -> Histogram:
        counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        return Histogram(counts, self.sum + other.sum)


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the rendered text: full name, labels in order, value."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float

    def __str__(self) -> str:
        pairs = ",".join(f'{key}="{value.translate(_ESCAPES)}"' for key, value in self.labels)
        return (
            f"{self.name}{{{pairs}}} {self.value:.15g}"
            if pairs
            else f"{self.name} {self.value:.15g}"
        )


class _Family:
    """One metric and its series, keyed by the values of its labels in their fixed order."""

    __slots__ = ("clocks", "counters", "histograms", "metric", "values")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.values: dict[tuple[str, ...], float] = {}
        self.histograms: dict[tuple[str, ...], Histogram] = {}
        self.counters: dict[tuple[str, ...], Counter] = {}
        self.clocks: dict[tuple[str, ...], Histogram] = {}
        if not metric.labels:
            self._start(())

    def key(self, labels: dict[str, str]) -> tuple[str, ...]:
        if len(labels) != len(self.metric.labels):
            raise KeyError(f"{self.metric.name} has the labels {self.metric.labels}")
        key = tuple([labels[name] for name in self.metric.labels])
        return key if key in self.values or key in self.histograms else self._new(key)

    def _new(self, key: tuple[str, ...]) -> tuple[str, ...]:
        key = tuple("masked" if _NUMBER.search(value) else value for value in key)
        if len(self.values) + len(self.histograms) >= MAX_SERIES:
            key = ("other",) * len(key)
        self._start(key)
        return key

    def _start(self, key: tuple[str, ...]) -> None:
        if self.metric.type is Type.HISTOGRAM:
            self.histograms.setdefault(key, Histogram())
        else:
            self.values.setdefault(key, 0.0)

    def samples(self) -> Iterator[Sample]:
        for key in self.values:
            labels = tuple(zip(self.metric.labels, key, strict=True))
            yield Sample(self.metric.name, labels, self.value(key))
        for key, histogram in self.histograms.items():
            labels = tuple(zip(self.metric.labels, key, strict=True))
            clock = self.clocks.get(key)
            yield from self._buckets(labels, histogram + clock if clock else histogram)

    def value(self, key: tuple[str, ...]) -> float:
        handle = self.counters.get(key)
        return self.values.get(key, 0.0) + (handle.value if handle else 0.0)

    def _buckets(
        self, labels: tuple[tuple[str, str], ...], histogram: Histogram
    ) -> Iterator[Sample]:
        total = 0
        for bound, count in zip((*BUCKETS, float("inf")), histogram.counts, strict=True):
            total += count
            text = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield Sample(f"{self.metric.name}_bucket", (*labels, ("le", text)), total)
        yield Sample(f"{self.metric.name}_sum", labels, histogram.sum)
        yield Sample(f"{self.metric.name}_count", labels, total)


class Metrics:
    """The registry of one process. Every method may be called from any thread."""

    def __init__(self, table: Iterable[Metric] = METRICS) -> None:
        self._families = {metric.name: _Family(metric) for metric in table}
        self._lock = threading.Lock()

    def inc(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter. KeyError for a name or label that is not in the table."""
        family = self._family(name, Type.COUNTER)
        with self._lock:
            family.values[family.key(labels)] += amount

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        family = self._family(name, Type.GAUGE)
        with self._lock:
            family.values[family.key(labels)] = value

    def add(self, name: str, amount: float, /, **labels: str) -> None:
        """Move a gauge up or down."""
        family = self._family(name, Type.GAUGE)
        with self._lock:
            family.values[family.key(labels)] += amount

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Put one duration, in seconds, into a histogram."""
        family = self._family(name, Type.HISTOGRAM)
        with self._lock:
            family.histograms[family.key(labels)].observe(value)

    def counter(self, name: str, /, **labels: str) -> Counter:
        """The handle of one series of a counter, always the same. KeyError as for ``inc``."""
        family = self._family(name, Type.COUNTER)
        with self._lock:
            return family.counters.setdefault(family.key(labels), Counter())

    def histogram(self, name: str, /, **labels: str) -> Histogram:
        """The handle of one series of a histogram, always the same. KeyError as for ``observe``."""
        family = self._family(name, Type.HISTOGRAM)
        with self._lock:
            return family.clocks.setdefault(family.key(labels), Histogram())

    def clear(self, name: str, /) -> None:
        """Forget every series of a gauge, before its labels are set anew."""
        family = self._family(name, Type.GAUGE)
        with self._lock:
            family.values.clear()

    def value(self, name: str, /, **labels: str) -> float:
        """The value of one counter or gauge; 0 for a series that was never touched."""
        family = self._families[name]
        return family.value(tuple(labels[label] for label in family.metric.labels))

    def snapshot(self) -> list[Sample]:
        """Every sample now, in the order of the table."""
        with self._lock:
            return [sample for family in self._families.values() for sample in family.samples()]

    def render(self) -> str:
        """The Prometheus text exposition format, version 0.0.4."""
        with self._lock:
            return "".join(_block(family) for family in self._families.values())

    def _family(self, name: str, type: Type) -> _Family:
        family = self._families[name]
        if family.metric.type is not type:
            raise KeyError(f"{name} is a {family.metric.type}, not a {type}")
        return family


def _block(family: _Family) -> str:
    metric = family.metric
    lines = [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.type}"]
    lines += map(str, family.samples())
    return "\n".join(lines) + "\n"
