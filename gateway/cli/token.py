"""``token``: who may use the HTTP API and the pages."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from gateway.cli.environment import Environment
from gateway.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from gateway.tokens import Tokens

SCOPES = ("read", "write", "admin", "numbers:read", "screen")


@click.group("token", short_help="Who may use the HTTP API and the pages.")
def token_command() -> None:
    """Make, list and revoke tokens of the HTTP API and the pages.

    read: see everything, phone numbers hidden but for their last three digits. numbers:read: see
    them whole. write: add and remove entries too, and reload. admin: everything, also entries
    that allow calls. screen: have calls screened, for a PBX.
    """


@token_command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=("read",),
    show_default=True,
    help="What it may do; may be given more than once.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="How long it lasts; else for ever.")
@json_option
@click.pass_obj
def create_command(
    environment: Environment, name: str, scopes: tuple[str, ...], days: int | None, as_json: bool
) -> None:
    """Make a token for NAME and print it, for the only time."""
    from gateway.tokens import Scope

    expires = int(time.time()) + days * 86400 if days else 0
    try:
        text = _tokens(environment).create(name, map(Scope, scopes), expires=expires)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        print_json({"name": name, "token": text, "scopes": sorted(scopes), "expires": expires})
        return
    click.echo(text)
    click.echo("it is shown this once; keep it as you would a password", err=True)


@token_command.command("list")
@json_option
@click.pass_obj
def list_command(environment: Environment, as_json: bool) -> None:
    """Show every token, not its text."""
    tokens = _tokens(environment).all()
    if as_json:
        print_json(
            [
                {
                    "id": token.id,
                    "name": token.name,
                    "scopes": sorted(token.scopes),
                    "created": token.created,
                    "expires": token.expires,
                }
                for token in tokens
            ]
        )
    elif tokens:
        rows = [
            (
                token.id,
                token.name,
                " ".join(sorted(token.scopes)),
                *_times(token.created, token.expires),
            )
            for token in tokens
        ]
        print_table(["id", "name", "scopes", "created", "expires"], rows)
    else:
        click.echo("there are no tokens: callgate token create NAME", err=True)


@token_command.command("revoke")
@click.argument("name")
@click.pass_obj
def revoke_command(environment: Environment, name: str) -> None:
    """Take a token back, by its NAME or id; sessions that began with it end too."""
    if not _tokens(environment).revoke(name):
        raise click.ClickException(f"there is no token {name!r}")
    click.echo(f"revoked {name}")


def _tokens(environment: Environment) -> Tokens:
    from gateway.tokens import Tokens

    return Tokens(environment.settings.state_dir)


def _times(created: float, expires: int) -> tuple[str, str]:
    return _day(created), _day(expires) if expires else "never"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
