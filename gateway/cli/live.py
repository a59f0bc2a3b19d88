"""``reload``, ``status`` and ``metrics``: talking to the running gateway over its control socket.

A gateway that is stopped or overloaded is told from one that works for long: a question is given
up soon, and before a reload it is asked whether it answers at all.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.environment import Environment
from gateway.cli.output import json_option, local_time, plural, print_facts, print_json, styled
from gateway.errors import ControlError

if TYPE_CHECKING:
    from gateway.control import ControlClient

EXIT_CODES = {"loaded": 0, "refused": 1, "failed": 2}
MOMENTS = {"started", "at"}
"""What is a time, in seconds since the epoch."""
WORD_COLOURS = {"loaded": "green", "refused": "yellow", "failed": "red"}


@click.command("reload", short_help="Make the running gateway read its policy again.")
@click.option(
    "--force",
    is_flag=True,
    help="Also when a list would be emptied or more than half of the entries would go.",
)
@json_option
@click.pass_obj
def reload_command(environment: Environment, force: bool, as_json: bool) -> None:
    """Read the policy again and wait until it is in force, or until it is known why not.

    Exit with 1 when it was refused, with 2 when it cannot be loaded; the old one goes on then. A
    gateway that does not answer is given up after 5 seconds, one that loads for long after 11
    minutes.
    """
    from gateway.control import QUESTION_TIMEOUT

    gateway = _running(environment)
    gateway.ping(timeout=QUESTION_TIMEOUT)
    result = gateway.reload(force=force)
    if as_json:
        print_json(result)
    else:
        _print_result(result)
    sys.exit(EXIT_CODES[result["status"]])


def _print_result(result: dict[str, Any]) -> None:
    status = result["status"]
    for line in [*result["warnings"], *result["faults"]]:
        click.echo(line, err=True)
    word = styled(status, WORD_COLOURS[status], bold=True)
    size = f"{plural(result['lists'], 'list')}, {plural(result['entries'], 'entry')}"
    took = f" in {result['seconds']} s" if status == "loaded" else " goes on"
    click.echo(f"{word}: policy {result['revision']}, {size}{took}")
    if status == "refused":
        click.echo("callgate reload --force takes it all the same", err=True)


@click.command("status", short_help="What the running gateway does.")
@json_option
@click.pass_obj
def status_command(environment: Environment, as_json: bool) -> None:
    """Show what the running gateway listens on, which policy is in force, and what troubles it.

    Exit with 1 when none is running, or none answers within 5 seconds.
    """
    from gateway.control import QUESTION_TIMEOUT

    status = _running(environment).status(timeout=QUESTION_TIMEOUT)
    if as_json:
        print_json(status)
    else:
        print_facts([("gateway", _verdict(status)), *flattened(condensed(status))])


def _verdict(status: dict[str, Any]) -> str:
    """Whether all is well, or which parts are not; what is wrong with them stands with them."""
    from gateway.control.trouble import troubles

    parts = ", ".join(part for part, _ in troubles(status))
    return styled(f"DEGRADED: {parts}", "red") if parts else styled("ok", "green")


@click.command("metrics", short_help="The metrics of the running gateway.")
@click.pass_obj
def metrics_command(environment: Environment) -> None:
    """Print the metrics of the running gateway as Prometheus text.

    Exit with 1 when none is running, or none answers within 5 seconds.
    """
    from gateway.control import QUESTION_TIMEOUT

    click.echo(_running(environment).metrics(timeout=QUESTION_TIMEOUT), nl=False)


def _running(environment: Environment) -> ControlClient:
    gateway = environment.gateway()
    if gateway is None:
        raise ControlError(f"no gateway is running on {environment.settings.control_path}")
    return gateway


def condensed(status: dict[str, Any]) -> dict[str, Any]:
    """What people look for: one line for the lists, one for the last reload, no empty counters."""
    policy, ingester = status.get("policy") or {}, status.get("ingester") or {}
    told = {**status, "policy": dict(policy), "ingester": dict(ingester)}
    if lists := policy.get("lists"):
        told["policy"]["lists"] = ", ".join(f"{name} {count:,}" for name, count in lists.items())
    if last := policy.get("last_reload"):
        when = f"{local_time(last['at'])}, " if last.get("at") else ""
        told["policy"]["last_reload"] = f"{when}{last['status']} in {last['seconds']} s"
    if counts := ingester.get("status"):
        told["ingester"]["status"] = {name: count for name, count in counts.items() if count}
    return {name: value for name, value in told.items() if value != {}}


def flattened(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as lines: ``policy revision``, ``policy entries``, …"""
    lines: list[tuple[str, str]] = []
    for name, value in facts.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            lines += flattened(value, f"{label} ")
        else:
            lines.append((label, _shown(name, value)))
    return lines


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float) and name in MOMENTS:
        return local_time(value)
    return "" if value is None else str(value)
