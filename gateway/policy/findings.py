"""What can be found in a policy that loads: one code for each kind of finding, and their report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.policy.model import Origin


class Level(StrEnum):
    """A warning may block or let through what nobody meant; a note is only superfluous."""

    WARNING = "warning"
    NOTE = "note"


class Code(StrEnum):
    """What kind of finding it is."""

    DUPLICATE = "duplicate"
    SHADOWED = "shadowed"
    ALLOW_NEVER_WINS = "allow-never-wins"
    SWALLOWS_EMERGENCY = "swallows-emergency"
    SWALLOWS_OWN_NUMBER = "swallows-own-number"
    SWALLOWS_COUNTRY = "swallows-country"
    WIDE_PREFIX = "wide-prefix"
    EXPIRED = "expired"
    UNREACHABLE_LIST = "unreachable-list"
    TRUNK_NOT_OF_CAMPAIGN = "trunk-not-of-campaign"
    MATCH_NEVER = "match-never"


_NOTES = frozenset({Code.DUPLICATE, Code.SHADOWED, Code.EXPIRED})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at, and where it is written."""

    level: Level
    code: Code
    message: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.origin}: {self.level}: {self.message} [{self.code}]"


@dataclass(slots=True)
class Report:
    """Findings, of each code so many; the rest is counted."""

    shown: int
    findings: dict[Code, list[Finding]] = field(default_factory=dict)
    hidden: dict[Code, int] = field(default_factory=dict)

    def add(self, code: Code, finding: Callable[[], tuple[Origin, str]]) -> None:
        """One more; where it is and what to say of it is only asked if that is shown."""
        found = self.findings.setdefault(code, [])
        if len(found) < self.shown:
            origin, message = finding()
            found.append(Finding(_level(code), code, message, origin))
        else:
            self.hidden[code] = self.hidden.get(code, 0) + 1

    def all(self) -> list[Finding]:
        given = [finding for code in Code for finding in self.findings.get(code, [])]
        given.sort(key=lambda finding: (finding.origin.file, finding.origin.line))
        return given + [
            Finding(_level(code), code, f"and {count:,} more of this kind", Origin(""))
            for code, count in self.hidden.items()
        ]


def _level(code: Code) -> Level:
    return Level.NOTE if code in _NOTES else Level.WARNING
