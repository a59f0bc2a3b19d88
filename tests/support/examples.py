"""How many examples a property is tried with.

Rule: ``make check`` is asked for between two edits and tries a quarter (CALLGATE_EXAMPLES); every
other run tries all of them.
"""

from __future__ import annotations

import os
from typing import Any, Final

from hypothesis import settings

SHARE: Final = float(os.environ.get("CALLGATE_EXAMPLES", "1"))


def share_of(examples: int) -> int:
    return max(1, round(examples * SHARE))


def tries(most: int, **more: Any) -> settings:
    """``hypothesis.settings`` with so many examples, without a deadline for each."""
    return settings(max_examples=share_of(most), deadline=None, **more)
