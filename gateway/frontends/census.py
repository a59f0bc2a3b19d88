"""What a guard knows of the channels of its PBX, and how it finds out what it was not told.

Rule: both are bounded by what the PBX really has. A count that was asked for before a call began
says nothing about it, and a list of channels may lag behind the events: FreeSWITCH's does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from gateway.calls import Call

MAX_LIVE: Final = 100_000
"""Channels whose calls are remembered; without a link nobody says which have ended."""
MAX_CALLS: Final = 8
"""Calls of one channel that are remembered: a transfer makes a new call of it."""


def anew(call: Call, now: float) -> Call:
    """A live call as one of now; what was the answer to an emergency call stays it."""
    emergency_at = call.emergency_at and call.emergency_at + now - call.at
    return replace(call, at=now, emergency_at=emergency_at)


class LiveCalls:
    """Calls that were allowed and have not ended, by the id of their channel.

    A channel may have several: one that was transferred, or that rang at a second number.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MAX_LIVE) -> None:
        self._clock = clock
        self._most = most
        self._calls: dict[str, tuple[tuple[Call, ...], float]] = {}
        self._absent: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, channel_id: str) -> bool:
        return channel_id in self._calls

    def calls(self) -> list[Call]:
        """All of them now."""
        return [call for calls, _ in self._calls.values() for call in calls]

    def add(self, call: Call) -> None:
        """A call was allowed. With too many, the oldest are forgotten."""
        before, _ = self._calls.pop(call.channel_id, ((), 0.0))
        if len(self._calls) >= self._most:
            del self._calls[next(iter(self._calls))]
        self._calls[call.channel_id] = ((*before, call)[-MAX_CALLS:], self._clock())

    def ended(self, channel_id: str) -> None:
        """A channel is gone."""
        self._calls.pop(channel_id, None)

    def prune(self, present: frozenset[str], asked: float) -> None:
        """Forget what was not there in two counts running; ``asked`` is when this one was asked.

        For calls whose end was missed, or came before they were added.
        """
        absent = {
            channel
            for channel, (_, since) in self._calls.items()
            if since < asked and channel not in present
        }
        for channel in absent & self._absent:
            del self._calls[channel]
        self._absent = frozenset(absent - self._absent)


class Census:
    """The channels that events told of, against those that there are."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._before: frozenset[str] = frozenset()
        self._unknown: frozenset[str] | None = None

    def begin(self) -> None:
        """A new link: nothing that is there now was told of on it."""
        self._told.clear()
        self._unknown = None

    def appeared(self, channel_id: str) -> None:
        """An event told of a new channel."""
        self._told.add(channel_id)

    def gone(self, channel_id: str) -> None:
        """An event told that a channel has ended."""
        self._told.discard(channel_id)

    def count(self, present: frozenset[str]) -> int:
        """How many channels events should have told of and did not: unknown twice running.

        The first count of a link tells which channels are older than it.
        """
        if self._unknown is None:
            self._told |= present
            self._unknown = frozenset()
            return 0
        unknown = present - self._told
        missed = unknown & self._unknown
        self._told |= missed
        fresh = self._told - self._before  # too new, perhaps, to have been counted
        self._before = frozenset(self._told)
        self._told &= present | fresh
        self._unknown = frozenset(unknown - missed)
        return len(missed)
