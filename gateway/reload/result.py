"""What is said of a reload, by the log, the control socket and the command line."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.metrics import Metrics
from gateway.policy.model import Policy
from gateway.reload.overlay import managed_seq


class ReloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a reload: ``status`` is loaded, failed or refused.

    ``revision`` is the policy that runs now, in either case. ``faults`` are texts that begin with
    file:line:column. ``at`` is when it ended, in seconds since the epoch.
    """

    status: str
    revision: str
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    lists: int = 0
    entries: int = 0
    seconds: float = 0.0
    at: float = 0.0

    @property
    def ok(self) -> bool:
        return self.status == "loaded"

    def count(self, metrics: Metrics) -> None:
        metrics.inc("callgate_policy_reloads_total", result=self.status)
        metrics.set("callgate_policy_last_reload_successful", self.ok)
        metrics.observe("callgate_policy_compile_seconds", self.seconds)


def publish(metrics: Metrics, policy: Policy, totals: Mapping[str, int]) -> None:
    """Show the policy that runs, with the entries of each of its lists."""
    metrics.set("callgate_policy_lists", len(policy.lists))
    metrics.set("callgate_policy_managed_revision", managed_seq(policy))
    metrics.clear("callgate_policy_entries")
    for name, count in totals.items():
        metrics.set("callgate_policy_entries", count, list=name)
