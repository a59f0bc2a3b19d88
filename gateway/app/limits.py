"""Room for open files: each connection is one, and a process begins with few (RLIMIT_NOFILE).

Rule: the soft limit is raised as far as needed and the hard one lets it; what is missing is said at
the start, not found by the caller who meets the limit.
"""

from __future__ import annotations

import logging
import resource

from gateway.app.crew import share
from gateway.settings import Settings

SPARE = 256
"""Open files beside the connections: journal, stores, lists, control socket, child processes."""

log = logging.getLogger(__name__)


def needed_files(settings: Settings) -> int:
    """How many files one process may have open at once when every listener that is on is full.

    The limit is inherited: that of the parent is that of each worker.
    """
    on = [each for each in (settings.agi, settings.esl) if each.listen is not None]
    return SPARE + sum(share(each.max_connections, settings.workers) for each in on)


def allow_files(needed: int) -> bool:
    """Raise the soft limit to ``needed`` if it is lower; whether that many may be open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return True
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        log.warning("the limit of open files stays at %d: %s", soft, error)
        wanted = soft
    if wanted < needed:
        log.warning(
            "at most %d files may be open, the connections may need %d: "
            "raise the limit (LimitNOFILE=, ulimit -n) or lower max_connections",
            wanted,
            needed,
        )
    return wanted >= needed
