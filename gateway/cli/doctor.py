"""``doctor``: whether everything that a call passes through is in order, and what to do if not.

Each check gives one line. A check that cannot be made here warns; it does not fail.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import machine
from gateway.cli.environment import Environment, is_there
from gateway.cli.installed import check_dialplan
from gateway.cli.output import json_option, plural, print_json, styled
from gateway.cli.remarks import AS_WHOM, SOMETHING_ELSE, Remark, fail, ok, warn
from gateway.errors import ConfigError, ControlSilent, GatewayError, StoreError

if TYPE_CHECKING:
    from gateway.cli.httpchecks import Behind
    from gateway.policy.loader import Loaded

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
FAILED = 1


@dataclass
class Examination:
    """What the checks share: the policy is loaded once, and the gateway asked once.

    ``closed`` when this user may not read the state: the policy is that of the YAML alone then.
    """

    environment: Environment
    asterisk_dir: Path
    loaded: Loaded | None = None
    closed: bool = False

    @cached_property
    def running(self) -> dict[str, Any] | GatewayError | None:
        """The status of the gateway, why it does not tell it, or None when there is none."""
        from gateway.control import QUESTION_TIMEOUT

        try:
            gateway = self.environment.gateway()
            return gateway.status(timeout=QUESTION_TIMEOUT) if gateway else None
        except GatewayError as error:
            return error


@click.command("doctor", short_help="Whether everything is in order, and what to do if not.")
@click.option(
    "--asterisk-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/etc/asterisk"),
    show_default=True,
    help="Where Asterisk reads its configuration.",
)
@json_option
@click.pass_obj
def doctor_command(environment: Environment, asterisk_dir: Path, as_json: bool) -> None:
    """Check settings, policy, listeners, Asterisk, the installed dialplan, guards, clock and disk.

    Exit with 1 when something fails.
    """
    examination = Examination(environment, asterisk_dir)
    remarks = [remark for check in CHECKS for remark in check(examination)]
    if as_json:
        print_json([asdict(remark) for remark in remarks])
    else:
        for remark in remarks:
            _print(remark)
    if any(remark.status == "fail" for remark in remarks):
        sys.exit(FAILED)


def _print(remark: Remark) -> None:
    word = styled(remark.status.ljust(4), COLOURS[remark.status], bold=True)
    click.echo(f"{word}  {remark.about:<9}  {remark.text}")
    if remark.advice:
        click.echo(f"{'':17}{styled('→', 'bright_black')} {remark.advice}")


def _check_config(examination: Examination) -> Iterator[Remark]:
    environment = examination.environment
    try:
        assert environment.settings
        yield ok("settings", f"{environment.config} is in order")
        yield from _check_closed(examination)
        draft = environment.settings.policy_path if examination.closed else None
        examination.loaded = environment.load(draft)
    except ConfigError as error:
        for fault in error.faults:
            yield fail("config", str(fault), "correct the file; callgate lint checks it")
    except GatewayError as error:
        yield fail("config", str(error), "see whether the state folder is readable and writable")
    else:
        policy = examination.loaded.policy
        size = f"{plural(len(policy.lists), 'list')}, {plural(len(policy.index), 'entry')}"
        less = " without the managed ones" * examination.closed
        yield ok("policy", f"revision {policy.revision}: {size}{less}")


def _check_closed(examination: Examination) -> Iterator[Remark]:
    """Without leave to read the state nothing can be said of it, least of all that it is broken."""
    from gateway.tokens import FILE

    settings = examination.environment.settings
    try:
        for path in (settings.state_dir, settings.entries_path, settings.state_dir / FILE):
            is_there(path)
    except StoreError:
        examination.closed = True
        unknown = "gateway, tokens and disk are not checked"
        yield warn("state", f"this user may not read {settings.state_dir}: {unknown}", AS_WHOM)


def _check_listener(examination: Examination) -> Iterator[Remark]:
    from gateway.cli.probe import listener
    from gateway.frontends.probe import ask

    try:
        where = listener(examination.environment)
        answer = asyncio.run(ask(where.host, where.port))
    except GatewayError as error:
        advice = "start the gateway: callgate serve" + _let_in(examination)
        yield fail("listener", str(error), advice)
        return
    if examination.running is None:
        advice = "stop that, or set another agi.listen"
        yield fail("listener", f"{where} {SOMETHING_ELSE}", advice)
    else:
        yield ok("listener", f"{where} answers in {answer.seconds * 1000:.1f} ms")


def _let_in(examination: Examination) -> str:
    try:
        allow = examination.environment.settings.agi.allow
    except ConfigError:
        return ""
    return "; agi.allow must hold this machine too, or it cannot be tried" if allow else ""


def _check_exposed(examination: Examination) -> Iterator[Remark]:
    from gateway.app.calls import sections
    from gateway.app.remarks import exposed

    try:
        settings = examination.environment.settings
    except ConfigError:
        return
    for name, section in sections(settings).items():
        if section.listen is None:
            continue
        if remark := exposed(name, section.listen, section.secret, section.allow):
            yield warn("listener", *remark.split(": ", 1))


def _check_gateway(examination: Examination) -> Iterator[Remark]:
    """Whether what runs is what is written."""
    if examination.closed:
        return
    status = examination.running
    if isinstance(status, ControlSilent):
        yield fail("gateway", str(status), "see its log and the load of the machine, or restart it")
        return
    if isinstance(status, GatewayError):
        yield warn("gateway", str(status), AS_WHOM)
        return
    if status is None:
        yield fail("gateway", "none is running with these settings", "start it: callgate serve")
        return
    policy = status.get("policy", {})
    if policy.get("degraded"):
        yield fail("gateway", str(policy["degraded"]), "callgate lint, then callgate reload")
    elif examination.loaded and policy.get("revision") != examination.loaded.policy.revision:
        running = policy.get("revision")
        yield warn("gateway", f"policy {running} runs, not the one on disk", "callgate reload")
    else:
        yield ok("gateway", f"runs policy {policy.get('revision')}")
    yield from _parts(status)


def _parts(status: dict[str, Any]) -> Iterator[Remark]:
    """What the gateway says is wrong with its parts, as ``readyz`` and the pages say it too."""
    from gateway.control.trouble import troubles

    told = dict(troubles(status))
    if (workers := status.get("workers")) and "workers" not in told:
        yield ok("workers", f"all {workers['serving']} accept calls")
    for part, text in told.items():
        if part != "policy":
            yield fail(part, text, "the gateway's log says why")


def _check_http(examination: Examination) -> Iterator[Remark]:
    try:
        settings = examination.environment.settings
    except ConfigError:
        return
    from gateway.cli.httpchecks import check_http

    yield from check_http(settings, _behind(examination))


def _behind(examination: Examination) -> Behind:
    from gateway.cli.httpchecks import Behind

    running = examination.running
    if examination.closed:
        return Behind.UNKNOWN
    if isinstance(running, ControlSilent):
        return Behind.SILENT
    if isinstance(running, GatewayError):
        return Behind.UNKNOWN
    return Behind.NONE if running is None else Behind.RUNS


def _check_asterisk(examination: Examination) -> Iterator[Remark]:
    del examination
    yield machine.check_asterisk()


def _check_dialplan(examination: Examination) -> Iterator[Remark]:
    if examination.loaded is None:
        yield warn("dialplan", "not compared: the policy does not load")
        return
    settings = examination.environment.settings
    yield from check_dialplan(examination.asterisk_dir, examination.loaded.policy, settings)


def _check_guards(examination: Examination) -> Iterator[Remark]:
    from gateway.cli.guards import check_extensions, check_guards

    try:
        guards = examination.environment.settings.guards
    except ConfigError:
        return
    yield from check_guards(guards, examination.asterisk_dir)
    if examination.loaded is not None:
        yield from check_extensions(guards, examination.loaded.policy)


def _check_machine(examination: Examination) -> Iterator[Remark]:
    yield machine.check_clock()
    try:
        state = examination.environment.settings.state_dir
    except ConfigError:
        return
    if not examination.closed:
        yield machine.check_disk(state)


CHECKS: tuple[Callable[[Examination], Iterator[Remark]], ...] = (
    _check_config,
    _check_listener,
    _check_exposed,
    _check_gateway,
    _check_http,
    _check_asterisk,
    _check_dialplan,
    _check_guards,
    _check_machine,
)
