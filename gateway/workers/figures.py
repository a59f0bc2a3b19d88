"""The metrics of one gateway out of those of its processes.

Rule 1: everything is summed. A gauge that only the parent sets is zero in a worker.
Rule 2: no counter ever goes back: what a worker that has ended counted last stays in the sum, and
one that does not answer is in it with its last figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.metrics import METRICS, Metric, Sample, Series, Type

_FAMILIES = {metric.name: metric for metric in METRICS}
_SUFFIXES = ("_bucket", "_sum", "_count")


def family_of(name: str) -> Metric:
    """The metric of a sample's name, which of a histogram has a suffix. KeyError."""
    if name in _FAMILIES:
        return _FAMILIES[name]
    for suffix in _SUFFIXES:
        metric = _FAMILIES.get(name.removesuffix(suffix))
        if name.endswith(suffix) and metric and metric.type is Type.HISTOGRAM:
            return metric
    raise KeyError(name)


class Sums:
    """What the workers counted, living and dead."""

    def __init__(self) -> None:
        self._ended: dict[Series, float] = {}
        self._living: dict[int, dict[Series, float]] = {}

    def told(self, worker: int, samples: Iterable[Sample]) -> None:
        """A living worker's figures, in place of those before."""
        self._living[worker] = {(item.name, item.labels): item.value for item in samples}

    def ended(self, worker: int) -> None:
        """A worker has ended: its counters stay, its gauges do not."""
        for key, value in self._living.pop(worker, {}).items():
            if family_of(key[0]).type is not Type.GAUGE:
                self._ended[key] = self._ended.get(key, 0.0) + value

    def counted(self, series: Series) -> float:
        """The sum of one series of a counter."""
        return sum(counted.get(series, 0.0) for counted in (self._ended, *self._living.values()))

    def over(self, own: Iterable[Sample]) -> list[Sample]:
        """The sums with the parent's own figures, metric by metric in the order of the table."""
        totals = {(item.name, item.labels): item.value for item in own}
        for counted in (self._ended, *self._living.values()):
            for key, value in counted.items():
                totals[key] = totals.get(key, 0.0) + value
        order = {metric.name: place for place, metric in enumerate(METRICS)}
        samples = [Sample(name, labels, value) for (name, labels), value in totals.items()]
        # The order within a metric is that in which its series came: buckets stay in theirs.
        return sorted(samples, key=lambda item: order[family_of(item.name).name])


def rendered(samples: Iterable[Sample]) -> str:
    """The Prometheus text exposition format, version 0.0.4, of samples in the table's order."""
    return "".join(f"{line}\n" for line in _lines(samples))


def _lines(samples: Iterable[Sample]) -> Iterator[str]:
    by_metric: dict[str, list[Sample]] = {metric.name: [] for metric in METRICS}
    for sample in samples:
        by_metric[family_of(sample.name).name].append(sample)
    for metric in METRICS:
        yield f"# HELP {metric.name} {metric.help}"
        yield f"# TYPE {metric.name} {metric.type}"
        yield from map(str, by_metric[metric.name])
