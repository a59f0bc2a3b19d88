"""The policy that a question is answered from, and whether it is the one that decides calls.

The configured policy answers. When it does not load, the last good one does, as in a gateway that
is started then. That another policy answers, or that the gateway runs another, is said on
standard error; the exit code is that of the answer.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.environment import Environment

if TYPE_CHECKING:
    from gateway.policy.model import Policy

STATUS_SECONDS = 1.0
"""How long a running gateway may take to say what it runs."""


class Answering(StrEnum):
    """Which policy it is."""

    CONFIGURED = "configured"
    LAST_GOOD = "last-good"
    DRAFT = "draft"


def answering(environment: Environment, draft: Path | None) -> tuple[Policy, Answering]:
    """A draft if one is named, else the configured policy, else the last good one.

    Raises ConfigError when there is none that can be used.
    """
    if draft is not None:
        return environment.load(draft).policy, Answering.DRAFT
    policy, which = configured(environment)
    _compare(environment, policy)
    return policy, which


def configured(environment: Environment) -> tuple[Policy, Answering]:
    """The configured policy, else the last good one, and its faults on standard error.

    Raises ConfigError when there is neither.
    """
    from gateway.errors import ConfigError, StoreError

    assert environment.settings  # faults in the settings are no matter of the policy
    try:
        return environment.load().policy, Answering.CONFIGURED
    except ConfigError as error:
        try:
            policy = last_good(environment)
        except StoreError:
            raise error from None
        click.echo(str(error), err=True)
        kept = f"the last good one, {policy.revision}, answers"
        click.echo(f"warning: the configured policy cannot be loaded; {kept}", err=True)
        return policy, Answering.LAST_GOOD


def last_good(environment: Environment) -> Policy:
    """What was kept, with the managed changes since. Raises StoreError."""
    from gateway.policy.generation import open_generation
    from gateway.reload.overlay import overlaid

    current = environment.settings.last_good_dir / "current"
    policy = open_generation(current, verify=True).policy
    with environment.entries() as store:
        return overlaid(policy, store)[0] if store else policy


def _compare(environment: Environment, policy: Policy) -> None:
    """One that may not be asked, or hangs, is for ``status`` to tell of."""
    from gateway.errors import ControlError

    try:
        gateway = environment.gateway()
        runs = gateway.status(timeout=STATUS_SECONDS)["policy"] if gateway else {}
    except ControlError:
        return
    if runs and runs["revision"] != policy.revision:
        why = f": {runs['degraded']}" if runs["degraded"] else ""
        both = f"{runs['revision']}; {policy.revision} answers here"
        click.echo(f"warning: the gateway runs another policy, {both}{why}", err=True)
