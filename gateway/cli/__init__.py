"""The command line: one file per group of commands, this one for what they share.

Exit codes: 0 done, or as expected; 1 the answer is no (an expectation, a lint, a check of doctor
failed, the gateway refused or did not answer); 2 wrong usage or unusable configuration.

Only click is imported with a module; everything heavier where a command needs it, so that
``callgate --help`` and completion are quick.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from gateway.cli.environment import Environment, denied, find_config
from gateway.errors import BadEntry, ConfigError, GatewayError, StoreError

COMMANDS = {
    "serve": "serve",
    "check": "check",
    "explain": "check",
    "lint": "lint",
    "reload": "live",
    "status": "live",
    "metrics": "live",
    "add": "entries",
    "edit": "entries",
    "remove": "entries",
    "undo": "entries",
    "list": "entries",
    "export": "entries",
    "import": "imports",
    "attempts": "attempts",
    "erase": "erase",
    "replay": "replay",
    "scrub": "scrub",
    "token": "token",
    "probe": "probe",
    "doctor": "doctor",
    "dialplan": "dialplan",
    "completion": "completion",
}
"""Every command and the module of this package that has it, in the order of the help."""


class Failed(click.ClickException):
    """An error of this program, on standard error, one line for each of its lines."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        del file
        from gateway.cli.output import with_options

        for line in with_options(self.format_message()).splitlines():
            click.echo(f"{click.style('error:', fg='red')} {line}", err=True)


class Unusable(Failed):
    """What was written, in a file or on the command line, cannot be used."""

    exit_code = 2


class Commands(click.Group):
    """Commands by name, each imported when it is first asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        del ctx
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"gateway.cli.{COMMANDS[name]}")
        command = getattr(module, f"{name}_command")
        assert isinstance(command, click.Command)
        return command

    def main(self, *args: Any, **rest: Any) -> Any:
        """A reader that went away is no matter (click exits quietly); a full disk is said."""
        if sys.stdout is None:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it lasts as long as the program
        try:
            return super().main(*args, **rest)
        except OSError as error:
            if not _printing(error):
                raise
            _give_up_output()
            Failed(f"standard output cannot be written: {error.strerror}").show()
            sys.exit(Failed.exit_code)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ConfigError, BadEntry) as error:
            raise Unusable(str(error)) from error
        except GatewayError as error:
            raise Failed(_with_advice(error)) from error


def _with_advice(error: GatewayError) -> str:
    """What went wrong, and where it is a closed state folder as whom to try again."""
    if not (isinstance(error, StoreError) and denied(error)):
        return str(error)
    from gateway.control import AS_WHOM

    return f"{error}; {AS_WHOM}"


def _printing(error: OSError) -> bool:
    """Whether it was raised by ``click.echo`` itself, through which all output goes."""
    innermost = list(traceback.walk_tb(error.__traceback__))[-1][0]
    return innermost.f_code is click.echo.__code__


def _give_up_output() -> None:
    """What could not be written is not tried again when the program ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    cls=Commands,
    name="callgate",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="CALLGATE_CONFIG",
    show_envvar=True,
    help="The settings file. Without it: config/callgate.yaml, /etc/callgate/callgate.yaml, or "
    "the one that came with the program, whichever is found first.",
)
@click.version_option(package_name="callgate", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Screen calls for Asterisk and FreeSWITCH by the numbers in one YAML file."""
    ctx.obj = Environment(config or find_config())
