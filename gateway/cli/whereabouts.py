"""Where an entry is that was looked for among the managed entries of one list and is not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.changes import text_of
from gateway.cli.environment import Environment

if TYPE_CHECKING:
    from gateway.policy.model import Policy


def tell_where(environment: Environment, answers: Sequence[dict[str, Any]]) -> None:
    """One line on standard error for each place that has one of them."""
    from gateway.errors import ConfigError

    absent = [answer for answer in answers if answer["status"] == "absent"]
    if not absent:
        return
    try:
        policy = environment.load().policy
    except ConfigError:
        policy = None  # its faults are no matter of this command
    for answer in absent:
        for line in (*_managed(environment, answer), *_written(answer, policy)):
            click.echo(line, err=True)


def _managed(environment: Environment, answer: dict[str, Any]) -> Iterator[str]:
    with environment.entries() as store:
        found = store.managed() if store else []
    for item in found:
        if (item.kind.value, item.digits) == (answer["kind"], answer["digits"]):
            yield f"{text_of(answer)} is in {item.list}: name it with --list {item.list}"


def _written(answer: dict[str, Any], policy: Policy | None) -> Iterator[str]:
    """In the YAML or a file it names; else the longest entry there that covers it."""
    kind, digits = str(answer["kind"]), str(answer["digits"])
    hits = policy.index.matches(digits, kind.startswith("short")) if policy else []
    covering = ""
    same = False
    for entry in (policy.index.entry(hit.row) for hit in hits) if policy else ():
        if entry.managed:
            continue
        where = f"at {entry.origin}"
        if (entry.kind.value, entry.digits) == (kind, digits):
            yield f"{text_of(answer)} is in {entry.list}, {where}: remove it there"
            same = True
        elif not (covering or entry.kind.exact):
            covering = f"{entry.text}* of {entry.list}, {where}, covers it"
    if covering and not same:
        yield covering
