"""When an entry ends: a day at its last 24:00, or a moment. Kept as seconds since the epoch."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?( ?(Z|[+-]\d{2}:?\d{2}))?", re.ASCII
)
_LATEST = 2**32 - 1
_SHAPE = "must be a day such as 2027-01-31 or a moment such as 2027-01-31T18:00"


@lru_cache(maxsize=4096)
def parse_expiry(text: str, zone: tzinfo) -> int:
    """The first second at which an entry no longer exists, never 0. Raises ValueError.

    A day, and a moment without offset, are those of ``zone``.
    """
    if _DAY.fullmatch(text):
        shape, whole_day = text, timedelta(days=1)
    elif _MOMENT.fullmatch(text):
        shape, whole_day = text.replace("Z", "+00:00").replace(" +", "+"), timedelta()
    else:
        raise ValueError(f"{_SHAPE}, not '{text}'")
    try:
        moment = datetime.fromisoformat(shape) + whole_day
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError):
        raise ValueError(f"there is no '{text}' in the calendar") from None
    if seconds > _LATEST:
        raise ValueError(f"'{text}' is too late: an expiry lies before 2106; leave it out")
    return max(seconds, 1)
