"""``serve``: run the gateway in the foreground."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from gateway.cli.environment import Environment, find_config


@click.command("serve", short_help="Run the gateway.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings file; the same as before the command.",
)
@click.pass_obj
def serve_command(environment: Environment, config: Path | None) -> None:
    """Run the gateway until it is told to stop.

    SIGTERM and Ctrl-C let calls that are being decided end; SIGHUP reloads the policy. Exit with
    2 when there is no policy to run or a listener cannot be opened.
    """
    from gateway.app import serve

    chosen = Environment(config) if config else environment
    serve(chosen.settings, try_next=f"{_program()}{_naming(chosen.config)} probe")


def _program() -> str:
    """How the next shell calls this program: by its name, or by its path from here."""
    called = sys.argv[0]
    found = shutil.which("callgate")
    if found and os.path.realpath(found) == os.path.realpath(called):
        return "callgate"
    if os.path.basename(called) != "callgate":
        return "callgate"
    short = os.path.relpath(called)
    # A service is at the root, and whoever reads what it says is not.
    far = short.startswith("..") or os.getcwd() == "/"
    return os.path.abspath(called) if far else short


def _naming(config: Path) -> str:
    return "" if config.absolute() == find_config().absolute() else f" --config {config}"
