"""How long a guard waits before it tries its link again.

Rule: longer each time, and never twice the same: a PBX that comes back is not met by all at once.
"""

from __future__ import annotations

import random
from typing import Final

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries: doubled each time, less up to half of it by chance."""


def pause_after(failures: int) -> float:
    """Seconds until the next try, after so many that failed."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 10))
    return float(longest * random.uniform(0.5, 1.0))
