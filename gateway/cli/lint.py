"""``lint``: whether a policy loads, and what in it may not mean what its writer thinks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.environment import Environment
from gateway.cli.output import json_option, plural, print_json, styled

if TYPE_CHECKING:
    from gateway.policy.lint import Finding
    from gateway.policy.loader import Loaded

COLOURS = {"warning": "yellow", "note": "cyan"}
FOUND = 1


@click.command("lint", short_help="Whether the policy loads and means what it says.")
@click.option(
    "--policy",
    "draft",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A policy file instead of the configured one; managed entries are left out.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 for notes too, not only for warnings.")
@json_option
@click.pass_obj
def lint_command(environment: Environment, draft: Path | None, strict: bool, as_json: bool) -> None:
    """Load the policy and look for what is duplicate, shadowed, too wide, expired or unreachable.

    Exit with 1 when there are warnings, with 2 when the policy does not load.
    """
    from gateway.policy.lint import Level, lint

    loaded = environment.load(draft)
    findings = lint(loaded)
    if as_json:
        print_json([_as_dict(finding) for finding in findings])
    else:
        _print(draft or environment.settings.policy_path, loaded, findings)
    if any(strict or finding.level is Level.WARNING for finding in findings):
        sys.exit(FOUND)


def _as_dict(finding: Finding) -> dict[str, object]:
    return {
        "level": finding.level.value,
        "code": finding.code.value,
        "message": finding.message,
        "file": finding.origin.file,
        "line": finding.origin.line,
    }


def _print(path: Path, loaded: Loaded, findings: list[Finding]) -> None:
    for warning in loaded.warnings:
        click.echo(f"{warning} [{styled('managed', 'yellow')}]")
    for finding in findings:
        level = styled(finding.level.value, COLOURS[finding.level.value])
        place = f"{finding.origin}: " if finding.origin.file else ""
        click.echo(f"{place}{level}: {finding.message} [{finding.code.value}]")
    size = (
        f"{plural(len(loaded.policy.lists), 'list')}, {plural(len(loaded.policy.index), 'entry')}"
    )
    found = f"{plural(len(findings), 'finding')}" if findings else "nothing to remark"
    click.echo(f"{path.name}: {size}, {found}")
