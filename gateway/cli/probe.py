"""``probe``: ask a running gateway over the wire, as Asterisk would and as monitoring should."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.environment import Environment
from gateway.cli.output import json_option, print_json
from gateway.errors import ConfigError, Fault

if TYPE_CHECKING:
    from gateway.settings import Address

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""A listener on every address is asked on loopback."""


@click.command("probe", short_help="Whether a running gateway answers.")
@click.option(
    "--address", metavar="HOST:PORT", help="Where it listens; without it, as the settings say."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.01),
    default=2.0,
    show_default=True,
    help="Seconds to wait, in all.",
)
@json_option
@click.pass_obj
def probe_command(
    environment: Environment, address: str | None, timeout: float, as_json: bool
) -> None:
    """Speak FastAGI to a running gateway. Exit with 1 when it does not answer.

    Nothing is screened or recorded.
    """
    from gateway.frontends.probe import ask

    where = listener(environment, address)
    answer = asyncio.run(ask(where.host, where.port, timeout=timeout))
    milliseconds = round(answer.seconds * 1000, 1)
    if as_json:
        facts: dict[str, Any] = {"address": str(where), "milliseconds": milliseconds}
        print_json({**facts, "variables": answer.variables})
    else:
        click.echo(f"{where} answers in {milliseconds} ms")


def listener(environment: Environment, given: str | None = None) -> Address:
    """The address to ask. ConfigError when the settings have no FastAGI listener."""
    from gateway.settings import Address, parse_address

    try:
        where = parse_address(given) if given else environment.settings.agi.listen
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--address") from None
    if where is None:
        raise ConfigError(
            [Fault(str(environment.config), 0, 0, "agi.listen", "FastAGI is switched off")]
        )
    return Address(ANYWHERE.get(where.host, where.host), where.port)
