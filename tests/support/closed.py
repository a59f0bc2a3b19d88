"""A state folder that belongs to somebody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
