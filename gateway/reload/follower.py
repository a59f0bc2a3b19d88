"""The policy that the gateway runs, for another process that only asks it.

Rule: what the gateway kept as its last good policy is what it runs, and the managed changes after
it stand in the change log: both are read anew at every question, which costs two system calls
while nothing has changed.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from gateway.entries import EntryStore
from gateway.errors import StoreError
from gateway.policy.generation import Generation, open_generation
from gateway.policy.model import Policy
from gateway.reload.overlay import Laid, lay, managed_seq

STEP = 2000
"""Changes that one question lays over the policy. There are more only while a long list is
imported: the gateway has those compiled in, and the generation that comes then has them."""
_CURRENT = "current"
_TRIES = 5
"""A generation may be replaced, and removed, between reading its name and opening it."""


class Follower:
    """Follows one gateway's policy. Every method may be called from any thread."""

    def __init__(self, last_good: Path, entries: EntryStore) -> None:
        self._directory = last_good
        self._entries = entries
        self._lock = threading.Lock()
        self._target = ""
        self._generation: Generation | None = None
        self._policy: Policy | None = None

    def current(self) -> Policy:
        """The policy as it is now, managed changes included. StoreError when there is none.

        While a long list is imported it holds the first of the changes, up to its revision.
        """
        with self._lock:
            policy = self._base()
            if self._entries.rev != managed_seq(policy):
                policy = lay(Laid.on(policy), self._entries, most=STEP, partly=True).policy
            self._policy = policy
            return policy

    def written(self) -> dict[str, int]:
        """How many entries people wrote into each list, managed ones not counted."""
        with self._lock:
            self._base()
            assert self._generation is not None
            return dict(self._generation.written)

    def _base(self) -> Policy:
        """The last policy that was given out, unless another generation has come since."""
        for left in reversed(range(_TRIES)):
            try:
                target = os.readlink(self._directory / _CURRENT)
                if self._policy is None or target != self._target:
                    self._generation = open_generation(self._directory / target)
                    self._policy, self._target = self._generation.policy, target
                return self._policy
            except FileNotFoundError:
                raise StoreError("no policy is kept yet: has the gateway started?") from None
            except OSError as error:
                raise StoreError(f"{self._directory / _CURRENT}: {error.strerror}") from error
            except StoreError:
                if not left:
                    raise
        raise AssertionError("unreachable")
