"""Why what runs is not all that is configured: logged once, shown until it ends."""

from __future__ import annotations

import logging

from gateway.errors import StoreError
from gateway.metrics import Metrics

log = logging.getLogger(__name__)


class Trouble:
    """What is wrong with the policy that runs. As text: all of it, empty when nothing is."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._policy = ""
        self.unread = ""
        """Why the managed entries cannot be read; empty when they can."""

    def __str__(self) -> str:
        return "; ".join(filter(None, (self._policy, self.unread)))

    def of_policy(self, why: str) -> None:
        """Why another policy runs than the configured one; empty when it is that one."""
        self._policy = why
        self._publish()

    def of_entries(self, error: Exception | None) -> None:
        """Why the managed entries cannot be read, None when they can."""
        before, self.unread = self.unread, str(error) if error else ""
        self._publish()
        if error and self.unread != before:
            trace = None if isinstance(error, StoreError) else error
            log.error("managed changes cannot be taken: %s", error, exc_info=trace)
        elif before and not error:
            log.info("managed changes can be taken again")

    def _publish(self) -> None:
        self._metrics.set("callgate_policy_degraded", bool(str(self)))
