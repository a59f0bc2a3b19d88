"""Whether the guards of the settings can do their work: let in, given events, allowed to act."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.output import plural
from gateway.cli.remarks import Remark, fail, ok, warn
from gateway.errors import LinkError, LinkRefused

if TYPE_CHECKING:
    from gateway.guardsettings import (
        AsteriskGuardSettings,
        FreeswitchGuardSettings,
        GuardsSettings,
    )
    from gateway.policy.model import Policy

ABOUT = "guard"
NEEDED = ("Hangup", "Status")
"""The actions of Asterisk's manager that its guard uses."""
MARK = "CALLGATE_FOR"
_WRITE = "docs/guards.md has what to write into manager.conf"


def check_guards(settings: GuardsSettings, asterisk_dir: Path) -> Iterator[Remark]:
    """A line or two for each guard that is set; none for one that is off."""
    if settings.freeswitch.connect:
        yield asyncio.run(_told("FreeSWITCH", _freeswitch(settings.freeswitch)))
    if settings.asterisk.connect:
        yield asyncio.run(_told("Asterisk", _asterisk(settings.asterisk)))
        yield from _manager_conf(asterisk_dir / "manager.conf", settings.asterisk.username)


def check_extensions(settings: GuardsSettings, policy: Policy) -> Iterator[Remark]:
    """Whether a guard in mode kill can tell a telephone that rings from a call that goes out."""
    freeswitch = settings.freeswitch
    if freeswitch.connect and freeswitch.mode == "kill" and not policy.plan.extensions:
        text = "FreeSWITCH: mode kill decides every telephone that rings as an outbound call"
        yield warn(ABOUT, text, "set numbering.extensions in the policy")


async def _told(name: str, check: Awaitable[str]) -> Remark:
    try:
        return ok(ABOUT, await check)
    except LinkRefused as error:
        return fail(ABOUT, f"{name}: {error}", "correct the guard's settings, or the PBX's")
    except LinkError as error:
        return fail(ABOUT, f"{name}: {error}", "see whether it runs, and listens there")


async def _freeswitch(settings: FreeswitchGuardSettings) -> str:
    from gateway.frontends.esl_inbound import channels, subscribe
    from gateway.frontends.esl_link import EslLink

    assert settings.connect is not None
    link = await EslLink.open(
        settings.connect.host,
        settings.connect.port,
        settings.password,
        on_event=lambda _: None,
        deadline=settings.deadline,
    )
    try:
        await subscribe(link)
        there = len(await channels(link))
    finally:
        link.close()
    return f"FreeSWITCH at {settings.connect} gives events and has {plural(there, 'channel')}"


async def _asterisk(settings: AsteriskGuardSettings) -> str:
    from gateway.frontends.ami_link import AmiLink

    assert settings.connect is not None
    link = await AmiLink.open(
        settings.connect.host,
        settings.connect.port,
        settings.username,
        settings.secret,
        on_event=lambda _: None,
        deadline=settings.deadline,
    )
    try:
        allowed = (await link.action("ListCommands"))[0]
    finally:
        link.close()
    missing = [name for name in NEEDED if name not in allowed]
    if missing:
        raise LinkRefused(f"{settings.username} may not {' and '.join(missing)}: write=call")
    return f"Asterisk at {settings.connect} lets {settings.username} in and act on calls"


def _manager_conf(path: Path, username: str) -> Iterator[Remark]:
    """Events and marks: what Asterisk tells nobody but shows in its file."""
    try:
        sections = _sections(path.read_text())
    except (OSError, UnicodeDecodeError):
        yield warn(ABOUT, f"no {path} here: events not checked", "name it: --asterisk-dir")
        return
    user = sections.get(username)
    if user is None:
        yield warn(ABOUT, f"{path} has no [{username}]: events not checked", _WRITE)
    elif not {"call", "all"} & set(_words(user.get("read", ""))):
        yield fail(ABOUT, f"{path}: [{username}] is given no events: read=call", _WRITE)
    if MARK not in _words(sections.get("general", {}).get("channelvars", "")):
        text = f"{path}: channelvars lacks {MARK}: every outbound call would be decided twice"
        yield fail(ABOUT, text, _WRITE)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _sections(text: str) -> dict[str, dict[str, str]]:
    """Sections and their assignments; ``;`` begins a comment."""
    found: dict[str, dict[str, str]] = {}
    section = found.setdefault("", {})
    for line in text.splitlines():
        written = line.partition(";")[0].strip()
        if head := re.match(r"\[([^\]]+)\]", written):
            section = found.setdefault(head[1], {})
        elif "=" in written:
            name, _, value = written.partition("=")
            section[name.strip()] = value.removeprefix(">").strip()
    return found
