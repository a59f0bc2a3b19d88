"""The policy of a worker: the edition that the shared page names, made ready before it is named."""

from __future__ import annotations

import os
from collections.abc import Callable

from gateway.policy.model import Policy
from gateway.reload.editions import Step, taken
from gateway.workers.page import Page

NOT_READY = 70
"""Exit code of a worker that has not the edition in force (EX_SOFTWARE)."""


class WorkerPolicy:
    """A ``PolicySource`` that costs a call one comparison.

    Rule: an edition that is in force decides, or nothing does. A worker that was not ready for it
    is being killed by its parent; it ends here before it decides by an old one.
    """

    __slots__ = ("_number", "_policy", "_ready", "_unready", "_words")

    def __init__(self, page: Page, unready: Callable[[], None] = lambda: os._exit(NOT_READY)):
        self._words = page.words
        self._unready = unready
        self._number = -1
        self._policy: Policy | None = None
        self._ready: tuple[int, Policy | None] = (-1, None)

    @property
    def current(self) -> Policy:
        """What the call that asks is decided by."""
        if self._words[0] != self._number:
            self._turn()
        return self._policy  # type: ignore[return-value]  # there once an edition was in force

    @property
    def number(self) -> int:
        """The edition that decides."""
        return self._number

    def open(self, number: int, step: Step) -> None:
        """Make an edition ready, from the one in force or from a generation. StoreError.

        For any thread; only one at a time.
        """
        self._ready = (number, taken(step, self._policy))

    def _turn(self) -> None:
        number, policy = self._ready
        if number != self._words[0]:
            self._unready()
        self._number, self._policy = number, policy
        self._ready = (-1, None)
