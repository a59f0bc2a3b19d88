"""The dialplan that is installed, compared with the shipped one, the policy and the settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gateway.calls import Direction
from gateway.cli.dialplan import emergency_list, plans_of
from gateway.cli.environment import shipped
from gateway.cli.probe import ANYWHERE
from gateway.cli.remarks import Remark, fail, ok, warn

if TYPE_CHECKING:
    from gateway.policy.model import Policy
    from gateway.settings import Settings

CODE = "callgate.conf"
EMERGENCY = "callgate-emergency.conf"
GLOBALS = "callgate-globals.conf"
DEFAULT_DEADLINE = 1500
"""Milliseconds that callgate.conf waits where ``CALLGATE_DEADLINE_MS`` says nothing."""
INSTALL = (
    'mkdir -p {0}/callgate && cp "$(callgate dialplan --path)"/asterisk/{1} {0}/callgate/, '
    "then include it"
)
RELOAD = "then asterisk -rx 'dialplan reload'"
_CALL = re.compile(
    r"callgate-(inbound|outbound)[,^]\s*s[,^]\s*1\(\s*([^,^()]*?)\s*(?:[,^]\s*([^,^()]*?)\s*)?[,^()]"
)
"""A call of a subroutine: direction, trunk, campaign; ``^`` where Asterisk wants it for a comma."""


def check_dialplan(folder: Path, policy: Policy, settings: Settings) -> Iterator[Remark]:
    """Whether the files are there and current, and say what policy and settings say."""
    if not folder.is_dir():
        yield warn("dialplan", f"no {folder} here: not checked", "name it: --asterisk-dir")
        return
    try:
        yield from _compare(folder, policy, settings)
    except (OSError, UnicodeDecodeError) as error:
        advice = "run doctor as a user who may read it"
        yield warn("dialplan", f"{folder} cannot be read: {error}", advice)


def _compare(folder: Path, policy: Policy, settings: Settings) -> Iterator[Remark]:
    code = _find(folder, CODE)
    if code is None:
        yield fail("dialplan", f"not installed in {folder}", INSTALL.format(folder, "*"))
        return
    original = shipped("dialplan") / "asterisk" / CODE
    if code.read_bytes() == original.read_bytes():
        yield ok("dialplan", f"{code} is current")
    else:
        yield fail("dialplan", f"{code} is not the shipped one", f"cp {original} {code}, {RELOAD}")
    if not _is_included(folder, CODE):
        yield fail("dialplan", f"nothing in {folder} includes {CODE}", "write #include for it")
    yield _check_emergency(folder, policy)
    yield from _check_globals(folder, policy, settings)
    yield from _check_names(folder, policy)


def _find(folder: Path, name: str) -> Path | None:
    """The file of this name that Asterisk reads; one that nothing includes if there is no other."""
    included = _included(folder)
    return min(folder.rglob(name), key=lambda path: (path not in included, path), default=None)


def _included(folder: Path) -> set[Path]:
    """What the files there include, by name or pattern; both are relative to the folder."""
    include = re.compile(r"""^\s*#(?:try)?include\s+["<]?([^">\s;]+)""", re.MULTILINE)
    patterns = {
        pattern for path in folder.rglob("*.conf") for pattern in include.findall(path.read_text())
    }
    found = {match for pattern in patterns for match in glob(os.path.join(folder, pattern))}
    return {Path(path) for path in found}


def _is_included(folder: Path, name: str) -> bool:
    """Whether any file includes it, also by a pattern such as ``callgate/*.conf``."""
    stem = re.escape(name.removesuffix(".conf"))
    included = re.compile(rf'^\s*#include\s+"?[^"\n]*(?:{stem}|\*)\.conf"?', re.MULTILINE)
    return any(included.search(path.read_text()) for path in folder.rglob("*.conf"))


def _check_emergency(folder: Path, policy: Policy) -> Remark:
    """The numbers that go out without asking must be those of the decision."""
    wanted = set(emergency_list(plans_of(policy), policy.emergency.extra))
    path = _find(folder, EMERGENCY)
    advice = f"callgate dialplan --emergency > {path or folder / EMERGENCY}, {RELOAD}"
    if path is None:
        return fail("emergency", f"{EMERGENCY} is not installed", advice)
    names = re.findall(r"^exten\s*=>?\s*([^\s,]+),1,", path.read_text(), re.MULTILINE)
    found = set(map(unquote, names))
    differences = [
        f"{word} {', '.join(sorted(numbers))}"
        for word, numbers in (("lacks", wanted - found), ("has too many:", found - wanted))
        if numbers
    ]
    if differences:
        return fail("emergency", f"{path} {' and '.join(differences)}", advice)
    return ok("emergency", f"{path} has the {len(wanted)} numbers of the policy")


def _check_globals(folder: Path, policy: Policy, settings: Settings) -> Iterator[Remark]:
    path = _find(folder, GLOBALS)
    if path is None:
        yield fail("globals", f"{GLOBALS} is not installed", INSTALL.format(folder, GLOBALS))
        return
    written = _assignments(path.read_text())
    wanted = {"CALLGATE_ADDRESS": _address(settings, written.get("CALLGATE_ADDRESS", ""))}
    for direction in Direction:
        wanted[f"CALLGATE_OUTAGE_{direction.upper()}"] = policy.on_error.action(direction).value
    faults = [
        f"{name} is {written.get(name, 'not set')}, not {value}"
        for name, value in wanted.items()
        if written.get(name) != value
    ]
    if written.get("CALLGATE_SECRET", "") != settings.agi.secret:
        faults.append("CALLGATE_SECRET is not the secret of the settings")
    hasty = _hasty(settings, written.get("CALLGATE_DEADLINE_MS", ""))
    for fault in faults:
        yield fail("globals", f"{path}: {fault}", f"make them agree, {RELOAD}")
    if hasty:
        advice = f"let it wait longer than agi.deadline, {RELOAD}"
        yield fail("globals", f"{path}: CALLGATE_DEADLINE_MS is {hasty}", advice)
    if not (faults or hasty):
        yield ok("globals", f"{path} agrees with settings and on_error")


def _check_names(folder: Path, policy: Policy) -> Iterator[Remark]:
    """Trunks and campaigns that the dialplan passes must be those of the policy."""
    found: set[str] = set()
    for path in sorted(folder.rglob("*.conf")):
        for direction, what, name in literal_names(path.read_text()):
            known = policy.trunks if what == "trunk" else policy.campaigns
            found.add(name)
            if name in known:
                continue
            text = f"{path} names the {what} '{name}', which the policy lacks"
            place = "numbering.trunks" if what == "trunk" else "campaigns"
            advice = f"write it under {place} in the policy, or name another in the dialplan"
            if direction == Direction.OUTBOUND and policy.strict_scope:
                yield fail("scope", f"{text}: its outbound calls are blocked", advice)
            else:
                yield warn("scope", text, advice)
    if found and found <= policy.trunks.keys() | policy.campaigns.keys():
        yield ok("scope", "the policy knows every trunk and campaign of the dialplan")


def literal_names(text: str) -> list[tuple[str, str, str]]:
    """Direction, ``trunk`` or ``campaign``, name: what calls of the subroutines say in so many
    words, each once. A variable tells nothing here.
    """
    code = "\n".join(re.split(r"(?<!\\);", line, maxsplit=1)[0] for line in text.splitlines())
    names = [
        (call[1], what, name)
        for call in _CALL.finditer(code)
        for what, name in (("trunk", call[2]), ("campaign", call[3]))
        if name and name != "-" and "$" not in name
    ]
    return list(dict.fromkeys(names))


def _address(settings: Settings, written: str) -> str:
    """What the dialplan should ask; a listener on every address answers on any of them."""
    listen = settings.agi.listen
    if listen and listen.host in ANYWHERE and written.rpartition(":")[2] == str(listen.port):
        return written
    return str(listen)


def _hasty(settings: Settings, written: str) -> str:
    """What is wrong with the dialplan's deadline; empty when it is longer than the gateway's.

    A dialplan that gives up first takes the outage branch for calls that are being decided.
    """
    if written and not (written.isascii() and written.isdigit()):
        return f"{written}, no number of milliseconds"
    waits = int(written or 0) or DEFAULT_DEADLINE
    decides = settings.agi.deadline * 1000
    return "" if waits > decides else f"{waits}, not longer than agi.deadline ({decides:g} ms)"


def _assignments(text: str) -> dict[str, str]:
    """``NAME=value`` or ``NAME => value`` of every line; ``;`` begins a comment."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition(";")[0].partition("=")
        if equals:
            found[name.strip()] = value.removeprefix(">").strip()
    return found
