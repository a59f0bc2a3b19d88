"""What no event tells of a process that decides calls: it is counted by looking."""

from __future__ import annotations

from gateway import logs
from gateway.attempts.journal import Journal
from gateway.metrics import Metrics


class Looks:
    """Looks at the journal and the log of this process."""

    def __init__(self, journal: Journal, metrics: Metrics) -> None:
        self._journal = journal
        self._metrics = metrics
        self._syncs = (0, 0)
        self._lost = 0

    def look(self) -> None:
        """Count what has happened since the look before."""
        metrics = self._metrics
        self._journal.look()
        before, self._lost = self._lost, self._journal.lost_segments
        metrics.inc("callgate_journal_segments_lost_total", self._lost - before)
        late, failed = self._journal.late_syncs, self._journal.failed_syncs
        metrics.inc("callgate_journal_sync_timeouts_total", late - self._syncs[0])
        metrics.inc("callgate_journal_sync_failures_total", failed - self._syncs[1])
        self._syncs = (late, failed)
        lost = logs.dropped() - metrics.value("callgate_log_lines_dropped_total")
        metrics.inc("callgate_log_lines_dropped_total", max(0.0, lost))
