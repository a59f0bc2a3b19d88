"""What was counted lately and wants a look, in words.

Rule: once is reason enough to say it; two calm minutes end it. That is longer than any pause before
a process is started again, so one that cannot be started is told of without a gap.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.metrics import Series

log = logging.getLogger(__name__)

CALM = 120.0
"""Seconds without another one after which nothing is said any more."""


@dataclass(frozen=True)
class Sign:
    """What an increase of any of some counters means for a part of the gateway.

    ``logged``: nobody else puts it into the log.
    """

    part: str
    words: str
    counters: tuple[Series, ...]
    logged: bool = False


SIGNS = (
    Sign(
        "calls",
        "connections were turned away, since max_connections were open, or others waited",
        tuple(
            ("callgate_unanswered_total", (("frontend", name), ("cause", "over_limit")))
            for name in ("agi", "esl")
        ),
        logged=True,
    ),
    Sign(
        "calls",
        "so many connections came that the kernel refused them, uncounted, for seconds",
        tuple(
            ("callgate_listener_shut_seconds_total", (("frontend", name),))
            for name in ("agi", "esl")
        ),
    ),
    Sign(
        "calls",
        "calls could not be decided and got on_error",
        (("callgate_decision_errors_total", ()),),
    ),
    Sign(
        "workers",
        "workers had to be replaced",
        tuple(
            ("callgate_worker_restarts_total", (("cause", cause),))
            for cause in ("died", "stalled", "late")
        ),
    ),
    Sign(
        "journal",
        "records could not be written to the journal",
        (("callgate_journal_errors_total", ()),),
    ),
    Sign(
        "journal",
        "segments of the journal were moved or removed while they were written",
        (("callgate_journal_segments_lost_total", ()),),
    ),
    Sign(
        "journal",
        "syncs of the journal were refused by the disk",
        (("callgate_journal_sync_failures_total", ()),),
    ),
    Sign(
        "ingester",
        "the store was corrupt, was set aside and made again from the journal",
        (("callgate_ingester_corruptions_total", ()),),
    ),
    Sign(
        "ingester",
        "the ingester ended and was started again",
        (("callgate_ingester_restarts_total", ()),),
    ),
    Sign(
        "http",
        "the process of API and pages ended and was started again",
        (("callgate_http_restarts_total", ()),),
    ),
)


class Lately:
    """Looks at the counters of a gateway; ``counted`` gives one of its series."""

    def __init__(
        self,
        counted: Callable[[Series], float],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counted = counted
        self._clock = clock
        self._seen = dict.fromkeys(SIGNS, 0.0)
        self._calm = dict.fromkeys(SIGNS, 0.0)
        """What was counted when there was peace."""
        self._last = dict.fromkeys(SIGNS, 0.0)

    def look(self) -> None:
        """See what has been counted since the look before."""
        now = self._clock()
        for sign in SIGNS:
            before, seen = self._seen[sign], sum(map(self._counted, sign.counters))
            if seen > before:
                if sign.logged and before == self._calm[sign]:
                    log.warning("%s", sign.words)
                self._last[sign] = now
            elif now - self._last[sign] > CALM:
                self._calm[sign] = seen
            self._seen[sign] = seen

    def told(self) -> Iterator[tuple[str, str]]:
        """Parts that have trouble, and what it is; how often is in brackets."""
        self.look()
        for sign in SIGNS:
            if count := self._seen[sign] - self._calm[sign]:
                yield sign.part, f"{sign.words} ({math.ceil(count)})"

    def onto(self, status: dict[str, Any]) -> dict[str, Any]:
        """A status, in which each part says this as ``degraded`` too."""
        for part, text in self.told():
            told = status.setdefault(part, {})
            told["degraded"] = "; ".join(filter(None, (told.get("degraded"), text)))
        return status
