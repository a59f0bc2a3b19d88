"""What the gateway tells the HTTP process when it starts it: one JSON object, its only argument."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """``descriptor`` is the inherited listening socket, ``parent`` the process id of the gateway.

    ``http`` are the settings of that section, with ``listen`` as it really is; ``log`` those of
    the log. ``state`` and ``policy`` are absolute paths.
    """

    descriptor: int
    parent: int
    state: str
    policy: str
    http: dict[str, Any]
    log: dict[str, Any]

    @property
    def state_dir(self) -> Path:
        return Path(self.state)

    @property
    def policy_path(self) -> Path:
        return Path(self.policy)
