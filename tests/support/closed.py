"""A state folder that belongs to somebody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NOBODY = 65534


@contextmanager
def closed_to_us(state: Path) -> Iterator[None]:
    """The folder cannot be entered meanwhile: root, whom nothing is closed to, is nobody.

    Nobody may be unable to read the interpreter: what is run here was run once before.
    """
    state.chmod(0o700)
    if os.geteuid() != 0:
        state.chmod(0)
        try:
            yield
        finally:
            state.chmod(0o700)
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


class AsRoot:
    """The module ``os`` as root has it, in a folder of somebody else's; ``given`` says what."""

    def __init__(self) -> None:
        self.given: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def geteuid(self) -> int:
        return 0

    def fstat(self, descriptor: int) -> os.stat_result:
        found = list(os.fstat(descriptor))
        found[4] += 1
        return os.stat_result(found)

    def fchown(self, descriptor: int, user: int, group: int) -> None:
        del group
        self.given.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")).name, user))
