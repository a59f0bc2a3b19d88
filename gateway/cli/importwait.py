"""An import and the running gateway: it gives way to calls, and waits until it is in force."""

from __future__ import annotations

import os
import sys
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.changes import UNATTENDED

if TYPE_CHECKING:
    from gateway.control import ControlClient

LONGEST_WAIT = 660.0
"""Seconds for the gateway to compile in what was imported."""
NICENESS = 5
_LOOK = 0.5


def give_way() -> None:
    """Calls come first where processors are few."""
    with suppress(OSError):
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(nice, NICENESS))


def in_force_at(gateway: ControlClient | None, rev: int) -> bool:
    """Wait until the gateway decides by all changes up to ``rev``; say so if it does not."""
    if not rev:
        return True
    if gateway is None:
        click.echo(UNATTENDED, err=True)
        return False
    with _waiting():
        why = _wait(gateway, rev)
    if why:
        click.echo(f"warning: written, but not in force yet: {why}", err=True)
    return not why


def _wait(gateway: ControlClient, rev: int) -> str:
    """Why it is not in force; empty when it is."""
    from gateway.errors import ControlError

    until = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            policy = gateway.status()["policy"]
        except ControlError as error:
            return str(error)
        if int(policy["revision"].partition("+")[2]) >= rev:
            return ""
        if time.monotonic() > until:
            return policy["degraded"] or "the gateway is still compiling it in"
        time.sleep(_LOOK)


def _waiting() -> Any:
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("waiting until the gateway has it in force")
