"""``check`` and ``explain``: what the policy says to one call, without placing it.

They run the function that decides live calls, on the configured policy with its managed entries,
else the last good one, or on a draft. Nothing is journaled.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from gateway.calls import Call, Direction, Presentation
from gateway.cli.environment import Environment
from gateway.cli.inforce import answering
from gateway.cli.moments import Moment
from gateway.cli.output import json_option, print_facts, print_json, printable, verdict_word

if TYPE_CHECKING:
    from gateway.policy.model import Verdict

UNMET = 1


def call_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that describe a call, shared by both commands."""
    options = [
        click.argument("number", required=False),
        click.option(
            "--direction",
            type=click.Choice([item.value for item in Direction]),
            default=Direction.INBOUND.value,
            show_default=True,
            help="Who calls: NUMBER is the caller of an inbound call, the callee of an outbound.",
        ),
        click.option("--caller", metavar="NUMBER", help="The caller, as the PBX would pass it."),
        click.option("--callee", metavar="NUMBER", help="The callee, as the PBX would pass it."),
        click.option("--trunk", default="", help="The trunk that the dialplan would name."),
        click.option("--campaign", default="", help="The campaign that the dialplan would name."),
        click.option("--extension", default="", help="The extension that is in the call."),
        click.option(
            "--presentation",
            type=click.Choice([item.value for item in Presentation]),
            default=Presentation.ALLOWED.value,
            show_default=True,
            help="Whether the caller lets its number be shown.",
        ),
        click.option(
            "--at",
            type=Moment(),
            help="When the call comes: 2026-01-31T18:00, or how long ago, such as 24h; "
            "without it, now.",
        ),
        click.option(
            "--emergency-at",
            type=Moment(),
            help="When an emergency call last left on the trunk; without it, none did.",
        ),
        click.option(
            "--policy",
            "draft",
            type=click.Path(path_type=Path, dir_okay=False),
            help="A policy file instead of the configured one; managed entries are left out.",
        ),
        json_option,
        click.pass_obj,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("check", short_help="What the policy says to a call.")
@click.option(
    "--expect",
    type=click.Choice(["allow", "block"]),
    help="Exit with 1 when the verdict is another one.",
)
@call_options
def check_command(
    environment: Environment, draft: Path | None, as_json: bool, expect: str | None, **call: Any
) -> None:
    """Say what the policy would do to a call with NUMBER.

    NUMBER is the remote party: the caller of an inbound call, the callee of an outbound one.
    """
    policy, which = answering(environment, draft)
    from gateway.policy.decide import decide

    asked = _call(call, policy.timezone)
    verdict = decide(asked, policy)
    if as_json:
        print_json({**as_dict(verdict, asked), "policy": which.value})
    else:
        _print(verdict, asked)
    if expect and verdict.action.value != expect:
        click.echo(f"expected {expect}, got {verdict.action.value}", err=True)
        sys.exit(UNMET)


@click.command("explain", short_help="Every step that leads to a verdict.")
@call_options
def explain_command(
    environment: Environment, draft: Path | None, as_json: bool, **call: Any
) -> None:
    """Tell every step that leads to the verdict of a call with NUMBER, in words."""
    policy, which = answering(environment, draft)
    from gateway.policy.explain import explain

    asked = _call(call, policy.timezone)
    told = explain(asked, policy)
    if as_json:
        answer = {**as_dict(told.verdict, asked), "policy": which.value}
        print_json({**answer, "steps": list(told.steps)})
        return
    for number, step in enumerate(told.steps, 1):
        click.echo(f"{number:>2}. {step}")


def _call(options: dict[str, Any], zone: str) -> Call:
    direction = Direction(options["direction"])
    caller, callee = _parties(direction, options)
    at, emergency_at = (_seconds(options[name], zone) for name in ("at", "emergency_at"))
    return Call(
        direction=direction,
        caller=caller,
        callee=callee,
        at=time.time() if at is None else at,
        trunk=options["trunk"],
        campaign=options["campaign"],
        extension=options["extension"],
        presentation=Presentation(options["presentation"]),
        emergency_at=emergency_at or 0.0,
    )


def _seconds(moment: datetime | None, zone: str) -> float | None:
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return moment.timestamp() if moment else None


def _parties(direction: Direction, options: dict[str, Any]) -> tuple[str, str]:
    """Caller and callee; NUMBER fills the remote one, which must be given exactly once."""
    remote = "caller" if direction is Direction.INBOUND else "callee"
    number = options["number"]
    if number is None and options[remote] is None:
        raise click.UsageError(f"which number? Give NUMBER or --{remote}.")
    if number is not None and options[remote] is not None:
        raise click.UsageError(f"NUMBER is the {remote} of an {direction} call: leave out one.")
    parties = {name: options[name] or "" for name in ("caller", "callee")}
    if number is not None:
        parties[remote] = number
    return parties["caller"], parties["callee"]


def as_dict(verdict: Verdict, call: Call) -> dict[str, object]:
    """A verdict as programs read it; a field that does not apply is empty, 0 or null."""
    would = verdict.shadow
    return {
        "verdict": verdict.action.value,
        "reason": verdict.reason.value,
        "list": verdict.list,
        "entry": verdict.entry,
        "kind": verdict.kind,
        "number": verdict.number,
        "response": verdict.response,
        "party": verdict.party,
        "origin": verdict.origin,
        "note": verdict.note,
        "direction": call.direction.value,
        "trunk": call.trunk,
        "campaign": verdict.campaign,
        "unknown_scope": verdict.unknown_scope,
        "revision": verdict.revision,
        "shadow": would and as_dict(would, call),
    }


def _print(verdict: Verdict, call: Call) -> None:
    click.echo(f"{verdict_word(verdict.action.value)} {verdict.number or printable(call.remote)}")
    print_facts(_facts(verdict))
    if verdict.shadow is not None:
        click.echo(f"with shadow lists enforced: {verdict_word(verdict.shadow.action.value)}")
        print_facts(_facts(verdict.shadow))


def _facts(verdict: Verdict) -> list[tuple[str, object]]:
    where = ", ".join(part for part in (verdict.kind, verdict.origin) if part)
    entry = f"{verdict.entry} ({where})" if verdict.entry else ""
    return [
        ("reason", verdict.reason.value),
        ("list", verdict.list),
        ("entry", entry),
        ("note", verdict.note),
        ("campaign", verdict.campaign),
        ("response", verdict.response or ""),
        ("scope", "names a trunk or campaign that the policy lacks" * verdict.unknown_scope),
    ]
